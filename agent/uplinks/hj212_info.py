"""Station information of 3020: states and parameters as they are now, lines of logs (HJ 212-2017 table B.10)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agent.config_hj212 import Hj212Uplink, Info
from calibration.correction import Coefficients
from metrology.clock import Clock
from metrology.quality import Cause
from metrology.reading import Measurement
from protocols.hj212.factors import decimal
from protocols.hj212.information import log_text

# What the station knows by itself; of the first group each analyser has its own.
OF_ANALYSER: Final = frozenset({"i11001", "i12001", "i12002", "i13001", "i13007", "i13008"})
OF_LOGGER: Final = frozenset({"i21001", "i22001", "i22003"})
KNOWN: Final = OF_ANALYSER | OF_LOGGER
LOGS: Final = frozenset({"i11001", "i21001"})
STATES: Final = frozenset({"i12001", "i12002", "i22001"})

# Records that are lines of a log, by their `what`; those of an analyser name its instrument.
LINES: Final = {
    "i11001": (
        "calibration",
        ("run-started", "run-finished", "run-aborted", "point", "drift", "coefficients", "standard-check"),
    ),
    "i21001": (
        "event",
        (
            "stopped", "clock-step", "log-damaged", "log-recovered", "maintenance-lock", "maintenance-unlock",
            "maintenance-expired", "unit-silent", "unit-back", "calibration-refused", "calibration-aborted",
            "valve-not-safe", "uplink-down", "uplink-up", "platform-request", "platform-request-refused",
        ),
    ),
}  # fmt: skip
_LEFT_OUT: Final = frozenset({"v", "epoch", "seq", "kind", "t", "sim", "what"})

# i12001 by the causes on the newest reading; the numbers are not those of SBn-RS.
_WORK: Final = (
    ("1", frozenset({Cause.MAINTENANCE})),
    ("2", frozenset({Cause.FAULT, Cause.COMMUNICATION})),
    ("3", frozenset({Cause.CALIBRATION, Cause.RECOVERY, Cause.FLUSH})),
    ("5", frozenset({Cause.BLOWBACK})),
    ("9", frozenset({Cause.WARM_UP, Cause.STOPPED})),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a station knows of itself that platforms may ask."""

    latest: Mapping[str, Measurement]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    coefficients: Mapping[str, Coefficients] = field(default_factory=dict)
    serials: Mapping[str, str] = field(default_factory=dict)
    maintained: Callable[[], bool] = lambda: False
    # While the clock is not to be trusted nothing leaves whose time is only its stamp.
    held: Callable[[], bool] = lambda: False


class Information:
    """The items configured for one platform."""

    def __init__(self, config: Hj212Uplink, facts: Facts, clock: Clock) -> None:
        self._items: dict[str, Info] = config.info
        self._series = {code: factor.series for code, factor in config.factors.items()}
        self._facts = facts
        self._clock = clock

    @property
    def factors(self) -> list[str]:
        """Codes of the factors of this platform."""
        return list(self._series)

    @property
    def logs(self) -> frozenset[str]:
        """Codes of the logs that this platform is told."""
        return LOGS & self._items.keys()

    def value(self, code: str, pol_id: str | None) -> str | None:
        """An item as it is now, None where it is not configured or not known."""
        item = self._items.get(code)
        if item is None or code in LOGS:
            return None
        if item.value is not None:
            return item.value
        if item.series is not None:
            measurement = self._facts.latest.get(item.series)
            return (
                None if measurement is None or measurement.value is None else decimal(measurement.value, item.decimals)
            )
        if code in OF_ANALYSER:
            series = self._series.get(pol_id or "")
            return None if series is None else self._of_analyser(code, series)
        return {"i22001": "3" if self._facts.maintained() else "0", "i22003": "0"}.get(code)

    def _of_analyser(self, code: str, series: str) -> str | None:
        causes = self._causes(series)
        if code == "i12001":
            return None if causes is None else next((state for state, its in _WORK if causes & its), "0")
        if code == "i12002":
            return None if causes is None else str(int(Cause.COMMUNICATION in causes))
        if code == "i13001":
            low, high = self._facts.ranges.get(series, (None, None))
            return None if low is None or high is None else f"{low:g}-{high:g}"
        found = self._facts.coefficients.get(series)
        valid = found.at(self._clock.now()) if found else None
        if valid and not valid.is_line:
            return None
        # value = slope * indication + intercept; without coefficients the indication is the value.
        slope = valid.slope if valid else 1.0
        intercept = -valid.zero * valid.slope if valid else 0.0
        return decimal(slope if code == "i13008" else intercept, 6)

    def _causes(self, series: str) -> frozenset[Cause] | None:
        measurement = self._facts.latest.get(series)
        return None if measurement is None else measurement.reading.quality.causes

    def states(self) -> dict[tuple[str, str | None], str]:
        """All states that are known now, by code and factor."""
        wanted: list[tuple[str, str | None]] = []
        for code in sorted(STATES & self._items.keys()):
            wanted += [(code, pol_id) for pol_id in self._series] if code in OF_ANALYSER else [(code, None)]
        found = {key: self.value(*key) for key in wanted}
        return {key: value for key, value in found.items() if value is not None}

    def serial(self, pol_id: str) -> str | None:
        """Serial number of the analyser of a factor, None where none is configured."""
        return self._facts.serials.get(self._series.get(pol_id, "").partition(".")[0])

    def knows(self, pol_id: str) -> bool:
        """True for a factor of this platform."""
        return pol_id in self._series

    def lines(self, fields: Mapping[str, Any]) -> list[tuple[str, str | None, str]]:
        """A record as lines of the logs that this platform is told: code, factor, text."""
        found = []
        for code in sorted(self.logs):
            kind, whats = LINES[code]
            if fields["kind"] != kind or fields.get("what") not in whats:
                continue
            pol_id = self._about(fields) if code in OF_ANALYSER else None
            if pol_id is not None or code in OF_LOGGER:
                rest = " ".join(f"{name} {value}" for name, value in fields.items() if name not in _LEFT_OUT)
                found.append((code, pol_id, log_text(f"{fields['what']} {rest}")))
        return found

    def _about(self, fields: Mapping[str, Any]) -> str | None:
        """The factor that a record of an analyser is about: its own, else the first of that analyser."""
        series, instrument = fields.get("series"), fields.get("instrument")
        own = [code for code, one in self._series.items() if one == series]
        return next(iter((*own, *(c for c, one in self._series.items() if one.partition(".")[0] == instrument))), None)
