"""The chain itself: one measurand of one instrument, minutes in, values and periods with budgets out."""

from collections.abc import Sequence

from calibration.chain.data import Minute, Result, Tank
from calibration.models.rules import Rules


def calibrate(
    minutes: Sequence[Minute], tanks: Sequence[Tank], rules: Rules, *, period_s: float = 3600.0, step_s: float = 60.0
) -> Result:
    """Calibrate `minutes` (in order of time, `step_s` apart) by the visits of `tanks` among them.

    Pure and deterministic. Raises ValueError where minutes are out of order or a standard has no assigned value; data
    that cannot be calibrated come back flagged, with findings that say why.
    """
    raise NotImplementedError
