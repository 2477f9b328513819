"""What a driver declares of itself, so that a configuration can be checked before anything is opened.

On the ground floor because drivers and firmware bridge, which do not know each other, both declare themselves.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from metrology.reading import Scan, StreamFault

OptionValue = str | int | float | bool | list[str]
Options = Mapping[str, OptionValue]
OptionKind = Literal["text", "number", "whole number", "list of texts"]


class DriverError(ValueError):
    """A driver, or an option of one, that does not exist or cannot be; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: which kinds of value it takes and what it means. Without a default it must be given."""

    kinds: tuple[OptionKind, ...]
    meaning: str
    default: OptionValue | None = None


@dataclass(frozen=True, slots=True)
class DriverInfo:
    """What the configuration check needs to know of a driver; `measurands` (id: unit) are all it may ever emit.

    `default_unit` is the address the maker ships the instrument with; None where the line has no addresses. `only_with`
    says of a measurand which word of which option (a list of texts) brings it: without it the measurand never comes.
    """

    name: str
    title: str
    kind: Literal["polled", "stream"]
    protocol: Literal["modbus", "text", "stream"]
    measurands: Mapping[str, str]
    manual: str
    evidence: str
    options: Mapping[str, Option] = field(default_factory=dict)
    default_unit: int | None = None
    only_with: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def emitted(self, options: Mapping[str, OptionValue]) -> dict[str, str]:
        """Measurands (id: unit) that come with these options of an instrument."""
        lacking = {
            measurand
            for measurand, (option, word) in self.only_with.items()
            if word not in _texts(options.get(option, self.options[option].default))
        }
        return {one: unit for one, unit in self.measurands.items() if one not in lacking}


def _texts(value: object) -> list[object]:
    return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class Advice:
    """A setting that works and costs quality: the option concerned, a stable code, a sentence in two languages."""

    option: str
    code: str
    en: str
    zh: str


class StreamDriver(Protocol):
    """Instruments on one line that speak unasked. `units` maps a unit address to an instrument name."""

    @property
    def measurands(self) -> dict[str, str]:
        """Ids of the measurands it may emit, with the unit of each."""

    def feed(self, data: bytes, at: datetime) -> list[Scan | StreamFault]:
        """Take bytes in pieces of any size; never raises on any input; memory is bounded."""


def no_advice(options: Options) -> list[Advice]:
    """Nothing to say about any options."""
    return []


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """What an entry point of group `plumeline.drivers` names for a streaming driver.

    `make(units, options)`: `units` maps a unit address to an instrument name; options passed `info.options`. It raises
    `DriverError` for the rest. `advise(options)` names settings that work but cost quality.
    """

    info: DriverInfo
    make: Callable[[dict[int, str], Options], StreamDriver]
    advise: Callable[[Options], list[Advice]] = no_advice


def unknown(what: str, name: str, known: Iterable[str]) -> DriverError:
    """Error for a name that is not among the known ones; offers the nearest, or all of them."""
    # A station whose names are right never needs it.
    from difflib import get_close_matches

    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names) or 'none'}"
    return DriverError(f"unknown {what} {name!r}: {hint}")


def _is(kind: OptionKind, value: OptionValue) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "whole number":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "list of texts":
            return isinstance(value, list)


def settled(info: DriverInfo, options: Options) -> dict[str, OptionValue]:
    """Options with the defaults filled in. Raises `DriverError` for unknown, missing or mistyped ones."""
    for name, value in options.items():
        if name not in info.options:
            raise unknown(f"option of driver {info.name}", name, info.options)
        option = info.options[name]
        if not any(_is(kind, value) for kind in option.kinds):
            raise DriverError(f"option {name} of driver {info.name} is a {' or '.join(option.kinds)}: {option.meaning}")
    given = dict(options)
    for name, option in info.options.items():
        if name not in given:
            if option.default is None:
                raise DriverError(f"driver {info.name} needs the option {name}: {option.meaning}")
            given[name] = option.default
    return given
