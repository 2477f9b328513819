"""What the owner of a bus knows about one unit: counters, response times, and how long a silent one is left alone."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

BACKOFF_STEP_S: Final = 2.0
BACKOFF_REGULATED_S: Final = 15.0
BACKOFF_RESEARCH_S: Final = 300.0
RESPONSES_KEPT: Final = 64
# An answer is waited for this many times as long as the slowest of the last ones took, within these bounds and the
# bus's own `timeout_s`; before LEARNED_RESPONSES answers nothing is known.
PATIENCE: Final = 4.0
PATIENCE_S_MIN: Final = 0.25
LEARNED_RESPONSES: Final = 8
# A probe of a silent unit holds the line up for its neighbours, so it may be shorter still.
PROBE_S_MIN: Final = 0.1
# A unit may have become slower, or be slower than its neighbours: the first probe and each so many wait in full.
FULL_PROBE_EACH: Final = 8


@dataclass(slots=True)
class Unit:
    """One unit of a bus; `backoff_max_s` is wall time. It is parked while it fails, until `retry_at` (wall clock).

    `asked_at` is when the first question of its poll went out (world seconds of the clock that never steps).
    """

    backoff_max_s: float = BACKOFF_RESEARCH_S
    requests: int = 0
    timeouts: int = 0
    bad_answers: int = 0
    failures: int = 0
    retry_at: float = 0.0
    silent_since: datetime | None = None
    last_error: str | None = None
    asked_at: float | None = None
    responses: deque[float] = field(default_factory=lambda: deque(maxlen=RESPONSES_KEPT))

    @property
    def parked(self) -> bool:
        """True where the last try got no usable answer."""
        return self.failures > 0

    def answered(self, response_s: float | None) -> bool:
        """Note a sign of life; True where it ends a silence that was reported. None: the time it took says nothing."""
        if response_s is not None:
            self.responses.append(response_s)
        was_reported = self.failures > 1
        self.failures = 0
        self.silent_since = None
        return was_reported

    def failed(self, error: str, wall: float, now: datetime) -> bool:
        """Note a try in vain; True where it is the one to report: the second in a row (one lost answer is counted)."""
        self.failures += 1
        self.last_error = error
        self.silent_since = self.silent_since or now
        self.retry_at = wall + min(BACKOFF_STEP_S * self.failures, self.backoff_max_s)
        return self.failures == 2

    def patience_s(self, timeout_s: float) -> float:
        """Wall seconds to wait for an answer: as its last answers teach, at most `timeout_s`."""
        if len(self.responses) < LEARNED_RESPONSES:
            return timeout_s
        return min(timeout_s, max(PATIENCE_S_MIN, PATIENCE * max(self.responses)))

    def probe_s(self, timeout_s: float, neighbours_slowest_s: float | None) -> float:
        """Wall seconds to wait for the answer to a probe: by own answers, else by the neighbours', else `timeout_s`."""
        slowest = max(self.responses, default=neighbours_slowest_s)
        full = self.failures % FULL_PROBE_EACH == (1 if self.responses else 0)
        if slowest is None or full:
            return timeout_s
        return min(timeout_s, max(PROBE_S_MIN, PATIENCE * slowest))

    def status(self, wall: float, timeout_s: float) -> dict[str, Any]:
        """Counters and state for people; `timeout_s` is the bus's."""
        return {
            "requests": self.requests,
            "timeouts": self.timeouts,
            "bad_answers": self.bad_answers,
            "consecutive_failures": self.failures,
            "next_try_s": round(max(0.0, self.retry_at - wall), 1) if self.parked else None,
            "silent_since": self.silent_since.isoformat() if self.silent_since else None,
            "last_error": self.last_error,
            "response_s": round(sum(self.responses) / len(self.responses), 4) if self.responses else None,
            "patience_s": round(self.patience_s(timeout_s), 3),
        }
