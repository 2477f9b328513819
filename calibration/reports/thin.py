"""Fewer points for a chart, with every peak kept."""

from calibration.reports.document import Line, RecordId

POINTS_MAX = 3000


def thinned(line: Line, points: int = POINTS_MAX) -> Line:
    """The line with at most about `points` points: of each group of neighbours the lowest and the highest.

    A group that holds a gap keeps one, so that a break stays a break.
    """
    if len(line.x) <= points:
        return line
    size = -(-2 * len(line.x) // points)
    kept: list[int] = []
    for start in range(0, len(line.x), size):
        group = range(start, min(start + size, len(line.x)))
        known = [(value, at) for at in group if (value := line.y[at]) is not None]
        chosen = {min(known)[1], max(known)[1]} if known else {group[0]}
        if known and len(known) < len(group):
            chosen.add(next(at for at in group if line.y[at] is None))
        kept += sorted(chosen)
    records: tuple[RecordId | None, ...] = tuple(line.records[at] for at in kept) if line.records else ()
    return Line(line.name, tuple(line.x[at] for at in kept), tuple(line.y[at] for at in kept), line.shape, records)
