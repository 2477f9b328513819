"""The error model and the objective: errors grow with the modelled enhancement, never with the observation."""

import math
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from inversion.background import Basis
from inversion.data import Domain, Settings
from inversion.prepare import Batch

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Float = TypeVar("Float", bound=np.floating[Any])

_CAP: Final = 16.0  # of z squared: beyond it a value says no more
_EDGE_M: Final = 10.0  # how softly the domain's edge pushes back
SHARED: Final = 4  # ln factor y, ln factor z, ln model error, turn of all winds
PER_SOURCE: Final = 4  # x, y, height, ln rate
# Positions are optimised in units of 10 m, the turn in units of 0.05 rad, so that all unknowns are of order one.
POSITION_UNIT_M: Final = 10.0
TURN_UNIT: Final = 0.05
# Steps of the forward differences in ln factor y, ln factor z, turn, x, y and height (m).
_DIFFERENCE: Final = (1e-3, 1e-3, 1e-3, 0.02, 0.02, 0.01)
LOG_FACTOR_Y: Final = (math.log(0.7), math.log(3.0))
_MODEL_ERROR_RANGE: Final = (0.2, 1.2)
_MODEL_ERROR_LOG_SD: Final = 0.3


@dataclass(frozen=True)
class Problem:
    """What stays fixed while sources are refined: rows, the background under them, priors, the domain.

    A state vector holds ln factor y, ln factor z, ln model error, turn of all winds / 0.05 rad, then x/10 m, y/10 m,
    height, ln rate per source.
    """

    batch: Batch
    basis: Basis
    background: Array
    domain: Domain
    settings: Settings

    def response(self, state: Array, source: int, shift: int | None = None) -> Array:
        """Shape (2, rows) as `Batch.response`, of one source; `shift` moves one of its unknowns by its small step."""
        own = SHARED + PER_SOURCE * source
        values = [*state[[0, 1, 3]], *state[own : own + 3]]
        if shift is not None:
            values[shift] += _DIFFERENCE[shift]
        log_y, log_z, turn, x, y, height = values
        at = (x * POSITION_UNIT_M, y * POSITION_UNIT_M, height)
        return self.batch.response(*at, float(np.exp(log_y)), float(np.exp(log_z)), turn * TURN_UNIT)

    def model(self, state: Array) -> Array:
        """Shape (2, rows): modelled enhancement of every row, umol/mol, and its change per radian of direction."""
        total = np.zeros((2, len(self.batch.mean)))
        for source, log_rate in enumerate(state[SHARED + 3 :: PER_SOURCE]):
            total += np.exp(log_rate) * self.response(state, source)
        return total

    def jacobian(self, state: Array) -> tuple[Array, Array]:
        """The model and its derivative (2, rows, unknowns) by forward differences; exact in the rates."""
        total = np.zeros((2, len(self.batch.mean)))
        slopes = np.zeros((*total.shape, len(state)))
        for source, log_rate in enumerate(state[SHARED + 3 :: PER_SOURCE]):
            own = SHARED + PER_SOURCE * source
            base, rate = self.response(state, source), np.exp(log_rate)
            total += rate * base
            for shift, column in enumerate((0, 1, 3, own, own + 1, own + 2)):
                slopes[:, :, column] += rate * (self.response(state, source, shift) - base) / _DIFFERENCE[shift]
            slopes[:, :, own + 3] = rate * base
        return total, slopes

    def sigma(self, model: NDArray[Float], model_error: float) -> NDArray[Float]:
        """Standard deviation of every row: what is there without a plume, a share of the plume, a turned plume.

        `model` as `model()` gives it, in single precision where many are wanted.
        """
        settings = self.settings
        base = self.batch.instrument**2 + settings.representation_ppm**2 + settings.floor_ppm**2
        turned = math.radians(settings.direction_error_deg) * model[1]
        spread: NDArray[Float] = np.sqrt(base.astype(model.dtype) + (model_error * model[0]) ** 2 + turned**2)
        return spread

    def scores(self, state: Array) -> tuple[Array, Array]:
        """-log likelihood of every row up to a constant, and its derivative (rows, unknowns)."""
        model, slopes = self.jacobian(state)
        error = float(np.exp(state[2]))
        sigma = self.sigma(model, error)
        z = (self.batch.mean - self.background - model[0]) / sigma
        weight = np.exp(-(z**2) / _CAP)
        widening = self.widening(model, slopes, sigma, error)
        scores = -slopes[0] * (z * weight / sigma)[:, None] + widening * (1 - z**2 * weight)[:, None]
        return losses(z * sigma, sigma).astype(float), scores

    def widening(self, model: Array, slopes: Array, sigma: Array, model_error: float) -> Array:
        """Derivative of every row's ln s (rows, unknowns)."""
        share = (
            np.array([model_error, math.radians(self.settings.direction_error_deg)])[:, None] ** 2 * model / sigma**2
        )
        widening: Array = np.einsum("kr,kru->ru", share, slopes)
        widening[:, 2] = share[0] * model[0]
        return widening

    def prior_precision(self, state: Array) -> Array:
        """Diagonal of the prior's curvature inside the domain: sigma factors, model error, heights."""
        settings = self.settings
        vane = math.radians(settings.vane_error_deg) / TURN_UNIT
        shared = [settings.sigma_y_prior, settings.sigma_z_prior, _MODEL_ERROR_LOG_SD, vane]
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
        """What is minimised, and its gradient: the prior weighs f times, because f rows say as much as one alone."""
        rows, scores = self.scores(state)
        prior, slope = self.penalty(state)
        f = self.settings.correlation_factor
        return float(rows.sum()) + f * prior, scores.sum(axis=0) + f * slope

    def with_background(self, state: Array) -> "Problem":
        """The same problem with background and offsets refitted beside the modelled sources."""
        model = self.model(state)
        sigma = self.sigma(model, float(np.exp(state[2])))
        residual = self.batch.mean - model[0]
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
        LOG_FACTOR_Y,
        (float(np.log(0.5)), float(np.log(2.0))),
        (low, high),
        (-4.0, 4.0),
    ]
    return shared + sources * [(None, None), (None, None), (0.2, 20.0), (float(np.log(1e-3)), float(np.log(1e5)))]
