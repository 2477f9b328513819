"""How one peer speaks: the edition of HJ 212 it follows, and what of its departures from it is taken all the same.

Reading is strict by default. A leniency is named, switched on for the peer that needs it, and counted whenever it
fires: its name then stands in `Frame.deviations`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Edition(IntEnum):
    """Year of the standard."""

    HJ2005 = 2005
    HJ2017 = 2017
    HJ2025 = 2025

    @property
    def version(self) -> int:
        """Version bits of Flag (HJ 212-2017 table 3; 2 for 2025 as in public code)."""
        return list(Edition).index(self)

    @classmethod
    def of_version(cls, version: int) -> "Edition | None":
        """Edition of the version bits, None for bits that no edition has."""
        editions = list(Edition)
        return editions[version] if 0 <= version < len(editions) else None


class Leniency(StrEnum):
    """A departure from the standard that devices in the field show."""

    MODBUS_CRC = "modbus_crc"
    LOWER_CASE_CRC = "lower_case_crc"
    THREE_DIGIT_LENGTH = "three_digit_length"
    LENGTH_IN_CHARACTERS = "length_in_characters"
    MISSING_SEMICOLON_BEFORE_CP = "missing_semicolon_before_cp"
    COMMA_AFTER_QN = "comma_after_qn"
    TRAILING_SEMICOLON = "trailing_semicolon"
    MISSING_CR_LF = "missing_cr_lf"
    BACK_TO_BACK = "back_to_back"
    OTHER_TAIL = "other_tail"
    PNO_BEFORE_PNUM = "pno_before_pnum"
    MISSING_FLAG = "missing_flag"
    MISSING_QN = "missing_qn"
    DATA_TIME_17 = "data_time_17"
    MN_13_TO_24 = "mn_13_to_24"
    GBK_TEXT = "gbk_text"
    OVERSIZE_SEGMENT = "oversize_segment"
    OTHER_EDITION = "other_edition"


@dataclass(frozen=True, slots=True)
class Profile:
    """Edition and leniencies of a peer. Without an edition each frame is judged by the version bits of its own Flag."""

    edition: Edition | None
    leniencies: frozenset[Leniency] = frozenset()

    @classmethod
    def strict(cls, edition: int = 2017) -> "Profile":
        """Take only what that edition (2005, 2017 or 2025) allows. Raises ValueError for another year."""
        return cls(Edition(edition))

    @classmethod
    def lenient(cls) -> "Profile":
        """Every edition, every named leniency."""
        return cls(None, frozenset(Leniency))

    def with_leniencies(self, names: Iterable[str]) -> "Profile":
        """The same profile with more leniencies. Raises ValueError for a name that is none."""
        return Profile(self.edition, self.leniencies | {Leniency(name) for name in names})
