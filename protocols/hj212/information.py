"""Data areas without values by factor: treatment units, starts, standard checks, identities, information."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from protocols.hj212.factors import Factor, decimal
from protocols.hj212.message import Area, Item, Message
from protocols.hj212.profile import Edition
from protocols.hj212.times import render_time

# HJ 212-2017 table 4: log text stays below 890 bytes (type C890 in table B.10).
LOG_BYTES_MAX: Final = 889
# Signs that end a field, an item or a frame, as signs that look like them.
_HARMLESS: Final = str.maketrans(";,=&#", "；，＝＆＃")
_BLANKS: Final = re.compile(r"[\s\x00-\x1f\x7f]+")


class UnitState:
    """State of a treatment unit, `SBn-RS` of 2021 (HJ 212-2017 table 4); 2005 has the first two alone."""

    OFF = 0
    RUNNING = 1
    CALIBRATING = 2
    MAINTENANCE = 3
    ALARM = 4
    BLOWBACK = 5


def state_items(units: Mapping[int, int], edition: Edition = Edition.HJ2017) -> tuple[Item, ...]:
    """`SBn-RS` of 2021 by number of the unit (1 to 999), values of `UnitState`. To 2005 what is not RUNNING is off."""
    states = units if edition is not Edition.HJ2005 else {n: int(s == UnitState.RUNNING) for n, s in units.items()}
    return tuple(((f"SB{n}-RS", str(state)),) for n, state in states.items())


def run_time_items(hours: Mapping[int, float]) -> tuple[Item, ...]:
    """`SBn-RT` of 2041: hours (0 to 24) a unit ran in the day."""
    return tuple(((f"SB{n}-RT", decimal(one, 2)),) for n, one in hours.items())


def restart_items(at: datetime) -> tuple[Item, ...]:
    """`RestartTime` of 2081: when the station started (aware)."""
    return ((("RestartTime", render_time(at)),),)


def check_items(factor: Factor, reading: float, standard: float, unit: str, *, passed: bool) -> tuple[Item, ...]:
    """Result of a standard check, 2062 of 2025: what was read on the standard and its certified value, both in `unit`.

    Raises UnitError where that does not become the unit on the wire.
    """
    code = factor.code
    return (
        ((f"{code}-SampleRd", factor.render(reading, unit)),),
        ((f"{code}-StandardValue", factor.render(standard, unit)),),
        ((f"{code}-ResultType", str(int(passed))),),
    )


def identity_items(code: str, serial: str) -> tuple[Item, ...]:
    """3019: identity of the analyser of a factor; of a serial number its letters and digits, at most 24."""
    plain = "".join(sign for sign in serial if sign.isascii() and sign.isalnum())
    return ((("PolId", code),), ((f"{code}-SN", plain[:24] or "0"),))


def information_items(values: Mapping[str, str], pol_id: str | None = None) -> tuple[Item, ...]:
    """3020: station information by its code; `pol_id` where it is about the analyser of one factor."""
    of_factor: tuple[Item, ...] = ((("PolId", pol_id),),) if pol_id else ()
    return (*of_factor, *(((f"{code}-Info", plain_text(text)),) for code, text in values.items()))


def log_text(text: str) -> str:
    """A log line as `i11001-Info` and the like carry it: between `//`, below 890 bytes, without separators.

    HJ 212 has no escape: `;` `,` `=` `&` `#` become the wide signs of the same look, blanks one space, slashes one. Cut
    between characters. An empty line is `-`.
    """
    plain = re.sub("/{2,}", "/", plain_text(text)).encode("utf-8")[:LOG_BYTES_MAX]
    return f"//{plain.decode('utf-8', 'ignore').strip('/ ') or '-'}//"


def plain_text(text: str) -> str:
    """Text without the signs that HJ 212 separates by, and without what UTF-8 cannot carry."""
    legal = text.encode("utf-8", "replace").decode("utf-8").translate(_HARMLESS)
    return _BLANKS.sub(" ", legal).strip() or "-"


@dataclass(frozen=True, slots=True)
class Information:
    """Station information as a message of 3020, 3021, 3015, 2013 or 1001 tells it, logs without their slashes."""

    pol_id: str | None
    values: Mapping[str, str]


def read_information(message: Message) -> Information:
    """All `{InfoId}-Info` of a message; of a code that comes twice the first."""
    values: dict[str, str] = {}
    for name, text in (pair for item in message.area for pair in item):
        code, _, suffix = name.partition("-")
        if suffix.casefold() == "info":
            values.setdefault(code, _unquoted(text))
    return Information(message.value("PolId"), values)


def read_units(area: Area) -> dict[int, float]:
    """States (2021) or hours (2041) by number of the treatment unit; what is no number is left out."""
    found: dict[int, float] = {}
    for name, text in (pair for item in area for pair in item):
        unit = re.fullmatch(r"SB([0-9]{1,3})-R[ST]", name, re.IGNORECASE)
        if unit and re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
            found.setdefault(int(unit[1]), float(text))
    return found


def _unquoted(text: str) -> str:
    return text[2:-2] if len(text) > 4 and text.startswith("//") and text.endswith("//") else text
