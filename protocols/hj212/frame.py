"""What a decoder makes of bytes: a frame as it came, or the reason why it is none."""

from dataclasses import dataclass, field
from typing import Literal

from protocols.hj212.message import HEADER, Message

Reason = Literal["header", "length", "crc", "segment", "oversize", "truncated", "version"]


@dataclass(slots=True)
class FrameError:
    """Bytes that are no frame: where they began in the stream, why, and the bytes (they may hold a password)."""

    raw: bytes = field(repr=False)
    offset: int
    reason: Reason
    detail: str = ""


@dataclass(slots=True)
class Frame:
    """A frame as it came.

    `raw` is the whole frame on the wire, `offset` where it began in the stream. `fields` has the header fields that
    were present, by their names (QN, ST, CN, PW, MN, Flag, PNUM, PNO, RF). `cp` has one list for each `;` item of the
    data area, with its sub-values in order and repeated names kept, decrypted where it came encrypted. `deviations`
    names the leniencies without which it would have been refused.
    """

    raw: bytes = field(repr=False)
    offset: int
    fields: dict[str, str] = field(repr=False)
    cp: list[list[tuple[str, str]]]
    deviations: list[str]

    @property
    def message(self) -> Message:
        """What it says, the same for every edition: in a 2005 reply the QN is taken out of the data area."""
        fields, cp = self.fields, self.cp
        qn = fields.get("QN")
        if qn is None and cp and cp[0][0][0] == "QN" and HEADER["QN"].fullmatch(cp[0][0][1]):
            qn, cp = cp[0][0][1], [rest for rest in (cp[0][1:], *cp[1:]) if rest]
        pnum, pno = (int(fields[name]) if {"PNUM", "PNO"} <= fields.keys() else None for name in ("PNUM", "PNO"))
        return Message(
            qn=qn or "",
            st=fields["ST"],
            cn=fields["CN"],
            pw=fields["PW"],
            mn=fields["MN"],
            flag=int(fields.get("Flag", "0")),
            area=tuple(tuple(item) for item in cp),
            pnum=pnum,
            pno=pno,
            resent=fields.get("RF") == "1",
            deviations=tuple(self.deviations),
            raw=self.raw,
        )
