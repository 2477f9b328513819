"""Linear algebra of a few unknowns in plain floats, sums exact (`math.fsum`), so that a result is the same anywhere."""

import math
from collections.abc import Sequence

Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]
_SINGULAR = 1e-13


class FitError(ValueError):
    """Data that give no fit, and why."""


def dot(left: Sequence[float], right: Sequence[float]) -> float:
    """Sum of products."""
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


def apply(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> Vector:
    """Matrix times vector."""
    return tuple(dot(row, vector) for row in matrix)


def quadratic_form(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> float:
    """Variance along a vector: v' M v, not below 0."""
    return max(0.0, dot(vector, apply(matrix, vector)))


def add(left: Matrix, right: Matrix, factor: float = 1.0) -> Matrix:
    """Left plus `factor` times right."""
    return tuple(
        tuple(a + factor * b for a, b in zip(one, other, strict=True)) for one, other in zip(left, right, strict=True)
    )


def scale(matrix: Matrix, factor: float) -> Matrix:
    """Each element times a factor."""
    return tuple(tuple(factor * a for a in row) for row in matrix)


def sandwich(columns: Sequence[Vector], variances: Sequence[float]) -> Matrix:
    """Sum of variance times c c' over the columns: covariance of a linear combination of independent inputs."""
    size = range(len(columns[0]))
    return tuple(
        tuple(math.fsum(v * c[i] * c[j] for c, v in zip(columns, variances, strict=True)) for j in size) for i in size
    )


def inverse(matrix: Sequence[Sequence[float]]) -> Matrix:
    """Inverse of a symmetric positive matrix, scaled to unit diagonal first. Raises FitError where it is singular."""
    size = len(matrix)
    if any(not matrix[i][i] > 0.0 or not math.isfinite(matrix[i][i]) for i in range(size)):
        raise FitError("the points do not determine the curve")
    root = [math.sqrt(matrix[i][i]) for i in range(size)]
    rows = [[matrix[i][j] / (root[i] * root[j]) for j in range(size)] + [float(i == j) for j in range(size)]
            for i in range(size)]  # fmt: skip
    for i in range(size):
        _eliminate(rows, i)
    return tuple(tuple(rows[i][size + j] / (root[i] * root[j]) for j in range(size)) for i in range(size))


def _eliminate(rows: list[list[float]], column: int) -> None:
    """One step of Gauss and Jordan; the pivot of a positive matrix stands on the diagonal."""
    pivot = rows[column][column]
    if not pivot > _SINGULAR:
        raise FitError("the points do not determine the curve")
    rows[column] = [one / pivot for one in rows[column]]
    for other, row in enumerate(rows):
        if other != column and row[column]:
            factor = row[column]
            rows[other] = [a - factor * b for a, b in zip(row, rows[column], strict=True)]
