"""LI-COR LI-7810, LI-7815, LI-7820 trace gas analyzers: JSON published by the analyzer's own MQTT broker.

Source: the topics stand in LI-COR's instructions (chapter "Communication with the MQTT protocol"); members of the
object and their units as public programs read them from the topic and from the analyzers' data files. The bus gives
each message as one line, topic, tab, payload. Not verified: what DIAG says beside 0, the form of the units message, and
that the gases are dry mole fractions. Nothing is ever sent.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from drivers.base import BadAnswer, DriverError, DriverInfo, Option, Options, Scan, StreamEntry
from drivers.line_stream import LineStream
from drivers.values import SHOWN_CHARACTERS_MAX, number, reading, the_only, told, units_of
from metrology.quality import Cause, Mark

TOPIC: Final = "licor/niobrara/output/concentration"
ENVELOPE: Final = "CONCENTRATION"
# Member of the object: the measurand as dry and as moist mole fraction, and the unit where the broker tells none.
GASES: Final = {
    "CO2": ("co2_dry", "co2", "umol/mol"),
    "CH4": ("ch4_dry", "ch4", "nmol/mol"),
    "N2O": ("n2o", "n2o", "nmol/mol"),
    "H2O": ("h2o_reported", "h2o_reported", "umol/mol"),
}
UNITS: Final = {
    "ppm": "umol/mol", "umol/mol": "umol/mol", "µmol/mol": "umol/mol", "μmol/mol": "umol/mol",
    "ppb": "nmol/mol", "nmol/mol": "nmol/mol", "mmol/mol": "mmol/mol", "%": "%",
}  # fmt: skip
BASES: Final = ("dry", "wet")
# A whole message with its topic; what the status of a scan takes of one.
LINE_BYTES_MAX: Final = 17 * 1024
STATUS_MAX: Final = 40
YEARS: Final = range(2015, 2100)
_BEGIN: Final = re.compile(rb"[\w/.-]+\t")


def _members(payload: str) -> dict[str, Any]:
    """The object of a message, keys in capitals, taken out of its envelope. Raises `BadAnswer`."""
    try:
        found = json.loads(payload, parse_constant=str)
    except (ValueError, RecursionError):
        raise BadAnswer(f"no JSON: {payload[:SHOWN_CHARACTERS_MAX]!r}") from None
    found = _capitals(found)
    inner = found.get(ENVELOPE, found)
    members = _capitals(inner)
    if not members:
        raise BadAnswer(f"no object: {payload[:SHOWN_CHARACTERS_MAX]!r}")
    return members


def _capitals(found: Any) -> dict[str, Any]:
    return {key.upper(): value for key, value in found.items()} if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    """A member as text; of a list, as some firmware writes a value with a second number, the first."""
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or isinstance(value, bool | dict | list):
        return None
    return value if isinstance(value, str) else repr(value)


class Li7810:
    """What the messages of one analyzer mean."""

    def __init__(self, instrument: str, options: Options) -> None:
        gases, basis = options["gases"], options["basis"]
        assert isinstance(gases, list), "settled options"
        if not gases or len(set(gases)) != len(gases) or not set(gases) <= GASES.keys():
            raise DriverError(f"gases: name each gas of the analyzer once, of {', '.join(GASES)}")
        if basis not in BASES:
            raise DriverError(f"basis {basis!r}: write {' or '.join(BASES)}")
        self._instrument = instrument
        self._topic = str(options["topic"])
        self._gases = {gas: GASES[gas][BASES.index(str(basis))] for gas in gases}
        self._units = {gas: GASES[gas][2] for gas in gases}
        self._good = options["good_diag"]
        self._last: tuple[datetime, str] | None = None
        self.measurands = units_of(self._gases.values())

    def scan(self, line: bytes, at: datetime) -> Scan | None:
        """Scan of a message; None for a message of units, of another topic, or told again. Raises `BadAnswer`."""
        topic, _, payload = line.decode("utf-8", "replace").partition("\t")
        if topic == f"{self._topic}/units":
            self._take_units(_members(payload))
        if topic != self._topic:
            return None
        members = _members(payload)
        if not self._gases.keys() & members.keys():
            raise BadAnswer(f"none of {', '.join(self._gases)}: {payload[:SHOWN_CHARACTERS_MAX]!r}")
        own = _own_time(members)
        # A broker that keeps the last message tells it again after each connection: it is no new reading.
        if own is not None and self._last == (own, payload):
            return None
        self._last = (own, payload) if own is not None else None
        return self._scan(members, own or at)

    def _take_units(self, members: Mapping[str, Any]) -> None:
        """Units of the broker; one that is not known leaves the gas without values rather than with wrong ones."""
        for gas in self._gases:
            if unit := _text(members.get(gas)):
                plain = unit.strip()
                self._units[gas] = UNITS.get(plain, plain)

    def _scan(self, members: dict[str, Any], at: datetime) -> Scan:
        marks = self._marks(members, at)
        readings = tuple(
            reading(self._instrument, measurand, _text(members.get(gas)), self._units[gas], at, marks)
            for gas, measurand in self._gases.items()
        )
        rest = {key: text for key, value in members.items() if key not in self._gases and (text := _text(value))}
        status = {key[:SHOWN_CHARACTERS_MAX]: told(text) for key, text in list(rest.items())[:STATUS_MAX]}
        return Scan(self._instrument, at, readings, status)

    def _marks(self, members: Mapping[str, Any], at: datetime) -> list[Mark]:
        diag = _text(members.get("DIAG"))
        if diag is None or number(diag) == self._good:
            return []
        return [Mark(Cause.FAULT, f"DIAG {diag[:SHOWN_CHARACTERS_MAX]}", at)]


def _own_time(members: Mapping[str, Any]) -> datetime | None:
    """The analyzer's own time; None where it tells none, or one that cannot be."""
    seconds, nanoseconds = (number(_text(members.get(key)) or "") for key in ("SECONDS", "NANOSECONDS"))
    if seconds is None or not 0 <= (nanoseconds or 0) < 1e9:
        return None
    try:
        at = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=(nanoseconds or 0) // 1000)
    except (ValueError, OverflowError, OSError):
        return None
    return at if at.year in YEARS else None


def _make(units: Mapping[int, str], options: Options) -> LineStream:
    instrument = the_only(units, "LI-COR analyzer")
    analyzer = Li7810(instrument, options)
    return LineStream(instrument, analyzer.measurands, analyzer.scan, begin=_BEGIN, line_bytes_max=LINE_BYTES_MAX)


STREAM: Final = StreamEntry(
    DriverInfo(
        name="licor_li7810",
        title="LI-COR LI-7810, LI-7815, LI-7820",
        kind="stream",
        protocol="stream",
        measurands=units_of(name for dry, wet, _ in GASES.values() for name in dict.fromkeys((dry, wet))),
        manual="LI-7810 instructions, Communication with the MQTT protocol, table 7-1 (topics); members "
        "of the object as public programs read them",
        evidence="src",
        options={
            "gases": Option(("list of texts",), f"gases of the analyzer, of {', '.join(GASES)}", ["CO2", "CH4", "H2O"]),
            "basis": Option(("text",), "CO2 and CH4 are mole fractions of dry or of wet gas (unverified)", "dry"),
            "good_diag": Option(("whole number",), "value of DIAG that says all is well (unverified)", 0),
            "topic": Option(("text",), "topic of the readings; their units are one level below, in units", TOPIC),
        },
    ),
    _make,
)
