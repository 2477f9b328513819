"""Orthogonal distance regression by ODRPACK (Zwolak, Boggs, Watson 2007, ACM TOMS 33, 27): the library, where asked.

`odrpack` is an extra ("science") and is imported on the first call; the daemon never does.
"""

import math
from collections.abc import Sequence
from typing import Any

from calibration.fit.polynomial import FitError, Pair


def odr(pairs: Sequence[Pair], degree: int = 1) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    """Coefficients low to high and their unscaled covariance of a polynomial; both uncertainties above 0.

    Raises FitError where the library finds nothing, ImportError without the extra.
    """
    from odrpack import odr_fit

    def curve(x: Any, beta: Any) -> Any:
        return sum(one * x**power for power, one in enumerate(beta)) + 0.0 * x

    start = [math.fsum(one.y for one in pairs) / len(pairs)] + [0.0] * degree
    found = odr_fit(
        curve,
        [one.x for one in pairs],
        [one.y for one in pairs],
        start,
        weight_x=[one.u_x**-2 for one in pairs],
        weight_y=[one.u_y**-2 for one in pairs],
        diff_scheme="central",
        maxit=500,
        sstol=1e-15,
        partol=1e-13,
    )
    if not found.success:
        raise FitError(f"ODRPACK: {found.stopreason}")
    return tuple(map(float, found.beta)), tuple(tuple(map(float, row)) for row in found.cov_beta)
