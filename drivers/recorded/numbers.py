"""Cells of recorded files: numbers, and the many ways in which loggers write that there is none."""

import math
from typing import Final

# What loggers write for no value: Campbell (NAN, 7999, -6999 as text), GCWerks (nan), spreadsheets, NOAA (-999.99).
WORDS: Final = frozenset({
    "", "-", "--", "nan", "-nan", "na", "n/a", "null", "none", "inf", "-inf", "+inf", "infinity", "-infinity", "nd",
    "#n/a", "#div/0!", "#value!", "1.#qnan", "-1.#ind", "1.#inf", "missing", "\\n",
})  # fmt: skip
SENTINELS: Final = frozenset({
    -99.99, -999.0, -999.9, -999.99, -999.999, -6999.0, -7999.0, -9999.0, -9999.9, -9999.99, -9999.999, -99999.0,
    -999999.0,
})  # fmt: skip


def number(text: str, missing: frozenset[float] = SENTINELS) -> float | None:
    """The number in a cell; None where the logger says that it has none. Raises ValueError for anything else."""
    try:
        value = float(text)
    except ValueError:
        if text.strip().strip('"').lower() in WORDS:
            return None
        raise
    if not math.isfinite(value):
        return None
    # Python reads "1_0" as 10: no logger writes that.
    if "_" in text:
        raise ValueError(text)
    return None if value in missing else value
