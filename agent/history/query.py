"""The questions of `host.history` as SQL on a station database, for the daemon's own and for one opened to read."""

from collections.abc import Collection
from typing import Any, Final

Statement = tuple[str, tuple[Any, ...]]
# `until` in `indexed` and the page's limit bound what one answer holds.
ROWS_MAX: Final = 500


def indexed(
    kind: str, what: Collection[str], period_s: int | None, since: tuple[str, int, int], until: str, limit: int
) -> Statement:
    """Bodies of one page; see `Source.indexed`."""
    at, epoch, seq = since
    values: tuple[Any, ...] = (at, at, epoch, seq, until)
    if period_s is not None:
        test, values = "period_s = ?", (period_s, *values)
    else:
        test, values = f"kind = ?{_in(what)}", (kind, *sorted(what), *values)
    page = " AND at >= ? AND (at, epoch, seq) > (?, ?, ?) AND at < ? ORDER BY at, epoch, seq LIMIT ?"
    return f"SELECT body FROM entry WHERE {test}{page}", (*values, min(limit, ROWS_MAX))


def newest(kind: str, what: Collection[str], before: str) -> Statement:
    """Body of one record at most; see `Source.newest`."""
    test = f"kind = ?{_in(what)} AND at < ? ORDER BY at DESC, epoch DESC, seq DESC LIMIT 1"
    return f"SELECT body FROM entry WHERE {test}", (kind, *sorted(what), before)


def _in(what: Collection[str]) -> str:
    return f" AND what IN ({', '.join('?' * len(what))})" if what else ""
