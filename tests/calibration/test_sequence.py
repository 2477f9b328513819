from datetime import date

import pytest

from calibration.sequence import Assigned, Blowback, Collect, Cylinder, Injection, OpenPort, Sequence, Wait, plan


def injection(name: str, port: str, flush_s: float) -> Injection:
    gas = Cylinder(name, f"N-{name}", "cert", date(2027, 1, 1), {"co2": Assigned(0, "umol/mol", 0.1, "WMO CO2 X2019")})
    return Injection(gas, port, {"co2": "zero"}, flush_s, 60, {})


def test_a_plan_of_three_gases_takes_840_s_and_ends_on_air() -> None:
    sequence = Sequence(
        "daily", "tower", "air",
        (injection("zero", "p1", 180), injection("span", "p2", 180), injection("target", "p3", 180)), 120,
    )  # fmt: skip
    steps = list(plan(sequence))
    assert [step.port for step in steps if isinstance(step, OpenPort)] == ["p1", "p2", "p3", "air"]
    assert [step.phase for step in steps if isinstance(step, Wait)] == ["flush"] * 3 + ["recovery"]
    assert [step.injection.cylinder.name for step in steps if isinstance(step, Collect)] == ["zero", "span", "target"]
    assert sequence.seconds == sum(step.seconds for step in steps if not isinstance(step, OpenPort)) == 840


@pytest.mark.parametrize(("pulses", "ports"), [(1, ["air", "sample"]), (3, ["air", "sample"] * 3)])
def test_a_blowback_is_pulses_with_sample_air_between_and_behind(pulses: int, ports: list[str]) -> None:
    sequence = Sequence("clean", "cems", "sample", (), 60, Blowback("air", 15, pulses, 30))
    steps = list(plan(sequence))
    assert [step.port for step in steps if isinstance(step, OpenPort)] == ports
    phases = [step.phase for step in steps if isinstance(step, Wait)]
    assert phases == ["blowback", "pause"] * (pulses - 1) + ["blowback", "recovery"]
    assert sequence.seconds == sum(step.seconds for step in steps if isinstance(step, Wait))
