"""What a run is for, how it may end, and the refusal of one that may not start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# calibration: its points are judged and, of a research series, adopted. check: judged, nothing is changed.
Purpose = Literal["calibration", "check", "blowback"]
# fault: a valve or a line failed. aborted: a person, a guard or the end of the station.
RunEnd = Literal["finished", "aborted", "fault"]
# busy: the same request may succeed later. fault: the station is starting or stopping. condition: anything else.
RefusalKind = Literal["condition", "busy", "fault"]


class RefusedError(ValueError):
    """A run that may not start; the text says why. The refusal is recorded."""

    def __init__(self, reason: str, kind: RefusalKind) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended. `unusable` names series of a finished run whose gas gave no result, and why."""

    run: str
    end: RunEnd
    reason: str | None
    unusable: Mapping[str, str]
