"""Rules for an HJ 212 uplink: what is named exists in its edition, and what it tells of the station can be known."""

import re
from typing import Final

from agent.checks.findings import Findings
from agent.config_hj212 import Hj212Uplink, Info
from agent.uplinks.hj212_info import KNOWN
from protocols.hj212.commands import commands
from protocols.hj212.profile import Edition, Leniency
from protocols.hj212.tables.lists import info_codes

MN_2005: Final = 14
UNIT_NUMBER: Final = re.compile(r"[1-9][0-9]{0,2}")
FACTOR_CODE: Final = re.compile(r"[0-9A-Za-z]{1,12}")
# Keys that an edition before 2025 has no use for.
OF_2025: Final = ("sm4_key", "heartbeat_s")


def check_hj212(name: str, uplink: Hj212Uplink, known_series: list[str], find: Findings) -> None:
    """Check one uplink beside its factors' series; `known_series` are those of the station."""
    path = ("uplinks", name)
    edition = Edition(uplink.edition)
    for index, leniency in enumerate(uplink.leniencies):
        find.known("leniency-unknown", leniency, [one.value for one in Leniency], *path, "leniencies", index)
    acts = sorted(
        cn for (cn, way), command in commands(edition).items() if way == "to_station" and command.effect == "station"
    )
    for index, cn in enumerate(uplink.allow):
        find.known("act-unknown", cn, acts, *path, "allow", index)
    if edition is Edition.HJ2005 and len(uplink.mn) != MN_2005:
        find.error("mn-2005", *path, "mn", length=len(uplink.mn))
    for key in OF_2025:
        if edition is not Edition.HJ2025 and getattr(uplink, key) is not None:
            find.error("edition-lacks", *path, key, at_key=True, key=key, edition=uplink.edition)
    if edition is Edition.HJ2005 and uplink.info:
        find.error("edition-lacks", *path, "info", at_key=True, key="info", edition=uplink.edition)
    for code, factor in uplink.factors.items():
        if not FACTOR_CODE.fullmatch(code):
            find.error("factor-code", *path, "factors", code, at_key=True)
        for key in ("converted", "emission"):
            if (named := getattr(factor, key)) is not None:
                find.known("series-unknown", named, known_series, *path, "factors", code, key)
        if factor.emission is not None and not factor.emission.endswith("_rate"):
            find.error("emission-no-rate", *path, "factors", code, "emission", series=factor.emission)
    for number, unit in uplink.status.items():
        if not UNIT_NUMBER.fullmatch(number):
            find.error("unit-number", *path, "status", number, at_key=True)
        find.known("series-unknown", unit.series, known_series, *path, "status", number, "series")
    for code, info in uplink.info.items():
        _info((*path, "info", code), code, info, known_series, find)


def _info(path: tuple[str, ...], code: str, info: Info, known_series: list[str], find: Findings) -> None:
    codes = [one for row in info_codes() for one in _spelled(row.code)]
    if not find.known("info-unknown", code, codes, *path, at_key=True):
        return
    given = [key for key in ("series", "value") if getattr(info, key) is not None]
    if code in KNOWN and given:
        find.error("info-given", *path, given[0], at_key=True)
    elif code not in KNOWN and len(given) != 1:
        find.error("info-missing", *path, at_key=True)
    elif info.series is not None:
        find.known("series-unknown", info.series, known_series, *path, "series")


def _spelled(code: str) -> list[str]:
    """A code whose last sign `x` stands for a digit, as ten codes."""
    return [code[:-1] + digit for digit in "0123456789"] if code.endswith("x") else [code]
