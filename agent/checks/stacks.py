"""Rules for stacks: what velocity, flow and emission are made of exists, fits, and comes often enough."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from agent.checks.findings import Findings
from agent.config import Config
from agent.config_stack import Stack
from agent.values.derived import plan_of
from metrology.declaration import DriverInfo
from metrology.measurand import catalogue
from metrology.stack.plan import DIFFERENTIAL, UNITS, VELOCITY
from metrology.stack.velocity_field import FilingError
from metrology.units import STACK_DRY, UnitError, convert

NEEDED: Final = ("temperature", "static_pressure", "barometer")
# What the shape of a filing leaves to be said of it.
FILING: Final = {"back-dated": "kv-back-dated", "order": "kv-order"}
# A CEMS is asked every second; more than two seconds apart, few lost answers void a minute (design, section 13.4).
POLL_S_MAX: Final = 2.0


def check_stacks(
    config: Config, series: Mapping[str, DriverInfo], now: datetime, find: Findings
) -> dict[str, DriverInfo]:
    """Check every stack. Gives what each derives, as a driver declares it."""
    known = {f"{name}.{one}": unit for name, info in series.items() for one, unit in info.measurands.items()}
    found = {}
    for name, block in config.stacks.items():
        if name in config.instruments:
            line = find.line("instruments", name)
            find.error("stack-name-taken", "stacks", name, at_key=True, name=name, line=line)
        _inputs(name, block, known, find)
        _gases(name, block, known, find)
        _needs(name, block, find)
        _filings(name, block, config, now, find)
        _rates(name, block, config, find)
        # What it gives does not depend on its coefficients, and others may name it whatever is wrong with them.
        plan = plan_of(name, block.model_copy(update={"kv": []}), 0.0)
        found[name] = DriverInfo("stack", name, "stream", "stream", plan.measurands, "", "")
    return found


def flow_source(block: Stack) -> str:
    """Name of the instrument whose readings set the pace; empty where there is none."""
    named = (block.inputs[role].series for role in (VELOCITY, DIFFERENTIAL) if role in block.inputs)
    return next((series.partition(".")[0] for series in named if series), "")


def _filings(name: str, block: Stack, config: Config, now: datetime, find: Findings) -> None:
    try:
        plan = plan_of(name, block, config.station.day_start_utc_offset_h)
    except FilingError as error:
        find.error(FILING[error.code], "stacks", name, "kv", at_key=True)
        return
    if plan.kv.at(now) is None:
        find.warn("kv-not-yet", "stacks", name, "kv", at_key=True)


def _inputs(name: str, block: Stack, known: Mapping[str, str], find: Findings) -> None:
    for role, one in block.inputs.items():
        path = ("stacks", name, "inputs", role)
        if (one.series is None) == (one.value is None) or (one.value is not None and one.unit is None):
            find.error("stack-input-source", *path, at_key=True)
        elif one.series is None:
            _unit(path, one.unit or "", UNITS[role], find)
            if role in (VELOCITY, DIFFERENTIAL):
                find.error("stack-flow-constant", *path, at_key=True)
        elif find.known("series-unknown", one.series, known, *path, "series"):
            _unit((*path, "series"), known[one.series], UNITS[role], find)


def _unit(path: tuple[str, ...], unit: str, target: str, find: Findings, molar_mass: float | None = None) -> None:
    try:
        convert(1.0, unit, target, molar_mass=molar_mass, state=STACK_DRY if molar_mass else None)
    except UnitError:
        find.error("stack-unit", *path, unit=unit, target=target)


def _gases(name: str, block: Stack, known: Mapping[str, str], find: Findings) -> None:
    for gas, one in block.gases.items():
        path = ("stacks", name, "gases", gas)
        for key in ("series", "no2"):
            named = getattr(one, key)
            if named is not None and find.known("series-unknown", named, known, *path, key):
                _unit((*path, key), known[named], "mg/m3", find, catalogue()[f"{gas}_std"].molar_mass)
        if one.no2 is not None and gas != "nox":
            find.error("stack-no2", *path, "no2", gas=gas)


def _needs(name: str, block: Stack, find: Findings) -> None:
    """Inputs that what is configured cannot do without."""
    flows = [role for role in (VELOCITY, DIFFERENTIAL) if role in block.inputs]
    if len(flows) != 1:
        find.error("stack-flow-input", "stacks", name, "inputs", at_key=True)
    missing = [role for role in NEEDED if role not in block.inputs]
    if "moisture" not in block.inputs and not {"oxygen", "oxygen_wet"} <= block.inputs.keys():
        missing.append("moisture")
    if block.oxygen and "oxygen" not in block.inputs:
        missing.append("oxygen")
    if block.stopped and not block.stopped.model_dump(exclude_none=True):
        find.error("stack-stop-empty", "stacks", name, "stopped", at_key=True)
    if block.stopped and block.stopped.oxygen_above_percent is not None and "oxygen" not in block.inputs:
        missing.append("oxygen")
    if DIFFERENTIAL in flows:
        if block.pitot_coefficient is None:
            find.error("stack-pitot-missing", "stacks", name, at_key=True)
        if block.standard_density_kg_m3 is None and not ("co2" in block.gases and "oxygen" in block.inputs):
            find.error("stack-density", "stacks", name, at_key=True)
    for role in missing:
        find.error("stack-input-missing", "stacks", name, "inputs", at_key=True, role=role)


def _rates(name: str, block: Stack, config: Config, find: Findings) -> None:
    """Inputs that come too seldom, or whose range nobody declared."""
    used: list[tuple[tuple[str, str], str, float]] = [
        (("inputs", role), one.series, one.max_age_s) for role, one in block.inputs.items() if one.series
    ]
    used += [(("gases", gas), one.series, one.max_age_s) for gas, one in block.gases.items()]
    slow: set[str] = set()
    for place, series, age_s in used:
        instrument, _, measurand = series.partition(".")
        source = config.instruments.get(instrument)
        if source is None:
            continue
        path = ("stacks", name, *place)
        if source.poll_s is not None and age_s < 2 * source.poll_s:
            find.warn("stack-age-short", *path, at_key=True, age=age_s, poll=source.poll_s, least=2 * source.poll_s)
        flow = place[1] in (VELOCITY, DIFFERENTIAL)
        if flow and source.poll_s is not None and source.poll_s > POLL_S_MAX and instrument not in slow:
            slow.add(instrument)
            find.warn("stack-poll-slow", *path, at_key=True, poll=source.poll_s, most=POLL_S_MAX)
        declared = source.series.get(measurand)
        if declared is None or declared.minimum is None or declared.maximum is None:
            find.warn("stack-range-unstated", *path, at_key=True, series=series)
