"""The example block of a driver: bus and instrument as they stand in a file, each key with its meaning."""

import json
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import PurePath
from typing import Any, Final

from agent.checks.keys import explained
from host.problems import Lang
from metrology.declaration import DriverInfo, Option

_PROTOCOLS: Final = {"modbus": "modbus-rtu", "text": "text", "stream": "stream"}
_BUS: Final = "line-1"
_WIRE: Final = '{ kind: "serial", device: "/dev/serial/by-id/usb-ADAPTER", baud: 9600, parity: "N", stop_bits: 1 }'
_BUS_WIRE: Final = "bus wire"
_OTHER_WIRE: Final = '// wire: { kind: "tcp", host: "192.0.2.10", port: 4001 }'


def block(info: DriverInfo, lang: Lang) -> str:
    """The block of one driver as HJSON. It loads; what it says of address, rate and options is to be made right."""
    meanings = {key.key: key.meaning for key in explained(lang)}

    def bus(key: str, value: str) -> str:
        return f"    {key}: {value} // {meanings[f'buses.*.{key}']}"

    def own(key: str, value: str, *, off: bool = False) -> str:
        return f"    {'// ' if off else ''}{key}: {value} // {meanings[f'instruments.*.{key}']}"

    wire = _given(info).get(_BUS_WIRE)
    lines = [
        f"// {info.title}. {info.manual}",
        "buses: {",
        f"  {_BUS}: {{",
        *((bus("wire", wire),) if wire else (bus("wire", _WIRE), f"    {_OTHER_WIRE}")),
        bus("protocol", f'"{_PROTOCOLS[info.protocol]}"'),
        "  }",
        "}",
        "instruments: {",
        f"  {PurePath(info.name).stem}: {{",
        own("driver", f'"{info.name}"'),
        own("bus", f'"{_BUS}"'),
        own(
            "unit",
            str(1 if info.default_unit is None else info.default_unit),
            off=info.protocol != "modbus" and info.default_unit is None,
        ),
        own("expected_per_minute", "6") if info.kind == "stream" else own("poll_s", "5"),
        own("kind", '"research"'),
        own("rule", '"ghg"'),
        *_options(info, meanings["instruments.*.options"]),
        f"    // series: {{ {next(iter(info.measurands))}: {{}} }} // {meanings['instruments.*.series']}",
        *(f"    //   {measurand} [{unit}]" for measurand, unit in info.measurands.items()),
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _given(info: DriverInfo) -> dict[str, Any]:
    text = resources.files("agent.checks").joinpath("examples.toml").read_text(encoding="utf-8")
    given: dict[str, Any] = tomllib.loads(text).get(info.name, {})
    return given


def _options(info: DriverInfo, meaning: str) -> Iterator[str]:
    """The options: those that must be given with a value that loads, the others commented out at their defaults."""
    if not info.options:
        return
    given = _given(info)
    yield f"    options: {{ // {meaning}"
    for name, option in info.options.items():
        yield _option(name, option, given.get(name))
    yield "    }"


def _option(name: str, option: Option, given: Any) -> str:
    """One option; without a default and without an example its place is left open."""
    off = "" if given is not None else "// "
    value = given if given is not None else option.default
    said = "..." if value is None else json.dumps(value, ensure_ascii=False)
    return f"      {off}{name}: {said} // {' / '.join(option.kinds)}: {option.meaning}"
