"""What a station and a centre say to each other when the station enrols or renews its certificate.

One HTTPS endpoint of the centre: GET /authority gives the authority's certificate, POST /enrol takes `Enrolling`,
POST /renew takes `Renewing` under the present client certificate; both answer `Enrolled` or {"error": code}.
"""

import hashlib
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from host.shapes import Name

# Crockford's: no letter that is taken for another. Twenty of them are 100 bits.
CODE_CHARACTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ANSWER_BYTES_MAX: Final = 64 * 1024
_MISREAD: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})

Text = Annotated[str, Field(min_length=1, max_length=8000)]


class EnrolError(Exception):
    """An enrolment that did not come about. `code` names the sentence that tells a person what to do."""

    def __init__(self, code: str, **values: object) -> None:
        super().__init__(", ".join([code, *(f"{name} {value}" for name, value in values.items())]))
        self.code = code
        self.values = values


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Enrolling(_Message):
    """A station with its code. `csr` is PEM; `note` is `statement` signed by the ledger's key."""

    code: str = Field(min_length=1, max_length=100)
    station: Name
    network: Name
    vkey: str = Field(max_length=400)
    csr: Text
    note: Text
    software: str = Field(default="", max_length=100)


class Renewing(_Message):
    """A station with its present certificate, which TLS has shown."""

    csr: Text


class Enrolled(_Message):
    """What a station gets: its certificate (PEM), where the broker is, and the key of the centre's cosignatures."""

    certificate: Text
    host: str = Field(max_length=255)
    port: int = Field(ge=1, le=65535)
    witness: str | None = Field(default=None, max_length=400)


def code_hash(code: str) -> str:
    """What is kept of a code, however a person wrote it."""
    plain = code.upper().translate(_MISREAD)
    return hashlib.sha256(f"plumeline/enrolment-code/v1\n{plain}".encode()).hexdigest()


def statement(station_id: str, csr: str) -> str:
    """What the ledger's key signs, so that both keys of a station are known to lie in one hand."""
    return f"plumeline/enrolment/v1\n{station_id}\n{hashlib.sha256(csr.encode()).hexdigest()}\n"
