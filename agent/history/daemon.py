"""The same of a running daemon: what it answers over its socket, and the source that asks it."""

import base64
import json
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import Field

from agent.history import query
from agent.store.index import Index
from agent.store.log import Log
from agent.store.segment import place_fields
from host.control import Handler, RequestError, ask_now
from host.history import Fields
from host.hjson import Strict
from protocols import record

Asked = TypeVar("Asked", bound=Strict)

# What the store's numbers can be.
Number = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Kept(Protocol):
    """What of the daemon is asked."""

    log: Log
    index: Index | None


class Indexed(Strict):
    """One page by time."""

    kind: str
    what: list[str] = Field(max_length=100)
    period_s: Number | None
    since: tuple[str, Number, Number] = Field(strict=False)
    until: str
    limit: int = Field(ge=1, le=query.ROWS_MAX)


class Newest(Strict):
    """The last one before a time."""

    kind: str
    what: list[str] = Field(max_length=100)
    before: str


class Numbered(Strict):
    """One page by number."""

    epoch: Number
    after: Number
    kinds: list[str] = Field(max_length=len(record.KINDS))
    limit: int = Field(ge=1, le=query.ROWS_MAX)


class Placed(Strict):
    """A record by number."""

    epoch: Number
    seq: Number


class SeqAt(Strict):
    """A number by time."""

    epoch: Number
    at: str


def handlers(daemon: Kept) -> Mapping[str, Handler]:
    """`history-...`: one page of records, in the log's own thread; commits wait for no more than a page."""

    async def found(statement: query.Statement) -> dict[str, Any]:
        if daemon.index is None:
            raise RequestError("the station database is not open")
        return {"bodies": [body.decode() for body in await daemon.log.call(daemon.index.bodies, *statement)]}

    async def _indexed(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        asked = _asked(Indexed, request)
        yield await found(query.indexed(asked.kind, asked.what, asked.period_s, asked.since, asked.until, asked.limit))

    async def _newest(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        asked = _asked(Newest, request)
        yield await found(query.newest(asked.kind, asked.what, asked.before))

    async def _numbered(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        asked = _asked(Numbered, request)
        kinds = record.KINDS & frozenset(asked.kinds)
        rows = await daemon.log.read(asked.after, kinds=kinds, limit=asked.limit, epoch=asked.epoch)
        yield {"bodies": [row.body.decode() for row in rows]}

    async def _seq_at(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        asked = _asked(SeqAt, request)
        yield {"seq": await daemon.log.seq_at(asked.epoch, asked.at)}

    async def _epochs(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield {"epochs": await daemon.log.epochs()}

    async def _tree_before(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        asked = _asked(Placed, request)
        frontier = await daemon.log.tree_before(asked.epoch, asked.seq)
        yield {"frontier": base64.b64encode(frontier.to_bytes()).decode() if frontier else None}

    async def _ledger(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        places = {name: place_fields(place) for name, place in daemon.log.places.items()}
        yield {"delivered": places, "vkey": daemon.log.vkey}

    return {
        "history-tree-before": _tree_before,
        "history-ledger": _ledger,
        "history-indexed": _indexed,
        "history-newest": _newest,
        "history-numbered": _numbered,
        "history-seq-at": _seq_at,
        "history-epochs": _epochs,
    }


def _asked(kind: type[Asked], request: Mapping[str, Any]) -> Asked:
    """The request by its shape. Raises ValueError (pydantic's), which tells who asked what is wrong."""
    return kind.model_validate({name: value for name, value in request.items() if name != "do"})


class DaemonSource:
    """A `Source` that asks a running daemon. Every method raises RequestError where none answers."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    def _one(self, do: str, **members: Any) -> dict[str, Any]:
        return next(ask_now(self._socket, {"do": f"history-{do}", **members}))

    def _bodies(self, do: str, **members: Any) -> list[Fields]:
        return [json.loads(body) for body in self._one(do, **members)["bodies"]]

    def indexed(
        self,
        kind: str,
        what: Collection[str],
        period_s: int | None,
        since: tuple[str, int, int],
        until: str,
        limit: int,
    ) -> list[Fields]:
        """See `host.history.Source`."""
        members = {"kind": kind, "what": sorted(what), "period_s": period_s, "since": since, "until": until}
        return self._bodies("indexed", **members, limit=limit)

    def newest(self, kind: str, what: Collection[str], before: str) -> Fields | None:
        """See `host.history.Source`."""
        found = self._bodies("newest", kind=kind, what=sorted(what), before=before)
        return found[0] if found else None

    def numbered(self, epoch: int, after: int, kinds: Collection[str], limit: int) -> list[Fields]:
        """See `host.history.Source`."""
        return self._bodies("numbered", epoch=epoch, after=after, kinds=sorted(kinds), limit=limit)

    def seq_at(self, epoch: int, at: str) -> int:
        """See `host.history.Source`."""
        return int(self._one("seq-at", epoch=epoch, at=at)["seq"])

    def epochs(self) -> list[int]:
        """See `host.history.Source`."""
        return list(self._one("epochs")["epochs"])

    def tree_before(self, epoch: int, seq: int) -> str | None:
        """See `host.history.Ledger`."""
        found = self._one("tree-before", epoch=epoch, seq=seq)["frontier"]
        return None if found is None else str(found)

    def delivered(self) -> dict[str, Fields]:
        """See `host.history.Ledger`."""
        return dict(self._one("ledger")["delivered"])

    def vkey(self) -> str | None:
        """See `host.history.Ledger`."""
        return str(self._one("ledger")["vkey"])
