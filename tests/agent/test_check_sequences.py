"""`plumeline check` of sequences: contradictions are told with their place, what costs quality is a warning."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.checks.check import check_file

NOW = datetime(2026, 6, 1, tzinfo=UTC)
STEADY = {"min_s": 60, "max_s": 300, "window_s": 60, "slope_max": {"co2": 0.5}}
FLOW = {"series": "ndir.co2", "min": 300, "unit": "umol/mol"}
LEAK = {"series": "ndir.co2", "max_drop_kPa_per_min": 1}


def problems(folder: Path, config_for: Any, change: Any, kind: str = "research") -> dict[str, tuple[str, str, int]]:
    """By code: severity, key and line of the text under it."""
    document = config_for(folder, 502, kind).model_dump(mode="json", exclude_none=True)
    change(document, document["sequences"]["daily"])
    path = folder / "station.hjson"
    path.write_text(json.dumps(document, indent=1))
    found = check_file(path, now=NOW).problems
    return {one.code: (one.severity, one.key, one.line) for one in found}


def injection(**members: Any) -> Any:
    def change(_: Any, daily: dict[str, Any]) -> None:
        daily["injections"][1] |= members
        daily["injections"][1] = {key: value for key, value in daily["injections"][1].items() if value is not None}

    return change


def sequence(**members: Any) -> Any:
    def change(_: Any, daily: dict[str, Any]) -> None:
        daily |= members
        for key in [key for key, value in members.items() if value is None]:
            del daily[key]

    return change


def flushed(**members: Any) -> Any:
    return injection(flush_s=None, flush={**STEADY, **members})


def beside(name: str, **members: Any) -> Any:
    """Another sequence on the same valve, both scheduled."""

    def change(document: dict[str, Any], daily: dict[str, Any]) -> None:
        daily["schedule"] = {"cron": "0 3 * * *"}
        document["sequences"][name] = {**daily, **members}

    return change


def passive(**members: Any) -> Any:
    def change(_: Any, daily: dict[str, Any]) -> None:
        del daily["valve"]
        daily["passive"] = {"field": "mode"}
        for index, one in enumerate(daily["injections"]):
            one["state"] = [index + 1]
            del one["port"]
        daily["injections"][1] |= members
        daily |= {key: value for key, value in members.items() if key in ("loops", "valve")}
        for key in ("loops", "valve"):
            daily["injections"][1].pop(key, None)

    return change


BROKEN = {
    "min above max": (flushed(min_s=400), "flush-order", "sequences.daily.injections.1.flush.min_s"),
    "a window that never fills": (flushed(window_s=301), "flush-window-long", "sequences.daily.injections.1.flush"),
    "a window of two polls": (flushed(window_s=12), "flush-window-short", "sequences.daily.injections.1.flush"),
    "no limit": (flushed(slope_max={}), "flush-unlimited", "sequences.daily.injections.1.flush"),
    "an unknown measurand": (flushed(slope_max={"co": 1}), "measurand-unknown",
                             "sequences.daily.injections.1.flush.slope_max.co"),
    "both waits": (injection(flush=STEADY), "wait-one", "sequences.daily.injections.1"),
    "no wait": (injection(flush_s=None), "wait-one", "sequences.daily.injections.1"),
    "no recovery": (sequence(recovery_s=None), "wait-one", "sequences.daily"),
    "no port": (injection(port=None), "port-missing", "sequences.daily.injections.1"),
    "a state of a valve's port": (injection(state=[1]), "state-without-passive",
                                  "sequences.daily.injections.1.state"),
    "no valve": (sequence(valve=None), "valve-missing", "sequences.daily"),
    "a passive port": (passive(port="span"), "passive-moves", "sequences.daily.injections.1.port"),
    "passive loops": (passive(loops=2), "passive-moves", "sequences.daily.loops"),
    "a state of two gases": (passive(state=["1"]), "state-twice", "sequences.daily.injections.1.state"),
    "an unknown flow": (sequence(checks={"flow": {**FLOW, "series": "mfc.flow"}}), "series-unknown",
                        "sequences.daily.checks.flow.series"),
    "a flow in no unit of flow": (sequence(checks={"flow": {**FLOW, "unit": "L/min"}}), "check-unit",
                                  "sequences.daily.checks.flow.series"),
    "no bound": (sequence(checks={"flow": {"series": "ndir.co2", "unit": "umol/mol"}}), "flow-unbounded",
                 "sequences.daily.checks.flow"),
    "bounds that cross": (sequence(checks={"flow": {**FLOW, "max": 200}}), "flow-empty",
                          "sequences.daily.checks.flow.min"),
    "a pressure that is none": (sequence(checks={"leak": LEAK}), "check-unit", "sequences.daily.checks.leak.series"),
    "no plug": (sequence(checks={"leak": LEAK}), "leak-port-missing", "sequences.daily.checks.leak"),
    "a plug with gas behind": (sequence(checks={"leak": {**LEAK, "port": "span"}}), "leak-port-open",
                               "sequences.daily.checks.leak.port"),
    "both schedules": (sequence(schedule={"every_h": 24, "cron": "0 3 * * *"}), "schedule-one",
                       "sequences.daily.schedule"),
    "no cron": (sequence(schedule={"cron": "61 3 * * *"}), "cron-invalid", "sequences.daily.schedule.cron"),
    "a day that never comes": (sequence(schedule={"cron": "0 3 31 2 *"}), "cron-invalid",
                               "sequences.daily.schedule.cron"),
    "too often": (sequence(schedule={"cron": "*/10 * * * *"}), "schedule-short", "sequences.daily.schedule.cron"),
    "never a turn": (beside("other", wait_max_s=60), "sequence-crowded-out", "sequences.other.schedule"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_contradiction_is_an_error_at_its_place(tmp_path: Path, config_for: Any, what: str) -> None:
    change, code, key = BROKEN[what]
    found = problems(tmp_path, config_for, change)
    assert code in found, found
    assert found[code][:2] == ("error", key)
    assert found[code][2] > 1


WARNED = {
    "nobody below": (sequence(interrupts=True), "interrupts-nobody", "research"),
    "three gases and a parabola": (
        lambda _, daily: daily.update(response={"model": "quadratic"}) or daily["injections"][2]["roles"].update(
            co2="span"), "curve-unproven", "research"),
    "a curve for a regulated instrument": (sequence(response={}), "response-regulated", "regulated"),
    "never through the line": (sequence(path="analyzer"), "line-never-checked", "regulated"),
}  # fmt: skip


@pytest.mark.parametrize("what", WARNED)
def test_what_costs_quality_is_a_warning(tmp_path: Path, config_for: Any, what: str) -> None:
    change, code, kind = WARNED[what]
    found = problems(tmp_path, config_for, change, kind)
    assert found[code][0] == "warning"


@pytest.mark.parametrize(
    "change",
    [
        flushed(),
        passive(),
        sequence(recovery_s=None, recovery=STEADY),
        sequence(schedule={"cron": "0 3 * * 1"}, loops=3, counts="all", path="line", response={"model": "linear"}),
        beside("other", wait_max_s=3600),
        beside("other", wait_max_s=0, schedule={"cron": "0 4 * * *"}),
    ],
)
def test_what_fits_together_is_no_error(tmp_path: Path, config_for: Any, change: Any) -> None:
    found = problems(tmp_path, config_for, change)
    assert {code for code, (severity, key, _) in found.items() if severity == "error" and "sequences" in key} == set()
