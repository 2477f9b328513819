"""Rules for buses and instruments: the driver fits the bus, addresses are unique, polls fill the minutes they must."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import Any, Final

from agent.checks.findings import Findings
from agent.config import Bus, Config, Instrument
from agent.config_wires import SerialWire
from agent.values.averaging import AMBIENT_FRACTION_MIN, READINGS_MIN_STACK
from drivers import tables
from drivers.register_table import RegisterMap
from drivers.registry import driver, driver_names, entry, stream_driver
from host.hjson import load
from host.problems import ConfigErrors
from metrology.declaration import DriverError, DriverInfo, OptionValue, settled

MINUTE_S: Final = 60
REASON_CHARACTERS_MAX: Final = 300
# The protocols of a bus that carry what a driver says it speaks.
_CARRIES: Final = {"modbus": ("modbus-rtu", "modbus-tcp"), "text": ("text",), "stream": ("stream",)}
_SLOWEST_POLL_S: Final = {"hj-stack": 5.0, "hj-ambient": 60.0, "ghg": 60.0}


def infos(config: Config, find: Findings) -> dict[str, DriverInfo]:
    """What the driver of each instrument declares; instruments whose driver is unknown are noted and left out."""
    known = driver_names()
    found = {}
    for name, instrument in config.instruments.items():
        if _loads(name, instrument.driver, known, find):
            found[name] = entry(instrument.driver).info
    return found


def _loads(name: str, driver_name: str, known: list[str], find: Findings) -> bool:
    """Tell whether there is such a driver; what is wrong with a map of the station's own is told by its own places."""
    if not tables.is_own(driver_name):
        if driver_name.endswith(".hjson"):
            find.error("map-relative", "instruments", name, "driver", name=driver_name)
            return False
        return find.known("driver-unknown", driver_name, known, "instruments", name, "driver")
    if not Path(driver_name).is_file():
        find.error("map-missing", "instruments", name, "driver", name=driver_name)
        return False
    try:
        load(driver_name, RegisterMap, find.document.lang)
    except ConfigErrors as errors:
        find.problems += [one for one in errors.problems if one not in find.problems]
        return False
    return True


def used(config: Config, infos: Mapping[str, DriverInfo]) -> dict[str, DriverInfo]:
    """The same with only the measurands that become series: those an instrument's `series` block names, or all."""
    return {name: _used(config.instruments[name], info) for name, info in infos.items()}


def _used(instrument: Instrument, info: DriverInfo) -> DriverInfo:
    if not instrument.series:
        return replace(info, measurands=info.emitted(instrument.options))
    return replace(info, measurands={one: unit for one, unit in info.measurands.items() if one in instrument.series})


def check_instruments(config: Config, infos: Mapping[str, DriverInfo], find: Findings) -> None:
    """Check every instrument against its bus and its driver."""
    for name, instrument in config.instruments.items():
        known_bus = find.known("bus-unknown", instrument.bus, config.buses, "instruments", name, "bus")
        if info := infos.get(name):
            _options(name, instrument, info, find)
            _period(name, instrument, info, find)
            for measurand in instrument.series:
                path = ("instruments", name, "series", measurand)
                find.known("measurand-unknown", measurand, info.measurands, *path, at_key=True)
            if known_bus:
                _wire(name, instrument, config.buses[instrument.bus], info, find)
        _ranges(name, instrument, find)
    _addresses(config, find)
    _ports(config, find)
    for bus, block in config.buses.items():
        if block.protocol == "stream":
            _stream(bus, config, find)


def _wire(name: str, instrument: Instrument, bus: Bus, info: DriverInfo, find: Findings) -> None:
    if bus.protocol not in (carries := _CARRIES[info.protocol]):
        values: dict[str, Any] = {
            "driver": info.name,
            "wanted": " / ".join(carries),
            "bus": instrument.bus,
            "found": bus.protocol,
        }
        find.error("protocol", "instruments", name, "bus", **values)
    if info.protocol == "modbus" and instrument.unit is None:
        find.error("unit-missing", "instruments", name, at_key=True, default=info.default_unit or 1)
    allowed = {*range(1, 248), info.default_unit, None}
    if bus.protocol == "modbus-rtu" and instrument.unit not in allowed:
        find.error("unit-rtu", "instruments", name, "unit", unit=instrument.unit)


def _options(name: str, instrument: Instrument, info: DriverInfo, find: Findings) -> None:
    path = ("instruments", name, "options")
    right = True
    for option, value in instrument.options.items():
        if not find.known("option-unknown", option, info.options, *path, option, at_key=True):
            right = False
        elif not _takes(info, option, value):
            declared = info.options[option]
            find.error("option-type", *path, option, kinds=" / ".join(declared.kinds), meaning=declared.meaning)
            right = False
    for option, declared in info.options.items():
        if declared.default is None and option not in instrument.options:
            find.error("option-missing", "instruments", name, at_key=True, option=option, meaning=declared.meaning)
            right = False
    if right:
        _advice(name, instrument, info, find)


