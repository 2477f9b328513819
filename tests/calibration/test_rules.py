from typing import Any

import pytest

from calibration.models.rules import DAY_S, RuleError, Rules, Settings, matches, read


@pytest.mark.parametrize(
    ("pattern", "word", "answers"),
    [
        ("*", "anything", True),
        ("mlo", "mlo", True),
        ("mlo", "mko", False),
        ("m*", "mko", True),
        ("mlo|brw", "brw", True),
        ("!mlo|brw", "brw", False),
        ("!mlo|brw", "smo", True),
        ("!m*", "mko", False),
    ],
)
def test_patterns(pattern: str, word: str, answers: bool) -> None:
    assert matches(pattern, word) is answers


def test_the_first_rule_wins_and_the_end_is_exclusive() -> None:
    rules = Rules(
        read(
            [
                {"gas": "co2", "start": "2024-01-01", "end": "2024-02-01", "key": "cal_flush_s", "value": 180},
                {"gas": "*", "key": "cal_flush_s", "value": 240},
                {"gas": "ch4", "key": "degree", "value": 2},
            ]
        ),
        gas="co2",
    )
    edge = 1706745600.0  # 2024-02-01T00:00Z
    assert [rules.at(t).cal_flush_s for t in (edge - 1, edge, edge - 40 * DAY_S)] == [180.0, 240.0, 240.0]
    assert rules.at(edge).degree == 1
    other = rules.with_base(Settings(reference="R0"))
    assert (other.at(edge - 1).cal_flush_s, other.at(edge).reference) == (180.0, "R0")


def test_several_keys_in_one_rule_breaks_and_defaults() -> None:
    rules = Rules(
        read(
            [
                {"site": "a", "set": {"reference": "R0", "standards": ["S1", "S2"], "operation": "ratio"}},
                {"site": "a", "start": "2024-01-01T00:00:00+08:00", "key": "break"},
                {"site": "b", "start": "2024-01-01", "key": "break"},
            ]
        ),
        site="a",
        base=Settings(target_limit=0.1),
    )
    settings = rules.at(0)
    assert (settings.reference, settings.standards, settings.operation) == ("R0", ("S1", "S2"), "ratio")
    assert settings.target_limit == 0.1
    assert rules.breaks == (1704038400.0,)


def test_water_coefficients_and_declared_terms() -> None:
    found = Rules(
        read(
            [
                {
                    "set": {
                        "water_model": {"a": -0.012, "b": -2.6e-4, "covariance": [1e-10, 0, 1e-12], "source": "own"},
                        "terms": [{"name": "scale", "value": 0.03, "source": "NOAA"}],
                    }
                }
            ]
        )
    ).at(0)
    assert found.water_correction is not None
    assert found.water_correction.source == "own"
    assert found.terms[0].name == "scale"
    rella = Rules(read([{"key": "water", "value": "rella-ch4"}])).at(0).water_correction
    assert rella is not None
    assert not rella.verified


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"key": "flush"}, "rule 1: no setting 'flush'"),
        ({"key": "degree", "value": 3}, "degree: 3"),
        ({"key": "operation", "value": "divide"}, "there are subtract, ratio"),
        ({"key": "water", "value": "picarro"}, "rella-co2"),
        ({"key": "degree", "value": 1, "colour": "red"}, "unknown colour"),
        ({"key": "degree", "value": 1, "start": "soon"}, "ISO 8601"),
        ({"key": "degree", "value": 1, "start": "2024-02-01", "end": "2024-01-01"}, "after the start"),
        ({"set": 3}, "an object"),
        ({"key": "cal_flush_s", "value": "long"}, "cal_flush_s"),
        ({"key": "water_model", "value": {"a": 1}}, "water_model"),
        ({"key": "terms", "value": [{"size": 1}]}, "terms"),
    ],
)
def test_a_wrong_rule_is_named(row: dict[str, Any], why: str) -> None:
    with pytest.raises(RuleError, match=why):
        read([row])
