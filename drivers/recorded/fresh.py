"""The stale-row trap: an analyzer that measures one gas after the other repeats the old values of the others in a row.

Which code of the column `species` renews which column is learnt from the file itself: a column is fresh on the codes
on which it changes in most rows. Codes of the Picarro G2301 and G2401 stand in for what a short file cannot show.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from metrology.recorded import Refused, Row

# Rows looked at before the first is given out: what bounds the memory.
LEARN_ROWS: Final = 600
_ROWS_MIN: Final = 5
_CHANGES_MIN: Final = 0.5
_BETWEEN_MAX: Final = 0.1
# Recorded G2301 log: 1 renews wet CO2, 2 wet CH4, 3 both columns of water and every dry column; G2401: 4 renews CO
# (unverified).
_KNOWN: Final = {"co2": 1.0, "ch4": 2.0, "co": 4.0}
_WATER: Final = 3.0
# Logs of other models have other codes: nothing is known of those.
_CODES: Final = (1.0, 2.0, 3.0, 4.0)


def fresh(rows: Iterable[Row | Refused]) -> Iterator[Row | Refused]:
    """The same rows with their fresh samples only; rows without a code stay whole."""
    held: list[Row | Refused] = []
    codes: dict[str, dict[str, bool]] | None = None
    for row in rows:
        if codes is None:
            held.append(row)
            if len(held) >= LEARN_ROWS:
                codes = learnt(held)
                yield from (_only_fresh(one, codes) for one in held)
                held = []
        else:
            yield _only_fresh(row, codes)
    if codes is None:
        codes = learnt(held)
        yield from (_only_fresh(one, codes) for one in held)


def learnt(rows: Sequence[Row | Refused]) -> dict[str, dict[str, bool]]:
    """For each species and code, whether a row of that code renews it; no codes for one that is always fresh."""
    last: dict[str, float | None] = {}
    seen: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for row in rows:
        if not isinstance(row, Row):
            continue
        for sample in row.samples:
            if sample.species in last:
                counts = seen[sample.species][row.code]
                counts[0] += 1
                counts[1] += sample.value != last[sample.species]
            last[sample.species] = sample.value
    resampled = _between(rows)
    return {species: {} if resampled else _judged(species, codes) for species, codes in seen.items()}


def _told_by_table(code: str) -> bool:
    try:
        return float(code) in _CODES
    except ValueError:
        return False


def _between(rows: Sequence[Row | Refused]) -> bool:
    """True for a re-sampled log: its codes lie between whole numbers, and every row of it is made of fresh values."""
    codes = [row.code for row in rows if isinstance(row, Row) and row.code]
    return sum(not _whole(code) for code in codes) > _BETWEEN_MAX * len(codes)


def _whole(code: str) -> bool:
    try:
        return float(code).is_integer()
    except ValueError:
        return True


def _judged(species: str, codes: dict[str, list[int]]) -> dict[str, bool]:
    if len(codes) < 2 or not any(changes for _, changes in codes.values()):
        return {}
    return {
        code: changes / rows > _CHANGES_MIN if rows >= _ROWS_MIN else _by_table(species, code)
        for code, (rows, changes) in codes.items()
    }


def _by_table(species: str, code: str) -> bool:
    return not _told_by_table(code) or float(code) == _KNOWN.get(species, _WATER)


def _only_fresh(row: Row | Refused, codes: dict[str, dict[str, bool]]) -> Row | Refused:
    if isinstance(row, Row) and row.code:
        kept, repeated = [], []
        for sample in row.samples:
            known = codes.get(sample.species)
            is_fresh = known.get(row.code) if known else None if known is None else True
            if is_fresh or (is_fresh is None and _by_table(sample.species, row.code)):
                kept.append(sample)
            else:
                repeated.append(sample)
        row.samples, row.repeated = kept, repeated
    return row
