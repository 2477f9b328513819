"""Who may do what on the centre's page. A path that is missing here is for administrators alone, and a test fails."""

from typing import Final

from web.access import EVERYBODY, Access

ACCESS: Final[Access] = {
    "GET /": EVERYBODY,
    "GET /station/{station}": EVERYBODY,
    "GET /events": EVERYBODY,
    "GET /health": EVERYBODY,
    "GET /api/stations": EVERYBODY,
    "GET /api/stations/{station}/values": EVERYBODY,
    "GET /api/stations/{station}/averages": EVERYBODY,
    "GET /api/stations/{station}/gases": EVERYBODY,
    "GET /api/attribution": EVERYBODY,
    "GET /api/events": EVERYBODY,
    "GET /api/health": EVERYBODY,
    "GET /api/layer": EVERYBODY,
    "GET /api/stations/{station}/hj212": EVERYBODY,
    "GET /api/stations/{station}/hj212/{mn}/dialogue": EVERYBODY,
    # Commands set clocks and open valves at a station.
    "POST /api/stations/{station}/hj212/{mn}/send": frozenset({"qa", "admin"}),
}
