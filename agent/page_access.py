"""Who may do what on the station page. A path that is missing here is for administrators alone, and a test fails."""

from typing import Final

from web.access import EVERYBODY, Access
from web.accounts import Role

_READ: Final = EVERYBODY
_HANDS: Final[frozenset[Role]] = frozenset({"technician", "qa", "admin"})
_QA: Final[frozenset[Role]] = frozenset({"qa", "admin"})

ACCESS: Final[Access] = {
    "GET /": _READ,
    "GET /trace": _READ,
    "GET /api/status": _READ,
    "GET /api/events": _READ,
    "GET /gases": _READ,
    "GET /gases/cylinder": _READ,
    "GET /gases/new": _HANDS,
    **{f"POST /gases/{act}": _HANDS for act in ("add", "pressure", "revalue", "install", "remove", "retire")},
    # What a gas is used for, and what it is worth by our own measurement.
    "POST /gases/roles": _QA,
    "POST /gases/assign": _QA,
}
