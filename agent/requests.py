"""What may be asked of a running daemon over its socket."""

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from agent.backup.live import handlers as backup_handlers
from agent.clock.requests import handlers as clock_handlers
from agent.firmware.requests import handlers as firmware_handlers
from agent.gas.register_requests import handlers as register_handlers
from agent.history.daemon import handlers as history_handlers
from agent.ledger.keys import handlers as key_handlers
from agent.people import handlers as people_handlers
from agent.qa.requests import handlers as qa_handlers
from agent.reports import handlers as report_handlers
from agent.space.requests import handlers as space_handlers
from agent.update.running import handlers as update_handlers
from host.control import Handler, RequestError
from metrology.periods import iso
from metrology.reading import Measurement

if TYPE_CHECKING:
    from agent.daemon import Daemon

EVENTS_SHOWN: Final = 50
WATCH_WALL_S: Final = 1.0


def value_row(measurement: Measurement) -> dict[str, Any]:
    """One latest value for people and pages."""
    reading = measurement.reading
    return {
        "value": measurement.value,
        "indication": reading.value,
        "unit": reading.unit,
        "at": iso(reading.at),
        "causes": sorted(reading.quality.causes),
        "calibration": measurement.calibration,
    }


def status(daemon: "Daemon") -> dict[str, Any]:
    """Everything about the running station."""
    now = daemon.clock.now()
    return {
        "station": daemon.config.station.model_dump(mode="json"),
        "now": iso(now),
        "rate": daemon.clock.rate,
        "uptime_s": round((now - daemon.started).total_seconds(), 1),
        "log": {"epoch": daemon.log.epoch, "records": daemon.log.next_seq, "uncommitted": daemon.log.pending},
        "space": daemon.space.status(),
        "scans": daemon.intake.scans,
        "late_readings": daemon.averager.late,
        "clock_steps": daemon.clock_watch.steps,
        "clock": daemon.clock_state.status(),
        "buses": {
            **{name: bus.status() for name, bus in daemon.buses.items()},
            **{name: bus.status() for name, bus in daemon.sources.streams.items()},
        },
        "instruments": {name: poller.status() for name, poller in daemon.sources.pollers.items()},
        "stacks": daemon.stacks.status() if daemon.stacks else {},
        "listeners": {bus: listener.status() for bus, listener in daemon.sources.listeners.items()},
        "uplinks": {name: uplink.status() for name, uplink in daemon.uplinks.items()},
        "calibration": daemon.calibrator.status(),
        "maintenance": daemon.maintenance.status(),
        "values": {series: value_row(m) for series, m in sorted(daemon.live.latest.items())},
    }


def handlers(daemon: "Daemon") -> Mapping[str, Handler]:
    """Handlers by name; each gives one answer, `watch` one a second until the asker goes away."""

    async def _status(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield status(daemon)

    async def _watch(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        while True:
            now = iso(daemon.clock.now())
            yield {"now": now, "values": {s: value_row(m) for s, m in sorted(daemon.live.latest.items())}}
            await daemon.clock.sleep_wall(WATCH_WALL_S)

    async def _events(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        # Events are read from the log's tail, in its own thread, and never block the loop.
        after = max(-1, daemon.log.next_seq - 1 - EVENTS_SHOWN * 100)
        rows = await daemon.log.read(after, kinds=frozenset({"event", "calibration", "gap"}), limit=500)
        yield {"events": [row.fields for row in rows[-EVENTS_SHOWN:]]}

    async def _read(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        from agent.next_scans import next_scans

        async for row in next_scans(daemon.config, daemon.intake, daemon.clock):
            yield row

    async def _start(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield await daemon.calibrator.start(_text(request, "name"), _text(request, "who"))

    async def _abort(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield await daemon.calibrator.abort(_text(request, "who"))

    async def _maintenance(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        if request.get("on") is True:
            until = None if request.get("until") is None else _text(request, "until")
            await daemon.maintenance.lock(_text(request, "who"), _text(request, "reason"), until)
        else:
            await daemon.maintenance.unlock(_text(request, "who"))
        yield daemon.maintenance.status()

    return {
        "status": _status,
        "watch": _watch,
        "events": _events,
        "read": _read,
        "calibrate-start": _start,
        "calibrate-abort": _abort,
        "maintenance": _maintenance,
        "recompute": daemon.recomputing.serve,
        "scan": lambda request: daemon.scans.serve(request, _text(request, "who")),
        **firmware_handlers(daemon, _text),
        **qa_handlers(daemon, _text),
        **register_handlers(daemon),
        **history_handlers(daemon),
        **report_handlers(daemon, _text),
        **key_handlers(daemon, _text),
        **space_handlers(daemon, _text),
        **backup_handlers(daemon, _text),
        **clock_handlers(daemon, _text),
        **people_handlers(daemon),
        **update_handlers(daemon, _text),
    }


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise RequestError(f"{name}: a text of 1 to 200 characters is needed")
    return value
