"""Rows of recorded files, whatever their format: what the readers give and what averages and plateaus are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from metrology.quality import Cause

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
# A value that the file's own flag rejects; other causes are those of metrology.quality.
FLAGGED: Final = "flagged"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Sample(NamedTuple):
    """One value of one species: of a single reading, or a mean of `n` readings with their standard deviation (ddof 1).

    `value` is None where the file has none. A sample with a cause does not count in averages; the cause is shown.
    """

    species: str
    value: float | None
    n: int = 1
    sd: float | None = None
    cause: str | None = None


@dataclass(slots=True)
class Row:
    """What one line of a file says. `at` is in microseconds since 1970-01-01 00:00 of the file's own clock.

    `samples` holds fresh values only. `gas` is what the file itself says is flowing (`std`, `tgt`), empty for air,
    None where it says nothing.
    `port` is the position of a valve, None where the file has none. `offset` is the zone written in the stamp,
    microseconds east of UTC. `notes` are causes that leave the values counted. `code` says which species the analyzer
    has just renewed, `repeated` are the values that it only shows again. `line` counts from 1.
    """

    at: int
    samples: list[Sample]
    gas: str | None = None
    port: str | None = None
    offset: int | None = None
    notes: frozenset[Cause] = frozenset()
    code: str = ""
    line: int = 0
    repeated: Sequence[Sample] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A line, or a cell of it, that is not what the format says: `why` is a code, `detail` what was found.

    `stands` is True where only a cell was refused and the rest of the line counts.
    """

    line: int
    why: str
    detail: str = ""
    stands: bool = False


def iso(at: int, *, utc: bool = False) -> str:
    """ISO 8601 of a time in microseconds; milliseconds only where there are any; `Z` only for UTC."""
    moment = (_EPOCH + timedelta(microseconds=at)).replace(tzinfo=None)
    text = moment.isoformat(timespec="milliseconds" if at % SECOND else "seconds")
    return text + "Z" if utc else text
