"""How one peer speaks: the edition of HJ 212 it follows, and what of its departures from it is taken all the same.

Reading is strict by default. A leniency is named, switched on for the peer that needs it, and counted whenever it
fires: its name then stands in `Frame.deviations`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from protocols.hj212.frame import Frame, Reason


class Edition(IntEnum):
    """Year of the standard."""

    HJ2005 = 2005
    HJ2017 = 2017
    HJ2025 = 2025

    @property
    def version(self) -> int:
        """Version bits of Flag (HJ 212-2017 table 3; 2 for 2025 as in public code)."""
        return _VERSIONS.index(self)

    @classmethod
    def of_version(cls, version: int) -> "Edition | None":
        """Edition of the version bits, None for bits that no edition has."""
        return _VERSIONS[version] if 0 <= version < len(_VERSIONS) else None


# Iterating over an enumeration is slow, and every frame asks.
_VERSIONS: Final = tuple(Edition)


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
    # PNUM and PNO without the split bit of Flag, or the bit without them (no departure in 2005, whose examples do so).
    PARTS_AGAINST_FLAG = "parts_against_flag"
    # Named, never refused: only a peer with a key can be read so at all.
    PRINTED_CIPHERTEXT = "printed_ciphertext"


# Why a frame is refused that departs in this way, in the order in which a frame is judged.
REASONS: Final[dict[Leniency, "Reason"]] = {
    Leniency.OVERSIZE_SEGMENT: "oversize",
    Leniency.THREE_DIGIT_LENGTH: "length",
    Leniency.LENGTH_IN_CHARACTERS: "length",
    Leniency.MODBUS_CRC: "crc",
    Leniency.LOWER_CASE_CRC: "crc",
    Leniency.MISSING_CR_LF: "truncated",
    Leniency.BACK_TO_BACK: "truncated",
    Leniency.OTHER_TAIL: "truncated",
    Leniency.MISSING_SEMICOLON_BEFORE_CP: "header",
    Leniency.COMMA_AFTER_QN: "header",
    Leniency.PNO_BEFORE_PNUM: "header",
    Leniency.MISSING_FLAG: "header",
    Leniency.PARTS_AGAINST_FLAG: "header",
    Leniency.OTHER_EDITION: "version",
    Leniency.MN_13_TO_24: "header",
    Leniency.MISSING_QN: "header",
    Leniency.TRAILING_SEMICOLON: "segment",
    Leniency.DATA_TIME_17: "segment",
    Leniency.GBK_TEXT: "segment",
}
_BY_EDITION: Final = frozenset({Leniency.OTHER_EDITION, Leniency.MN_13_TO_24, Leniency.MISSING_QN})


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

    def departures(self, fields: Mapping[str, str], cp: Sequence[Sequence[tuple[str, str]]]) -> list[Leniency]:
        """Where header fields and data area depart from the edition: that of Flag, or of the profile without a Flag."""
        found = []
        own = Edition.of_version(int(fields["Flag"]) >> 2) if "Flag" in fields else self.edition or Edition.HJ2005
        edition = own or self.edition or Edition.HJ2017
        if own is None or own is not (self.edition or own) or ("RF" in fields and own is not Edition.HJ2025):
            found.append(Leniency.OTHER_EDITION)
        if not (fields["MN"].isalnum() and len(fields["MN"]) in mn_lengths(edition)):
            found.append(Leniency.MN_13_TO_24)
        in_area = edition is Edition.HJ2005 and fields["ST"] == "91" and any(item[0][0] == "QN" for item in cp[:1])
        if "QN" not in fields and not in_area:
            found.append(Leniency.MISSING_QN)
        return found

    def refusal(self, frame: "Frame") -> "Reason | None":
        """Why this profile refuses a frame that another, more lenient one has taken; None where it takes it too."""
        general = {Leniency(name) for name in frame.deviations} - _BY_EDITION
        return self.refused(general.union(self.departures(frame.fields, frame.cp)))

    def refused(self, deviations: Iterable[Leniency]) -> "Reason | None":
        """Reason of the first of these deviations that is not among the leniencies."""
        bad = set(deviations) - self.leniencies
        return next((reason for leniency, reason in REASONS.items() if leniency in bad), None)


def mn_lengths(edition: Edition) -> tuple[int, ...]:
    """How long MN is: 14 in 2005 (24 is common there too), 24 since 2017 (table 3)."""
    return (14, 24) if edition is Edition.HJ2005 else (24,)
