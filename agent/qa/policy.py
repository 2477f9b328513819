"""From the configuration: the rules by which an instrument's checks are judged."""

from agent.config import Instrument
from agent.config_qa import OwnLimit
from calibration.qa.rules import CONFIGURED, DEFAULT, Policy, Row
from calibration.sequence import Role


def policy_of(instrument: Instrument) -> Policy:
    """The declared rule set, else HJ 75 of a regulated instrument and the WMO goals of a research one."""
    declared = instrument.qa
    if declared is None:
        return DEFAULT[instrument.kind]
    rule_set = declared.rules or DEFAULT[instrument.kind].rule_set
    sd: dict[tuple[str, Role], float] = {
        (measurand, role): value for measurand, row in declared.sd.items() for role, value in row.items()
    }
    return Policy(rule_set, tuple(_row(one) for one in declared.limits), sd, declared.chart)


def _row(one: OwnLimit) -> Row:
    fields = one.model_dump(exclude={"measurands", "source"})
    return Row(rule_set=CONFIGURED, measurands=tuple(one.measurands), source=f"{CONFIGURED}: {one.source}", **fields)
