"""Status and failure bytes of Bayern-Hessen answers, maker by maker, as causes.

Sources: Ecotech Serinus 30 and 40 manuals, status and failure bit maps; Teledyne API manuals, default Hessen status
flags (16 bits: the high byte is the status byte, the low byte the failure byte).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from metrology.quality import Cause, Mark

_MODES: Final = {2: (Cause.CALIBRATION, "zero gas"), 3: (Cause.CALIBRATION, "span gas")}
_MOLE: Final = frozenset({"umol/mol", "nmol/mol", "%"})
_MASS: Final = frozenset({"mg/m3", "ug/m3"})


@dataclass(frozen=True, slots=True)
class Profile:
    """What the bits of one maker mean. A failure bit without a name is a fault all the same.

    `units` tells, for the status bits in `unit_mask`, which units may be meant.
    """

    status: Mapping[int, tuple[Cause, str]]
    failure: Mapping[int, str] = field(default_factory=dict)
    unit_mask: int = 0
    units: Mapping[int, frozenset[str]] = field(default_factory=dict)


PROFILES: Final = {
    "plain": Profile({}),
    # Operating status of Thermo's table D-1 is unverified: zero and span stand where the other makers have them.
    "thermo": Profile(_MODES),
    "serinus": Profile(
        {
            0: (Cause.STOPPED, "instrument off"),
            1: (Cause.MAINTENANCE, "out of service"),
            7: (Cause.CALIBRATION, "background"),
            **_MODES,
        },
        {0: "flow sensor", 1: "instrument", 3: "lamp", 5: "cell heater"},
        1 << 6,
        {0: _MASS, 1 << 6: _MOLE},
    ),
    "teledyne": Profile(
        {0: (Cause.STOPPED, "instrument off"), 1: (Cause.CALIBRATION, "manual calibration"), **_MODES},
        {
            0: "sample flow", 1: "bench temperature", 2: "source", 3: "box temperature", 4: "wheel temperature",
            5: "sample temperature", 6: "sample pressure", 7: "invalid concentration",
        },
        0x60,
        {
            0x00: frozenset({"ug/m3"}), 0x20: frozenset({"mg/m3"}),
            0x40: frozenset({"nmol/mol"}), 0x60: frozenset({"umol/mol"}),
        },
    ),
}  # fmt: skip


def marks(profile: Profile, status: int, failure: int, at: datetime) -> list[Mark]:
    """Causes of a status and a failure byte."""
    found = [Mark(cause, what, at) for bit, (cause, what) in profile.status.items() if status >> bit & 1]
    bits = [bit for bit in range(8) if failure >> bit & 1]
    return found + [Mark(Cause.FAULT, profile.failure.get(bit, f"failure bit {bit}"), at) for bit in bits]


def wrong_unit(profile: Profile, status: int, unit: str) -> str | None:
    """The units the status byte speaks of where the configured one is not among them."""
    meant = profile.units.get(status & profile.unit_mask)
    return None if meant is None or unit in meant else " or ".join(sorted(meant))
