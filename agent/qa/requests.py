"""What may be asked of a running daemon about quality assurance: confirmations, adjustments, sign-offs."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from agent.qa.control import all_told
from agent.qa.signoff import SignOffs
from host.control import Handler, RequestError
from metrology.periods import HOUR_S, iso

if TYPE_CHECKING:
    from agent.daemon import Daemon

SERIES_MAX: Final = 1000


def handlers(daemon: "Daemon", text: Callable[[Mapping[str, Any], str], str]) -> dict[str, Handler]:
    """Handlers by name; `text` takes a text out of a request, or refuses."""
    index = daemon.index
    assert index is not None, "made with the daemon"
    offset_s = int(daemon.config.station.day_start_utc_offset_h * HOUR_S)
    sign_offs = SignOffs(daemon.log, index, [one.series for one in daemon.specs], daemon.clock, offset_s)

    async def _instruments(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield {"instruments": daemon.identities.status()}

    async def _confirm(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        name = text(request, "name")
        told = await daemon.identities.confirm(name, text(request, "who"), text(request, "reason"))
        yield {"instruments": {name: told}}

    async def _adjusted(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        series = text(request, "name")
        if series not in {spec.series for spec in daemon.specs}:
            raise RequestError(f"no series {series}")
        detail = {"series": series, "who": text(request, "who"), "reason": text(request, "reason")}
        record = await daemon.log.append("calibration", {"what": "adjustment", **detail})
        await daemon.calibrator.control.look()
        yield {**detail, "record": [record.epoch, record.seq]}

    async def _sign(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        words = [text(request, name) for name in ("period", "verdict", "who", "reason")]
        yield await sign_offs.sign(words[0], _series(request), *words[1:])

    async def _signed(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        listed = await sign_offs.listed()
        yield {"signed": [{"at": iso(one.at), "who": one.who, **one.fields()} for one in listed]}

    async def _intervals(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        found = await all_told(daemon.log, index)
        yield {"intervals": [one.fields() for one in found], "now": iso(daemon.clock.now())}

    return {
        "qa-intervals": _intervals,
        "instruments": _instruments,
        "instrument-confirm": _confirm,
        "qa-adjusted": _adjusted,
        "qa-signoff": _sign,
        "qa-signoffs": _signed,
    }


def _series(request: Mapping[str, Any]) -> list[str]:
    """Names in the request, none for all series."""
    found = request.get("series", [])
    if not isinstance(found, list) or len(found) > SERIES_MAX or not all(isinstance(one, str) for one in found):
        raise RequestError("series: a list of names is needed")
    return found
