"""Signing of reports by the running daemon: it signs what a report states of itself, and keeps a record that it did."""

import base64
import binascii
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from calibration.reports.document import KINDS
from host.control import Handler, RequestError
from host.reports.twin import Statement
from metrology.periods import iso, parse_iso
from protocols.tlog import HASH_BYTES

if TYPE_CHECKING:
    from agent.daemon import Daemon

_NONE: Final = (None, "")


def handlers(daemon: "Daemon", text: Callable[[Mapping[str, Any], str], str]) -> dict[str, Handler]:
    """`report-sign`: the note over a statement; `text` takes a text out of a request, or refuses."""

    async def _sign(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        kind, who = text(request, "kind"), text(request, "who")
        if kind not in KINDS:
            raise RequestError(f"kind {kind}: one of {', '.join(KINDS)}")
        since, until = (iso(parse_iso(text(request, name))) for name in ("since", "until"))
        twin = _hash(text(request, "twin"))
        page = None if request.get("page") in _NONE else _hash(text(request, "page"))
        stated = Statement(daemon.config.station.id, kind, since, until, twin, page)
        # On record before it is given away: no report of the station is signed that the ledger does not know.
        event = {"what": "report-made", "origin": who, "report": kind, "since": since, "until": until, "sha256": twin}
        record = await daemon.log.append("event", {**event, **({"page": page} if page else {})})
        yield {"note": daemon.signer.sign(stated.text), "record": [record.epoch, record.seq]}

    return {"report-sign": _sign}


def _hash(text: str) -> str:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"{text}: not base64") from error
    if len(data) != HASH_BYTES or base64.b64encode(data).decode() != text:
        raise RequestError(f"{text}: not the SHA-256 of anything")
    return text
