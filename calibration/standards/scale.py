"""Traceability of an assigned value: a scale with its version, or the number of a national reference material."""

import re
from collections.abc import Iterable
from typing import Final

# A version or a number is what tells one realisation from the next: "WMO CO2 X2019", "GBW(E) 060000", "NIST SRM 1658a".
PATTERN: Final = r"[A-Za-z].*[0-9]"
_SCALE: Final = re.compile(PATTERN)
# GBW are the primary, GBW(E) the secondary reference materials of China; each gas has a number of its own.
_NATIONAL: Final = re.compile(r"GBW\s*(\(E\))?\s*\d", re.IGNORECASE)


class ScaleError(ValueError):
    """A value without a scale, or values on different ones."""


def traceable(scale: str) -> str:
    """The scale as it is. Raises ScaleError where it names neither a version nor a number."""
    if not _SCALE.search(scale):
        raise ScaleError(f'scale "{scale}": a scale with its version (WMO CO2 X2019) or a GBW(E) number is needed')
    return scale


def family(scale: str) -> str:
    """What two values must share to stand in one fit: the scale with its version; all national numbers are one."""
    return "GBW" if _NATIONAL.match(scale.strip()) else " ".join(scale.split()).upper()


def families(scales: Iterable[str]) -> list[str]:
    """The different ones, sorted."""
    return sorted({family(one) for one in scales})
