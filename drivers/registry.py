"""Drivers by name: maps, a station's own maps, line tables, Python drivers, entry points (group `plumeline.drivers`).

A driver is loaded when it is asked for, never all of them. Third parties and the firmware bridge come by entry points.
"""

import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoints, entry_points
from typing import Final

from drivers import tables
from drivers.base import (
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
# Python drivers of ours: the module, and the name of the entry in it.
_PYTHON: Final = {
    "alicat": "drivers.alicat:ENTRY",
    "bayern_hessen": "drivers.bayern_hessen:ENTRY",
    "bronkhorst": "drivers.bronkhorst:ENTRY",
    "dlt645": "drivers.dlt645:ENTRY",
    "gill_windsonic": "drivers.gill_windsonic:STREAM",
    "gill_windsonic_polled": "drivers.gill_windsonic:ENTRY",
    "lgr_gga": "drivers.lgr_gga:STREAM",
    "licor_li7810": "drivers.licor_li7810:STREAM",
    "licor_li850": "drivers.licor_li850:ENTRY",
    "licor_li850_stream": "drivers.licor_li850:STREAM",
    "ma_adam": "drivers.ma_adam:ENTRY",
    "ma_modbus": "drivers.ma_modbus:ENTRY",
    "mhz19": "drivers.mhz19:ENTRY",
    "nmea_gps": "drivers.nmea_gps:STREAM",
    "picarro": "drivers.picarro:ENTRY",
    "sds011": "drivers.sds011:ENTRY",
    "senseair_ram": "drivers.senseair_ram:ENTRY",
    "sps30": "drivers.sps30:ENTRY",
    "thermo_410i": "drivers.thermo_clink:CO2",
    "thermo_48i": "drivers.thermo_clink:CO",
    "vaisala_gmp343": "drivers.vaisala_gmp343:ENTRY",
    "vaisala_gmp343_run": "drivers.vaisala_gmp343:STREAM",
    "vici": "drivers.vici:ENTRY",
}


@cache
def _found_on(_path: tuple[str, ...]) -> EntryPoints:
    """Drivers that packages on this search path bring. Finding them reads every package's metadata: once is enough."""
    return entry_points(group=GROUP)


def _points() -> EntryPoints:
    return _found_on(tuple(sys.path))


def driver_names() -> list[str]:
    """All known drivers."""
    found = tables.names("maps") | tables.names("lines") | _PYTHON.keys() | set(_points().names)
    return sorted(found)


def entry(name: str) -> PolledEntry | StreamEntry:
    """What stands behind a name: its declaration, how it is made. Raises `DriverError` with the nearest name.

    The whole path of a register map is a name too: a station's own map.
    """
    if tables.is_own(name) or name in tables.names("maps"):
        return import_module("drivers.register_map").entry(name)  # type: ignore[no-any-return]
    if name in tables.names("lines"):
        return import_module("drivers.text_line").entry(name)  # type: ignore[no-any-return]
    if name in _PYTHON:
        module, _, attribute = _PYTHON[name].partition(":")
        return getattr(import_module(module), attribute)  # type: ignore[no-any-return]
    for point in _points().select(name=name):
        loaded = point.load()
        if not isinstance(loaded, PolledEntry | StreamEntry):
            raise DriverError(f"entry point {point.value} of {GROUP} is neither a PolledEntry nor a StreamEntry")
        return loaded
    raise unknown("driver", name, driver_names())


def describe(name: str) -> DriverInfo:
    """What the driver declares. Raises `DriverError` with the nearest name."""
    return entry(name).info


def driver(name: str, *, instrument: str, unit: int | None, options: Options) -> PolledDriver:
    """A polled driver for one instrument. Raises `DriverError` for unknown names and options, or values amiss."""
    found = entry(name)
    if not isinstance(found, PolledEntry):
        raise DriverError(f"driver {name} is fed by a stream, it is not polled: leave poll_s out")
    return found.make(instrument, unit, settled(found.info, options))


def stream_driver(name: str, units: Mapping[int, str], options: Options) -> StreamDriver:
    """A streaming driver for the instruments of one line, by unit address. Raises `DriverError`."""
    found = entry(name)
    if not isinstance(found, StreamEntry):
        raise DriverError(f"driver {name} is polled: give poll_s and a bus that asks")
    return found.make(dict(units), settled(found.info, options))
