"""The error model and the objective: errors grow with the modelled enhancement, never with the observation."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inversion.background import Basis
from inversion.data import Domain, Settings
from inversion.prepare import Batch

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]

_CAP: Final = 16.0  # of z squared: beyond it a value says no more
_EDGE_M: Final = 10.0  # how softly the domain's edge pushes back
SHARED: Final = 3  # ln factor y, ln factor z, ln model error
PER_SOURCE: Final = 4  # x, y, height, ln rate
# Positions are optimised in units of 10 m so that all unknowns are of order one.
POSITION_UNIT_M: Final = 10.0
# Steps of the forward differences in ln factor y, ln factor z, x, y (1 m) and height (m).
_DIFFERENCE: Final = (1e-3, 1e-3, 0.02, 0.02, 0.01)
_MODEL_ERROR_RANGE: Final = (0.2, 1.2)
_MODEL_ERROR_LOG_SD: Final = 0.3


@dataclass(frozen=True)
class Problem:
    """What stays fixed while sources are refined: rows, the background under them, priors, the domain.

    A state vector holds ln factor y, ln factor z, ln model error, then x/10 m, y/10 m, height, ln rate per source.
    """

    batch: Batch
    basis: Basis
    background: Array
    domain: Domain
    settings: Settings

    def response(self, state: Array, source: int, shift: int | None = None) -> Array:
        """umol/mol per kg/h of one source at every row; `shift` moves one of its unknowns by its small step."""
        own = SHARED + PER_SOURCE * source
        values = [*state[:2], *state[own : own + 3]]
        if shift is not None:
            values[shift] += _DIFFERENCE[shift]
        log_y, log_z, x, y, height = values
        at = (x * POSITION_UNIT_M, y * POSITION_UNIT_M, height)
        return self.batch.response(*at, float(np.exp(log_y)), float(np.exp(log_z)))

    def model(self, state: Array) -> Array:
        """Modelled enhancement of every row, umol/mol."""
        total = np.zeros(len(self.batch.mean))
        for source, log_rate in enumerate(state[SHARED + 3 :: PER_SOURCE]):
            total += np.exp(log_rate) * self.response(state, source)
        return total

    def jacobian(self, state: Array) -> tuple[Array, Array]:
        """The model and its derivative (rows, unknowns) by forward differences; exact in the rates."""
        total = np.zeros(len(self.batch.mean))
        slopes = np.zeros((len(total), len(state)))
        for source, log_rate in enumerate(state[SHARED + 3 :: PER_SOURCE]):
            own = SHARED + PER_SOURCE * source
            base, rate = self.response(state, source), np.exp(log_rate)
            total += rate * base
            for shift, column in enumerate((0, 1, own, own + 1, own + 2)):
                slopes[:, column] += rate * (self.response(state, source, shift) - base) / _DIFFERENCE[shift]
            slopes[:, own + 3] = rate * base
        return total, slopes

    def sigma(self, model: Array, model_error: float) -> Array:
        """Standard deviation of every row."""
        settings = self.settings
        base = self.batch.instrument**2 + settings.representation_ppm**2 + settings.floor_ppm**2
        spread: Array = np.sqrt(base + (model_error * model) ** 2)
        return spread

    def scores(self, state: Array) -> tuple[Array, Array]:
        """-log likelihood of every row up to a constant, and its derivative (rows, unknowns)."""
        model, slopes = self.jacobian(state)
        error = float(np.exp(state[2]))
        sigma = self.sigma(model, error)
        z = (self.batch.mean - self.background - model) / sigma
        weight = np.exp(-(z**2) / _CAP)
        share = (error / sigma) ** 2 * model  # d ln s / d model
        by_model = -z * weight * (1 / sigma + z * share) + share
        scores = slopes * by_model[:, None]
        scores[:, 2] = (1 - z**2 * weight) * share * model
        return losses(z * sigma, sigma).astype(float), scores

    def prior_precision(self, state: Array) -> Array:
        """Diagonal of the prior's curvature inside the domain: sigma factors, model error, heights."""
        shared = [self.settings.sigma_y_prior, self.settings.sigma_z_prior, _MODEL_ERROR_LOG_SD]
        own = [np.inf, np.inf, self.settings.height_sd_m, np.inf]
        sources = (len(state) - SHARED) // PER_SOURCE
        return np.array(shared + own * sources) ** -2.0

    def penalty(self, state: Array) -> tuple[float, Array]:
        """-log prior and its derivative, with the soft edge of the domain."""
        away = state.copy()
        away[2] -= np.log(self.settings.model_error)
        places = away[SHARED:].reshape(-1, PER_SOURCE)
        places[:, 2] -= self.settings.default_height_m
        slope = self.prior_precision(state) * away
        total = 0.5 * float(slope @ away)
        low = np.array([self.domain.west_m, self.domain.south_m])
        high = np.array([self.domain.east_m, self.domain.north_m])
        beyond = POSITION_UNIT_M * places[:, :2]
        beyond -= np.clip(beyond, low, high)
        slope[SHARED:].reshape(-1, PER_SOURCE)[:, :2] += beyond * POSITION_UNIT_M / _EDGE_M**2
        return total + 0.5 * float(np.sum(beyond**2)) / _EDGE_M**2, slope

    def objective(self, state: Array) -> tuple[float, Array]:
        """What is minimised, and its gradient."""
        rows, scores = self.scores(state)
        prior, slope = self.penalty(state)
        return float(rows.sum()) + prior, scores.sum(axis=0) + slope

    def with_background(self, state: Array) -> "Problem":
        """The same problem with background and offsets refitted beside the modelled sources."""
        model = self.model(state)
        sigma = self.sigma(model, float(np.exp(state[2])))
        residual = self.batch.mean - model
        # Rows the model misses badly say nothing about the background: they get the weight the capped loss gives.
        z = (residual - self.background) / sigma
        sigma = sigma * np.exp(np.minimum(z**2 / (2 * _CAP), 10.0))
        fitted = self.basis.columns @ self.basis.fit(residual, sigma)
        return replace(self, background=fitted)


def losses(residual: Floats, sigma: Floats) -> Floats:
    """Half of z squared, bending over to at most 8 (smooth, so that gradients exist everywhere), plus ln s."""
    z = residual / sigma
    loss: Floats = 0.5 * _CAP * (1 - np.exp(-(z**2) / _CAP)) + np.log(sigma)
    return loss


def bounds(sources: int) -> list[tuple[float | None, float | None]]:
    """Hard bounds of a state: sigma-y factor 0.7 to 3, sigma-z factor 0.5 to 2, heights 0.2 to 20 m."""
    low, high = np.log(_MODEL_ERROR_RANGE).tolist()
    shared: list[tuple[float | None, float | None]] = [
        (float(np.log(0.7)), float(np.log(3.0))),
        (float(np.log(0.5)), float(np.log(2.0))),
        (low, high),
    ]
    return shared + sources * [(None, None), (None, None), (0.2, 20.0), (float(np.log(1e-3)), float(np.log(1e5)))]
