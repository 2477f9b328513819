"""One read of every instrument over the real wires, nothing stored: what `plumeline check --dry-run` does.

Lines are read at the same time, the instruments of a line one after the other. No valve moves and no register is
written. An instrument that hands over a memory with each answer has handed it over.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agent.config import Bus, Config, Instrument
from agent.values.series import expected_per_minute, ranges_of
from agent.wires.bus import AskedBus, BusSilentError, asked_buses
from agent.wires.bus_wire import KeptWire
from agent.wires.line import GarbledError
from agent.wires.sources import listener_of
from agent.wires.wire import WireError
from drivers.base import BadAnswer
from drivers.registry import driver
from metrology.clock import Clock
from metrology.quality import Cause
from metrology.reading import Scan

# How long a line that speaks unasked is listened to: so many of its intervals, within these bounds of wall seconds.
INTERVALS: Final = 1.5
LISTEN_S_MIN: Final = 3.0
LISTEN_S_MAX: Final = 100.0
_WIRE_CODES: Final = {
    errno.ENOENT: "port-missing", errno.ENODEV: "port-missing", errno.ENXIO: "port-missing",
    errno.EACCES: "port-forbidden", errno.EPERM: "port-forbidden",
    errno.EBUSY: "port-taken", errno.EAGAIN: "port-taken",
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "unreachable", errno.ENETUNREACH: "unreachable", errno.ETIMEDOUT: "unreachable",
    errno.ECONNRESET: "hung-up", errno.EPIPE: "hung-up",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no reading: a code of `remedies.toml`, the system's or the instrument's own words, and places."""

    code: str
    text: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one read gave: wall seconds, and the newest scan (None where it had nothing new) or the failure."""

    instrument: str
    bus: str
    seconds: float | None
    scan: Scan | None = None
    failure: Failure | None = None


def row_of(outcome: Outcome, ranges: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """An outcome as JSON has it, the declared ranges applied."""
    return {
        "instrument": outcome.instrument,
        "bus": outcome.bus,
        "seconds": None if outcome.seconds is None else round(outcome.seconds, 4),
        "values": values_of(outcome.scan, ranges) if outcome.scan else {},
        "failure": None
        if outcome.failure is None
        else {"code": outcome.failure.code, "text": outcome.failure.text, **outcome.failure.values},
    }


def values_of(scan: Scan, ranges: Mapping[str, tuple[float, float]]) -> dict[str, dict[str, Any]]:
    """Values of a scan with units and causes; only series the station has."""
    rows = {}
    for reading in scan.readings:
        if (bounds := ranges.get(reading.series)) is None:
            continue
        causes = {cause.value for cause in reading.quality.causes}
        if reading.value is not None and not bounds[0] <= reading.value <= bounds[1]:
            causes.add(Cause.OUT_OF_RANGE.value)
        rows[reading.measurand] = {"value": reading.value, "unit": reading.unit, "causes": sorted(causes)}
    return rows


async def read_once(config: Config, clock: Clock) -> list[Outcome]:
    """Read every instrument of a station that no daemon runs, in the order of the configuration."""
    asked = asked_buses(config, clock, _nothing)
    reading = [_ask(asked[bus], bus, config) if bus in asked else _listen(bus, config, clock) for bus in config.buses]
    found = {one.instrument: one for outcomes in await asyncio.gather(*reading) for one in outcomes}
    return [found[name] for name in config.instruments]


def rows_of(config: Config, outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """All outcomes as JSON has them."""
    ranges = ranges_of(config)
    return [row_of(outcome, ranges) for outcome in outcomes]


def listen_s(blocks: Iterator[Instrument]) -> float:
    """Wall seconds to wait for instruments that speak unasked."""
    slowest = max((60.0 / expected_per_minute(block) for block in blocks), default=0.0)
    return min(max(INTERVALS * slowest, LISTEN_S_MIN), LISTEN_S_MAX)


def _nothing(what: str, detail: Mapping[str, Any]) -> None:
    """An event of a bus: there is no log."""


async def _ask(bus: AskedBus, name: str, config: Config) -> list[Outcome]:
    """Ask the instruments of one line in turn; a line that is gone is gone for all of them."""
    found: list[Outcome] = []
    try:
        for instrument, block in config.instruments.items():
            if block.bus == name:
                gone = next((one.failure for one in found if one.failure and one.failure.code in _GONE), None)
                found.append(
                    Outcome(instrument, name, None, failure=gone)
                    if gone
                    else await _poll(bus, instrument, block, config)
                )
    finally:
        bus.close()
    return found


async def _poll(bus: AskedBus, name: str, block: Instrument, config: Config) -> Outcome:
    loop = asyncio.get_running_loop()
    made = driver(block.driver, instrument=name, unit=block.unit, options=block.options)
    began = loop.time()
    try:
        scans = await bus.run_poll(block.unit, made.poll())
    except (BusSilentError, BadAnswer) as error:
        failure = _failure(error, config.buses[block.bus])
        return Outcome(name, block.bus, loop.time() - began, failure=failure)
    return Outcome(name, block.bus, loop.time() - began, scan=scans[-1] if scans else None)


async def _listen(name: str, config: Config, clock: Clock) -> list[Outcome]:
    """Hear each instrument of a line once, or all that speak within the time."""
    own = {one: block for one, block in config.instruments.items() if block.bus == name}
    seconds, heard = listen_s(iter(own.values())), dict[str, tuple[float, Scan]]()
    loop = asyncio.get_running_loop()
    began, came = loop.time(), 0
    kept = KeptWire(name, config.buses[name], clock, _nothing)

    async def take(scan: Scan) -> None:
        heard.setdefault(scan.instrument, (loop.time() - began, scan))

    listener = listener_of(config, name, take, clock)
    gone: Failure | None = None
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await kept.open()
                while len(heard) < len(own):
                    data = await kept.wire.read()
                    came += len(data)
                    await listener.feed(data, clock.now())
    except WireError as error:
        gone = _failure(error, config.buses[name])
    finally:
        kept.wire.close()
    code = "not-understood" if came else "nothing-heard"
    silent = gone or Failure(code, listener.last_fault or "", {"seconds": seconds, "bytes": came})
    return [
        Outcome(one, name, *heard[one]) if one in heard else Outcome(one, name, None, failure=silent) for one in own
    ]


_GONE: Final = frozenset({*_WIRE_CODES.values(), "name-unknown", "login", "wire"})


def _failure(error: Exception, bus: Bus) -> Failure:
    wire = bus.wire
    places = {"device": getattr(wire, "device", ""), "host": getattr(wire, "host", "")}
    return Failure(_code(list(_chain(error))), str(error), places)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _code(chain: list[BaseException]) -> str:
    """Which remedy fits an error, by what it came from."""
    if any(isinstance(one, WireError) for one in chain):
        return _wire_code(chain)
    if any(isinstance(one, GarbledError) for one in chain):
        return "garbled"
    first = chain[0]
    if isinstance(first, BadAnswer):
        return "exception" if first.modbus_exception else "nonsense"
    return "no-answer"


def _wire_code(chain: list[BaseException]) -> str:
    text = " ".join(map(str, chain))
    if any(isinstance(one, socket.gaierror) for one in chain):
        return "name-unknown"
    numbers = [one.errno for one in chain if isinstance(one, OSError) and one.errno in _WIRE_CODES]
    if numbers:
        return _WIRE_CODES[numbers[0]]
    by_words = {
        "holds it": "port-taken", "cannot be opened within": "unreachable", "Connect call failed": "refused",
        "closed by the peer": "hung-up", "Connection refused": "refused", "No route to host": "unreachable",
        "timed out": "unreachable", "service not known": "name-unknown", "ot authorized": "login",
        "Bad user name": "login", "refuses the topic": "login",
    }  # fmt: skip
    return next((code for words, code in by_words.items() if words in text), "wire")
