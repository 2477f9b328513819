"""Budgets: quadrature, parts by behaviour over time, order by weight."""

import pytest

from metrology.budget import Budget, Term
from metrology.reading import Uncertainty

BUDGET = Budget(
    (
        Term("noise", 3.0, "independent", "recorded"),
        Term("cylinder", 4.0, "common", "certificate"),
        Term("drift", 12.0, "slow", "table", verified=False),
    )
)


def test_terms_add_in_quadrature() -> None:
    assert BUDGET.total == pytest.approx(13.0)
    assert BUDGET.uncertainty == Uncertainty(3.0, 12.0, 4.0)
    assert Budget().total == 0.0


def test_the_heaviest_term_comes_first() -> None:
    order = BUDGET.by_weight()
    assert [term.name for term, _ in order] == ["drift", "cylinder", "noise"]
    assert sum(share for _, share in order) == pytest.approx(1.0)
    assert Budget((Term("none", 0.0, "common", "x"),)).by_weight()[0][1] == 0.0


def test_a_factor_scales_every_term() -> None:
    assert BUDGET.scaled(-2.0).total == pytest.approx(26.0)
    assert BUDGET.plus(Term("more", 84.0, "slow", "x")).total == pytest.approx(85.0)
