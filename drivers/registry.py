"""Drivers by name: maps, line tables, Python drivers, third parties' entry points (group `plumeline.drivers`).

A driver is loaded when it is asked for, never all of them.
"""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

from drivers import tables
from drivers.base import (
    Advice,
    DriverError,
    DriverInfo,
    Options,
    PolledDriver,
    PolledEntry,
    StreamDriver,
    StreamEntry,
)  # fmt: skip
from metrology.declaration import settled, unknown

GROUP: Final = "plumeline.drivers"
# Python drivers of ours: the module that holds the ENTRY.
_PYTHON: Final = {"picarro": "drivers.picarro"}


def names() -> list[str]:
    """All known drivers."""
    found = tables.names("maps") | tables.names("lines") | _PYTHON.keys() | set(entry_points(group=GROUP).names)
    return sorted(found)


def _entry(name: str) -> PolledEntry | StreamEntry:
    if name in tables.names("maps"):
        return import_module("drivers.register_map").entry(name)  # type: ignore[no-any-return]
    if name in tables.names("lines"):
        return import_module("drivers.text_line").entry(name)  # type: ignore[no-any-return]
    if name in _PYTHON:
        return import_module(_PYTHON[name]).ENTRY  # type: ignore[no-any-return]
    for point in entry_points(group=GROUP, name=name):
        loaded = point.load()
        if not isinstance(loaded, PolledEntry | StreamEntry):
            raise DriverError(f"entry point {point.value} of {GROUP} is neither a PolledEntry nor a StreamEntry")
        return loaded
    raise unknown("driver", name, names())


def describe(name: str) -> DriverInfo:
    """What the driver declares. Raises `DriverError` with the nearest name."""
    return _entry(name).info


def advice(name: str, options: Options) -> list[Advice]:
    """Settings that work and cost quality. Raises `DriverError` as `driver` does."""
    entry = _entry(name)
    return entry.advise(settled(entry.info, options))


def driver(name: str, *, instrument: str, unit: int | None, options: Options) -> PolledDriver:
    """A polled driver for one instrument. Raises `DriverError` for unknown names and options, or values amiss."""
    entry = _entry(name)
    if not isinstance(entry, PolledEntry):
        raise DriverError(f"driver {name} is fed by a stream, it is not polled: leave poll_s out")
    return entry.make(instrument, unit, settled(entry.info, options))


def stream_driver(name: str, units: Mapping[int, str], options: Options) -> StreamDriver:
    """A streaming driver for the instruments of one line, by unit address. Raises `DriverError`."""
    entry = _entry(name)
    if not isinstance(entry, StreamEntry):
        raise DriverError(f"driver {name} is polled: give poll_s and a bus that asks")
    return entry.make(dict(units), settled(entry.info, options))
