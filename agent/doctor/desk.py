"""Scans of a line the daemon owns: between its own questions, under marks, on record, and never for long.

The codecs and signatures a scan needs are imported by the first one.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from agent.config import Bus
from agent.config_wires import SerialWire, TcpWire
from host.control import RequestError
from metrology.quality import Cause, Mark

if TYPE_CHECKING:
    from agent.daemon import Daemon
    from agent.doctor.places import Plan
    from agent.doctor.scan import Report

SCAN_WALL_S_MAX: Final = 600.0
# The asker hears something at least this often; that is also how it is noticed that nobody listens any more.
BEAT_WALL_S: Final = 0.5
UNIT_MAX: Final = 255
TIMEOUT_S_MAX: Final = 10.0


@dataclass(slots=True)
class _Going:
    """One scan: who asked, and why it was ended early."""

    who: str
    task: "asyncio.Task[Report]"
    cut: str | None = None

    def end(self, why: str) -> None:
        """End it early."""
        self.cut = self.cut or why
        self.task.cancel()


class ScanDesk:
    """One for a daemon. Scans end with `run`, before the wires are closed."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self._group: asyncio.TaskGroup | None = None
        self._going: dict[str, _Going] = {}
        daemon.maintenance.before_lock(self._give_way)

    async def run(self) -> None:
        """Carry out scans until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    async def serve(self, request: Mapping[str, Any], who: str) -> AsyncIterator[dict[str, Any]]:
        """Answers to one request: `bus` None where the place is none of ours; else a refusal, or progress and a report.

        Who stops listening ends the scan. Raises RequestError for a request that makes no sense.
        """
        name = self._bus_at(request)
        if name is None:
            yield {"bus": None}
            return
        if (refusal := self._refusal(name, request, who)) is not None:
            self._daemon.event("scan-refused", {"origin": who, "bus": name, "reason": refusal})
            yield {"bus": name, "refused": refusal}
            return
        said: list[tuple[str, int, int, int]] = [("", 0, 0, 0)]
        going = self._begun(name, request, who, said)
        try:
            while not going.task.done():
                yield {"bus": name, "progress": said[-1]}
                await asyncio.wait({going.task}, timeout=BEAT_WALL_S)
                if self._daemon.calibrator.busy:
                    going.end("run")
            yield self._told(name, going)
        finally:
            going.end("left")
            await asyncio.wait({going.task})

    def _begun(self, name: str, request: Mapping[str, Any], who: str, said: list[Any]) -> _Going:
        assert self._group is not None, "refused otherwise"
        plan = _plan(request)
        going = _Going(who, self._group.create_task(self._scan(name, plan, who, said), name=f"scan-{name}"))
        self._going[name] = going
        going.task.add_done_callback(lambda _: self._going.pop(name))
        return going

    def _bus_at(self, request: Mapping[str, Any]) -> str | None:
        """The bus whose wire leads to the place."""
        place, port = request.get("place"), request.get("port")
        if not isinstance(place, str) or not 0 < len(place) <= 200:
            raise RequestError("place: a text of 1 to 200 characters is needed")
        for name, bus in self._daemon.config.buses.items():
            match bus.wire:
                case SerialWire(device=device) if port is None and os.path.realpath(device) == os.path.realpath(place):
                    return name
                case TcpWire(host=host) if host == place and bus.wire.port == port:
                    return name
        return None

    def _refusal(self, name: str, request: Mapping[str, Any], who: str) -> str | None:
        bus = self._daemon.config.buses[name]
        lock = self._daemon.maintenance.held
        if self._group is None:
            return "the station is not running"
        if bus.protocol == "stream":
            return f"bus {name} is only listened to: stop the daemon to ask on it (systemctl stop plumeline)"
        if (other := _other_setting(bus, request)) is not None:
            return f"bus {name} keeps {_setting(bus)}: for {other} stop the daemon (systemctl stop plumeline)"
        if lock is not None and lock.owner != who:
            return f"maintenance lock of {lock.owner}: {lock.reason}"
        if self._daemon.calibrator.busy:
            return "a run with gas is going on"
        if name in self._going:
            return f"{self._going[name].who} scans bus {name}"
        return None

    async def _give_way(self, owner: str) -> None:
        going = [one for one in self._going.values() if one.who != owner]
        for one in going:
            one.end("lock")
        if going:
            await asyncio.wait({one.task for one in going})

    async def _scan(self, name: str, plan: "Plan", who: str, said: list[Any]) -> "Report":
        from agent.doctor.places import Place
        from agent.doctor.scan import Report, scan_lent

        config = self._daemon.config.buses[name]
        wire = config.wire.model_dump(mode="json", exclude_unset=True)
        place = Place(wire.get("device") or wire["host"], wire.get("port"), name)
        report = Report(place)

        def progress(*now: Any) -> None:
            said[-1] = now

        with self._marked(name, who, report):
            try:
                async with asyncio.timeout(SCAN_WALL_S_MAX):
                    await scan_lent(report, config, self._daemon.buses[name], plan, progress)
            except TimeoutError:
                report.stopped = "time"
        return replace(report, found=[replace(one, configured=self._named(name, one.unit)) for one in report.found])

    @contextmanager
    def _marked(self, name: str, who: str, report: "Report") -> Iterator[None]:
        """The marks of a scan on all instruments of its bus, and its records; they end whatever happens."""
        daemon = self._daemon
        began = daemon.clock.now()
        mark = Mark(Cause.MAINTENANCE, f"scan:{who}", began)
        instruments = [one for one, block in daemon.config.instruments.items() if block.bus == name]
        for instrument in instruments:
            daemon.intake.add_mark(instrument, mark)
        daemon.event("scan-started", {"origin": who, "bus": name, "marked": instruments})
        ended = "cut"
        try:
            yield
            ended = report.stopped or "done"
        finally:
            for instrument in instruments:
                daemon.intake.remove_mark(instrument, mark)
            seconds = round((daemon.clock.now() - began).total_seconds(), 1)
            found = [{"unit": one.unit, "driver": one.known.driver} for one in report.found]
            detail = {"origin": who, "bus": name, "found": found, "ended": ended, "seconds": seconds}
            daemon.event("scan-finished", detail)

    def _named(self, bus: str, unit: int | None) -> str | None:
        own = self._daemon.config.instruments.items()
        return next((name for name, block in own if (block.bus, block.unit) == (bus, unit)), None)

    def _told(self, name: str, going: _Going) -> dict[str, Any]:
        if going.task.cancelled():
            return {"bus": name, "cut": going.cut or "stop"}
        return {"bus": name, "report": going.task.result().fields()}


def _setting(bus: Bus) -> str:
    wire = bus.wire
    return (
        f"{wire.baud} {wire.data_bits}{wire.parity}{wire.stop_bits}" if isinstance(wire, SerialWire) else "its setting"
    )


def _other_setting(bus: Bus, request: Mapping[str, Any]) -> str | None:
    """A speed or parity that was asked for and is not the one in use."""
    if not isinstance(bus.wire, SerialWire):
        return None
    asked = [*(request.get("bauds") or []), *(request.get("parities") or [])]
    others = [str(one) for one in asked if one not in (bus.wire.baud, bus.wire.parity)]
    return ", ".join(others) or None


def _plan(request: Mapping[str, Any]) -> "Plan":
    """How to ask, from a request. Raises RequestError."""
    from agent.doctor.places import WAYS, Plan

    units, ask, timeout_s = request.get("units"), request.get("ask"), request.get("timeout_s")
    if not isinstance(units, list) or not all(isinstance(one, int) and 0 < one <= UNIT_MAX for one in units):
        raise RequestError(f"units: a list of addresses from 1 to {UNIT_MAX} is needed")
    if ask is not None and ask not in WAYS:
        raise RequestError(f"ask: one of {', '.join(WAYS)}, or nothing")
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s <= TIMEOUT_S_MAX:
        raise RequestError(f"timeout_s: a number up to {TIMEOUT_S_MAX:g} is needed")
    return Plan((), (), tuple(dict.fromkeys(units)), timeout_s, 0.0, True, (ask,) if ask else ())
