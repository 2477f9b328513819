"""What may be asked of a running daemon about holds and second copies."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from agent.space.days import Day
from host.control import Handler, RequestError
from metrology.periods import iso

if TYPE_CHECKING:
    from agent.daemon import Daemon


Text = Callable[[Mapping[str, Any], str], str]


def handlers(daemon: "Daemon", text: Text) -> dict[str, Handler]:
    """Handlers by name; `text` takes a text out of a request, or refuses."""
    return {**_of_holds(daemon, text), **_of_archives(daemon, text)}


def _of_holds(daemon: "Daemon", text: Text) -> dict[str, Handler]:
    keeper = daemon.space

    async def _hold(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        words = [text(request, name) for name in ("from", "to", "who", "reason")]
        # A deletion that has looked at the holds is ended first.
        async with keeper.deletion.guard:
            yield {"hold": (await keeper.deletion.holds.set(*words)).fields()}

    async def _lift(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        words = [text(request, name) for name in ("hold", "who", "reason")]
        yield {"hold": (await keeper.deletion.holds.lift(*words)).fields()}

    async def _holds(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield {"holds": [one.fields() for one in await keeper.deletion.holds.now()]}

    return {"hold-set": _hold, "hold-lift": _lift, "holds": _holds}


def _of_archives(daemon: "Daemon", text: Text) -> dict[str, Handler]:
    keeper = daemon.space

    async def _days(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        rows = await keeper.deletion.copies.archived()
        known = {(row["of_epoch"], row["first"], row["medium"]) for row in rows}
        days = await keeper.deletion.days.closed()
        yield {
            "vkeys": daemon.log.vkeys,
            "station": daemon.config.station.id,
            "days": [
                {
                    "path": str(day.path), "epoch": day.epoch, "first": day.first, "next": day.next_seq,
                    "since": iso(day.since), "until": iso(day.until),
                    "media": sorted(one[2] for one in known if one[:2] == (day.epoch, day.first)),
                }
                for day in days
            ],
        }  # fmt: skip

    async def _day(request: Mapping[str, Any]) -> Day:
        name = text(request, "file")
        found = next((one for one in await keeper.deletion.days.closed() if one.path.name == name), None)
        if found is None:
            raise RequestError(f"{name} is no closed day with raw")
        return found

    async def _root(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        root = await keeper.deletion.days.root(await _day(request))
        yield {"root": None if root is None else root.fields()}

    async def _archived(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        day = await _day(request)
        root = await keeper.deletion.days.root(day)
        # Who copied says what the copy was verified by; it counts only where that is what was signed here.
        if root is None or (root.checkpoint["size"], root.checkpoint["root"]) != (
            request.get("size"),
            text(request, "root"),
        ):
            raise RequestError(f"{day.path.name}: another root than the one signed here")
        detail = {name: text(request, name) for name in ("medium", "root", "sha256", "who")}
        span = {"file": day.path.name, "of_epoch": day.epoch, "first": day.first, "last": day.next_seq - 1}
        row = await daemon.log.append(
            "event", {"what": "archived", "origin": "archive", **span, "size": request["size"], **detail}
        )
        yield {"record": [row.epoch, row.seq]}

    return {"archive-days": _days, "archive-root": _root, "archived": _archived}
