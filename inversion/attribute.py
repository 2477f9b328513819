"""From observations and winds to sources on the map: the whole attribution of one window."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from inversion.background import basis_of, first_guess
from inversion.coverage import cells, detection_limits
from inversion.data import Domain, MetRow, Observation, Result, Settings, Source
from inversion.geo import cell_id, cell_of, to_degrees
from inversion.interval import Spread, spreads
from inversion.likelihood import PER_SOURCE, POSITION_UNIT_M, SHARED, TURN_UNIT, Problem
from inversion.met import winds_of
from inversion.posterior import Place, places
from inversion.prepare import prepare
from inversion.search import Found, SearchMap, find, search_map
from metrology.units import GAS_CONSTANT

MOLAR_MASS_KG_MOL: Final = {"ch4": 0.0160425, "co2": 0.0440095}


def attribute(
    observations: Sequence[Observation], met: Sequence[MetRow], domain: Domain, settings: Settings | None = None
) -> Result:
    """Find the sources of one window (6 to 24 h) and say what the network would have seen.

    The order of the inputs does not matter and nothing is drawn at random: the same inputs give the same result.
    Raises ValueError where the inputs cannot be used at all (no wind, no observation beside it, a sensor that moved),
    KeyError for a gas without molar mass.
    """
    settings = settings or Settings()
    observations = sorted(observations, key=lambda seen: (seen.start, seen.sensor, seen.period_s))
    met = sorted(met, key=lambda row: row.start)
    winds = winds_of(met, settings, MOLAR_MASS_KG_MOL[settings.gas], GAS_CONSTANT)
    batch = prepare(observations, winds, domain, settings)
    candidates = search_map(batch, domain, settings)
    problem = Problem(batch, basis_of(batch, settings), first_guess(batch), domain, settings)
    found = find(problem, candidates)
    sources = _sources(found, candidates)
    return Result(
        sources=sources,
        cells=cells(detection_limits(found, candidates), candidates, sources, domain, settings),
        domain=domain,
        settings=settings,
        inputs_sha256=_digest(observations, met, domain, settings),
        diagnostics=_diagnostics(found, winds.scheme),
    )


def _sources(found: Found, candidates: SearchMap) -> tuple[Source, ...]:
    """The found sources with what is known about them, strongest evidence first.

    Not published: faint ones, doubtful ones, and those that lean on the edge, which stand for something outside.
    """
    where = places(found, candidates)
    heights = found.state[SHARED + 2 :: PER_SOURCE].tolist()
    rows = zip(where, heights, found.evidence, spreads(found, where), strict=True)
    sources = [_source(found, *row) for row in rows]
    settings = found.problem.settings
    kept = [
        source
        for source, leans in zip(sources, found.leaning(), strict=True)
        if not leans
        and source.rate_kg_h >= settings.publication_floor_kg_h
        and source.probability >= settings.least_probability
    ]
    return tuple(sorted(kept, key=lambda source: -source.evidence))


def _source(found: Found, place: Place, height: float, evidence: float, spread: Spread) -> Source:
    domain, settings = found.problem.domain, found.problem.settings
    x, y, rate = place.x, place.y, math.exp(place.log_rate)
    latitude, longitude = to_degrees(domain, x, y)
    # Even odds at the threshold; evidence counts 1/f because rows hang together.
    exists = 1 / (1 + math.exp(-min((evidence - found.threshold) / settings.correlation_factor, 50.0)))
    return Source(
        probability=exists * spread.above(rate, settings.publication_floor_kg_h),
        latitude=latitude,
        longitude=longitude,
        x=x,
        y=y,
        height_m=height,
        rate_kg_h=rate,
        interval95=spread.interval95(rate),
        position_covariance=spread.position,
        cell=cell_id(*cell_of(domain, settings.cell_m, x, y)),
        evidence=evidence,
    )


def _diagnostics(found: Found, scheme: str) -> dict[str, Any]:
    """What tells a good fit from a bad one. `sensor_z` is each sensor's mean residual in standard deviations."""
    problem, state = found.problem, found.state
    batch = problem.batch
    model = problem.model(state)
    error = float(np.exp(state[2]))
    z = (batch.mean - problem.background - model[0]) / problem.sigma(model, error)
    return {
        "rows": len(z),
        "dropped": batch.dropped,
        "steps": len(batch.starts),
        "winds": scheme,
        "sigma_z": "similarity (Venkatram 1992)",
        "factor_y": float(np.exp(state[0])),
        "factor_z": float(np.exp(state[1])),
        "model_error": error,
        "turn_deg": math.degrees(float(state[3]) * TURN_UNIT),
        "chi2": float(np.mean(z**2)),
        "threshold": found.threshold,
        "outside": _outside(found),
        "background_ppm": float(np.mean(problem.background)),
        "sensor_z": {
            name: float(z[batch.sensor == number].mean())
            for number, name in enumerate(batch.sensors)
            if (batch.sensor == number).any()
        },
    }


def _outside(found: Found) -> list[dict[str, float]]:
    """Bearing (degrees from north, seen from the domain's centre) and evidence of what leans on the edge."""
    domain = found.problem.domain
    x, y = (domain.west_m + domain.east_m) / 2, (domain.south_m + domain.north_m) / 2
    bests = (POSITION_UNIT_M * found.state[SHARED:].reshape(-1, PER_SOURCE)[:, :2]).tolist()
    return [
        {"bearing_deg": math.degrees(math.atan2(place[0] - x, place[1] - y)) % 360.0, "evidence": evidence}
        for place, leans, evidence in zip(bests, found.leaning(), found.evidence, strict=True)
        if leans
    ]


def _digest(observations: Sequence[Observation], met: Sequence[MetRow], domain: Domain, settings: Settings) -> str:
    """SHA-256 over everything that went in, in its canonical order."""
    digest = hashlib.sha256()
    for item in (domain, settings, *observations, *met):
        digest.update(repr(item).encode())
    return digest.hexdigest()