def _advice(name: str, instrument: Instrument, info: DriverInfo, find: Findings) -> None:
    """Let the driver itself judge its options, all of the right kind by now."""
    path = ("instruments", name, "options")
    try:
        if info.kind == "polled":
            driver(instrument.driver, instrument=name, unit=instrument.unit, options=instrument.options)
        else:
            stream_driver(instrument.driver, {instrument.unit or 0: name}, instrument.options)
        for advised in entry(instrument.driver).advise(settled(info, instrument.options)):
            find.advise(advised, *path, advised.option)
    except DriverError as error:
        find.error("driver-refuses", *path, at_key=True, reason=shorten(str(error), REASON_CHARACTERS_MAX))


def _takes(info: DriverInfo, option: str, value: OptionValue) -> bool:
    """Tell whether one option takes a value of this kind."""
    try:
        settled(replace(info, options={option: info.options[option]}), {option: value})
    except DriverError:
        return False
    return True


def _period(name: str, instrument: Instrument, info: DriverInfo, find: Findings) -> None:
    """A minute must be able to hold as many readings as its rule needs, with one to spare."""
    if info.kind == "stream":
        if instrument.poll_s is not None:
            find.error("poll-of-stream", "instruments", name, "poll_s", driver=info.name)
        if instrument.expected_per_minute is not None:
            _minute(name, instrument, instrument.expected_per_minute, "expected_per_minute", find)
        return
    if instrument.poll_s is None:
        find.error("poll-missing", "instruments", name, at_key=True, driver=info.name)
        return
    if instrument.expected_per_minute is not None:
        _minute(name, instrument, instrument.expected_per_minute, "expected_per_minute", find)
        return
    per_minute = MINUTE_S / instrument.poll_s
    if per_minute < 1 or abs(per_minute - round(per_minute)) > 1e-9:
        slowest = _SLOWEST_POLL_S[instrument.rule]
        find.error("poll-uneven", "instruments", name, "poll_s", poll=instrument.poll_s, slowest=slowest)
        return
    _minute(name, instrument, round(per_minute), "poll_s", find)


def _minute(name: str, instrument: Instrument, readings: float, key: str, find: Findings) -> None:
    needed = readings_needed(instrument.rule, readings)
    values: dict[str, Any] = {"readings": f"{readings:g}", "needed": needed, "rule": instrument.rule}
    if readings < needed:
        find.error("minute-impossible", "instruments", name, key, **values, slowest=_SLOWEST_POLL_S[instrument.rule])
    elif readings - 1 < needed:
        find.warn("minute-tight", "instruments", name, key, **values)


def readings_needed(rule: str, expected: float) -> int:
    """Valid readings a minute needs (`agent.values.averaging`)."""
    if rule == "hj-stack":
        return READINGS_MIN_STACK
    return math.ceil(AMBIENT_FRACTION_MIN * expected) if rule == "hj-ambient" else 1


def _ranges(name: str, instrument: Instrument, find: Findings) -> None:
    for measurand, options in instrument.series.items():
        if options.minimum is not None and options.maximum is not None and options.minimum >= options.maximum:
            path = ("instruments", name, "series", measurand, "minimum")
            find.error("range-empty", *path, minimum=options.minimum, maximum=options.maximum)


def _addresses(config: Config, find: Findings) -> None:
    """One address on a bus belongs to one device: an instrument, a valve, or an instrument and the valve it drives."""
    taken: dict[tuple[str, int | None], tuple[str, str]] = {}
    devices = [("instruments", name, device.bus, device.unit) for name, device in config.instruments.items()]
    drivers = {(device.bus, device.unit, device.driver) for device in config.instruments.values()}
    devices += [
        ("valves", name, device.bus, device.unit)
        for name, device in config.valves.items()
        if (device.bus, device.unit, device.kind) not in drivers
    ]
    for section, name, bus, unit in devices:
        other = taken.setdefault((bus, unit), (section, name))
        if other == (section, name):
            continue
        key = "bus" if unit is None else "unit"
        code = "bus-shared" if unit is None else "unit-taken"
        find.error(code, section, name, key, bus=bus, unit=unit, other=other[1], line=find.line(*other, key))


def _ports(config: Config, find: Findings) -> None:
    """One serial port belongs to one bus."""
    taken: dict[str, str] = {}
    for name, bus in config.buses.items():
        if isinstance(bus.wire, SerialWire) and (other := taken.setdefault(bus.wire.device, name)) != name:
            path = ("buses", name, "wire", "device")
            find.error("port-taken", *path, other=other, line=find.line("buses", other, "wire", "device"))


def _stream(bus: str, config: Config, find: Findings) -> None:
    """One driver with one set of options tells the instruments of a stream apart."""
    own = [(name, instrument) for name, instrument in config.instruments.items() if instrument.bus == bus]
    if not own:
        find.error("stream-unused", "buses", bus, at_key=True)
        return
    (first, told), *rest = own
    for name, instrument in rest:
        if (instrument.driver, instrument.options) != (told.driver, told.options):
            line = find.line("instruments", first, "driver")
            find.error("stream-mixed", "instruments", name, "driver", bus=bus, other=first, line=line)
