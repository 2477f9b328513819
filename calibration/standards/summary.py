"""What people see of a cylinder: values, fit, stock and cautions of a moment, as plain data for pages and `--json`."""

import math
from datetime import datetime, timedelta
from typing import Any

from calibration.standards.cautions import cautions
from calibration.standards.cylinder import Cylinder, Kept, row_fields
from calibration.standards.drift import DriftFit
from calibration.standards.value import day_text
from metrology.periods import iso


def summary(cylinder: Cylinder, now: datetime) -> dict[str, Any]:
    """A cylinder as it stands now (aware UTC). JSON members only."""
    return {
        **row_fields(cylinder.row),
        "in_use": cylinder.in_use,
        "expires": day_text(cylinder.expires),
        "values": {measurand: _value(cylinder, measurand, now) for measurand in cylinder.measurands},
        "stock": cylinder.stock._asdict(),
        "cautions": [{"kind": one.kind, **one.detail} for one in cautions(cylinder, now)],
    }


def whole(cylinder: Cylinder, now: datetime) -> dict[str, Any]:
    """The same with its past: certificates, pressures and every act."""
    return {
        **summary(cylinder, now),
        "certificates": [_kept(one) for one in cylinder.certificates],
        "superseded": [_kept(one) for one in cylinder.superseded],
        "pressures": [{"at": iso(one.at), "bar": one.bar} for one in cylinder.pressures],
        "history": [
            {"record": list(one.record), "at": iso(one.at), "act": one.act, "who": one.who, "reason": one.reason,
             "name": one.name, "certificate": one.certificate}
            for one in cylinder.history
        ],
    }  # fmt: skip


def rounded(value: float, u: float) -> tuple[str, str]:
    """A value and its standard uncertainty for people: two digits of the latter, the former to the same place."""
    if u <= 0.0:
        return f"{value:.9g}", "0"
    places = max(0, 1 - math.floor(math.log10(u)))
    return f"{value:.{places}f}", f"{u:.{places}f}"


def _kept(one: Kept) -> dict[str, Any]:
    return {"record": list(one.record), "day": one.day.isoformat(), **one.certificate.fields()}


def _value(cylinder: Cylinder, measurand: str, now: datetime) -> dict[str, Any]:
    day = now.date()
    value, certificate, fit = (
        cylinder.value(measurand, day),
        cylinder.certificate(measurand, day),
        cylinder.fit(measurand),
    )
    assert value is not None, "a measurand of the cylinder"
    assert certificate is not None, "what gave the value"
    assert fit is not None, "at least one certificate"
    return {
        "value": value.value,
        "unit": value.unit,
        "uncertainty": value.uncertainty,
        "scale": value.scale,
        "by": "fit" if cylinder.by_fit(measurand) else "certificate",
        "certificate": certificate.number,
        "expires": day_text(certificate.expires),
        "fit": _fit(fit, now),
    }


def _fit(fit: DriftFit, now: datetime) -> dict[str, Any]:
    """Model and coefficients; `per_year` is the slope today, `centre` the weighted mean date."""
    day, year = now.date(), timedelta(days=365.25)
    later = (now + year / 2).date(), (now - year / 2).date()
    years = (later[0] - later[1]).days / 365.25
    return {
        "model": fit.model,
        "value": fit.value(day),
        "u": fit.u(day),
        "per_year": (fit.value(later[0]) - fit.value(later[1])) / years,
        "coefficients": list(fit.beta),
        "centre": datetime.fromordinal(1).date().fromordinal(int(fit.centre)).isoformat(),
        "covariance": [list(row) for row in fit.covariance],
        "residuals": list(fit.residuals),
        "residual_sd": fit.residual_sd,
        "dof": fit.dof,
        "tested": [one._asdict() for one in fit.tested],
    }
