"""Whether a gas, or air after it, has settled: judged by slope and spread of the last readings, not by the clock.

A flush that is too short leaves a slope in the window; a fixed one is too long on all other days. Slope by least
squares, spread as the standard deviation of the sample (n - 1), both over the window (`calibration.evaluate.window`).
"""

import math
from collections import defaultdict, deque
from typing import Final

from calibration.evaluate import Sample, window
from calibration.sequence import Stability

# Of fewer readings neither slope nor spread says anything.
READINGS_MIN: Final = 3
# A full window's readings, at most; 10 Hz for ten minutes.
KEPT_MAX: Final = 6000


class Settling:
    """Takes readings from the instant the port was opened (`began_s`, any scale of seconds) and judges them."""

    def __init__(self, limits: Stability, began_s: float) -> None:
        self._limits = limits
        self._began_s = began_s
        self._samples: dict[str, deque[Sample]] = defaultdict(lambda: deque(maxlen=KEPT_MAX))
        self._measurands = sorted({*limits.slope_max, *limits.stdev_max})

    def take(self, measurand: str, sample: Sample) -> None:
        """Take a usable reading; those of measurands without a limit, of before, and no numbers, are left out."""
        if measurand in self._measurands and sample.at_s >= self._began_s and math.isfinite(sample.value):
            self._samples[measurand].append(sample)

    def restless(self, now_s: float) -> dict[str, str]:
        """Why each measurand does not count as settled; empty where all is steady and the least time is over."""
        if now_s - self._began_s < self._limits.least_s:
            return dict.fromkeys(self._measurands, f"{now_s - self._began_s:.0f} s of flush")
        found = ((measurand, self._why(measurand, now_s)) for measurand in self._measurands)
        return {measurand: why for measurand, why in found if why}

    def _why(self, measurand: str, now_s: float) -> str | None:
        rows = [one for one in self._samples[measurand] if one.at_s >= now_s - self._limits.window_s]
        if len(rows) < READINGS_MIN:
            return f"{len(rows)} readings in {self._limits.window_s:g} s"
        seen = window(rows)
        slope, spread = self._limits.slope_max.get(measurand), self._limits.stdev_max.get(measurand)
        if slope is not None and not (seen.slope_per_min is not None and abs(seen.slope_per_min) <= slope):
            return f"slope {seen.slope_per_min} per minute, above {slope:g}"
        if spread is not None and not (seen.sd is not None and seen.sd <= spread):
            return f"standard deviation {seen.sd}, above {spread:g}"
        return None
