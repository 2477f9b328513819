"""What people are told of a cylinder: JSON members only, values rounded by their uncertainty."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from calibration.standards.register import Register
from calibration.standards.summary import rounded, summary, whole

NOW = datetime(2026, 6, 15, tzinfo=UTC)


def certified(seq: int, day: str, value: float) -> dict[str, Any]:
    assigned = {"co2": {"value": value, "unit": "umol/mol", "uncertainty": 0.01, "scale": "WMO CO2 X2019"}}
    paper = {"number": f"C{seq}", "certified": day, "expires": "2030-01-01", "assigned": assigned}
    row = {"name": "span", "number": "N1", "volume_L": 10, "certificate": paper,
           "pressure": {"at": f"2026-05-{seq + 1:02d}T00:00:00.000Z", "bar": 100.0 - seq}}  # fmt: skip
    return {"epoch": 1, "seq": seq, "t": f"2026-05-{seq + 1:02d}T00:00:00.000Z", "what": "cylinder", "act": "added",
            "who": "li", "reason": "r", "row": row}  # fmt: skip


def test_a_summary_is_json_and_tells_the_drift_of_today() -> None:
    days = ("2022-06-15", "2023-06-15", "2024-06-15", "2025-06-15")
    told = Register(certified(seq, day, 400.0 + 0.1 * seq) for seq, day in enumerate(days))
    (one,) = told.cylinders.values()
    assert json.loads(json.dumps(whole(one, NOW)))["history"][0]["who"] == "li"
    found = summary(one, NOW)
    fit = found["values"]["co2"]["fit"]
    assert (fit["model"], fit["dof"]) == ("linear", 2)
    assert fit["per_year"] == pytest.approx(0.1, rel=0.01)
    assert found["values"]["co2"]["value"] == pytest.approx(400.4, abs=0.01)
    assert found["values"]["co2"]["by"] == "fit"
    assert found["stock"]["bar_per_day"] == pytest.approx(1.0)
    assert found["stock"]["weeks_left"] == pytest.approx((97 - 20) / 7)


@pytest.mark.parametrize(
    ("value", "u", "told"),
    [(402.49135, 0.0227, ("402.491", "0.023")), (402.49135, 12.0, ("402", "12")), (0.0, 0.0, ("0", "0")),
     (1.9, 0.00051, ("1.90000", "0.00051")), (5000.0, 0.96, ("5000.00", "0.96"))],
)  # fmt: skip
def test_values_are_rounded_to_two_digits_of_their_uncertainty(value: float, u: float, told: tuple[str, str]) -> None:
    assert rounded(value, u) == told
