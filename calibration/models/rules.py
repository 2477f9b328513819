"""Dated settings of a calibration: rows of gas, site, system, start, end, key and value; the first match wins.

Shape after the tables of the NOAA observatories (ccg_dataProcessing, insitu.conf): patterns `*`, `x*`, `!a|b`, the end
of a rule exclusive, defaults where no rule speaks. So data of last year are processed by last year's settings.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args, get_origin

from calibration.models.water import WATER_MODELS, WaterCorrection

DAY_S: Final = 86400.0
ANY: Final = "*"
BREAK: Final = "break"


class RuleError(ValueError):
    """A rule that cannot be used: which row, and what may stand there."""


@dataclass(frozen=True, slots=True)
class DeclaredTerm:
    """A standard uncertainty that is declared, not found: `value` in the unit of the series, or `ratio` of the value.

    It holds for values from `least` to below `most`.
    """

    name: str
    value: float = 0.0
    ratio: float = 0.0
    over_time: Literal["independent", "slow", "common"] = "common"
    source: str = "declared"
    verified: bool = True
    least: float = float("-inf")
    most: float = float("inf")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one moment. Times in seconds, amounts in the unit of the series.

    reference            name of the tank subtracted or divided by; unsaid, the tank declared as `Reference`; null in a
                         rule, none. With `bracket` it may be one of the standards
    standards            names in the order expected in a calibration
    operation            `subtract` (x = sample - reference) or `ratio` (x = sample / reference)
    method               `response`: calibrations are fitted and interpolated; `bracket`: every tank is interpolated to
                         the moment of the sample and fitted there (NOAA's towers, UATAQ), also where the reference is
                         one of the standards
    degree, fit          polynomial of degree 1 or 2, `york` (errors in both) or `weighted`
    loops                rounds of standards in a calibration; the last one is used
    loop_gap_s           readings further apart than this belong to two calibrations
    cal_flush_s          dropped at the start of each tank's visit; sample_flush_s: of air after a tank
    visit_minutes        fewest usable minutes of a visit; visit_slope: largest slope in it, per minute
    stability            largest standard deviation of the minutes of a visit; none: six times the usual
    response_from        which calibrations a value takes: mean of both neighbours, linear, nearest, previous
    cal_time_diff_s      a calibration this far away or farther is not used; max_ref_gap_s: the same for references
    baseline             uncertainty of the interpolated reference: `bridge` (random walk) or `noaa` (one left out)
    water, water_model   name of a correction, or coefficients with their covariance (`calibration.models.water`)
    least, most          a value must lie above `least` and at or below `most`
    target_limit         largest deviation of a target gas that passes; none: no verdict
    wrong_standard       `leave-out` a standard whose value the others contradict, or `keep` it; named either way
    step_limit           largest change of the reference between two visits; none: from its own noise
    coverage             share of a period's minutes of air that must be valid
    terms                declared standard uncertainties
    """

    reference: str | None = None
    standards: tuple[str, ...] = ()
    operation: Literal["subtract", "ratio"] = "subtract"
    method: Literal["response", "bracket"] = "response"
    degree: int = 1
    fit: Literal["york", "weighted"] = "york"
    loops: int = 1
    loop_gap_s: float = 7200.0
    cal_flush_s: float = 240.0
    sample_flush_s: float = 240.0
    visit_minutes: int = 2
    visit_slope: float | None = None
    stability: float | None = None
    response_from: Literal["mean", "linear", "nearest", "previous"] = "mean"
    cal_time_diff_s: float = 2 * DAY_S
    max_ref_gap_s: float = 2 * DAY_S
    baseline: Literal["bridge", "noaa"] = "bridge"
    water: str = "none"
    water_model: WaterCorrection | None = None
    least: float = 0.0
    most: float = 9999.99
    target_limit: float | None = None
    wrong_standard: Literal["leave-out", "keep"] = "leave-out"
    step_limit: float | None = None
    coverage: float = 0.5
    terms: tuple[DeclaredTerm, ...] = ()

    @property
    def water_correction(self) -> WaterCorrection | None:
        """Own coefficients before a named correction; None where the readings are dry already."""
        return self.water_model or WATER_MODELS.get(self.water)


_SETTING: Final = {one.name: one for one in fields(Settings)}


def matches(pattern: str, word: str) -> bool:
    """True where a word answers a pattern: `*`, `x*` (begins with), `a|b` (one of), `!a|b` (none of)."""
    if pattern.startswith("!"):
        return not matches(pattern[1:], word)
    return any(
        word.startswith(one[:-1]) if one.endswith(ANY) else one == word
        for one in (part.strip() for part in pattern.split("|"))
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """One row; `end_s` exclusive. Key `break` forces a new block of processing at `start_s`."""

    key: str
    value: Any = None
    gas: str = ANY
    site: str = ANY
    system: str = ANY
    start_s: float = float("-inf")
    end_s: float = float("inf")

    def speaks(self, gas: str, site: str, system: str) -> bool:
        """True where the patterns fit."""
        return matches(self.gas, gas) and matches(self.site, site) and matches(self.system, system)

    def holds(self, at_s: float) -> bool:
        """True from the start to before the end."""
        return self.start_s <= at_s < self.end_s


class Rules:
    """The rules that speak of one gas at one site and system."""

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        gas: str = "",
        site: str = "",
        system: str = "",
        base: Settings | None = None,
    ) -> None:
        """`base` holds what no rule sets."""
        spoken = [rule for rule in rules if rule.speaks(gas, site, system)]
        self._rules = tuple(rule for rule in spoken if rule.key != BREAK)
        self.breaks = tuple(sorted(rule.start_s for rule in spoken if rule.key == BREAK))
        self._base = base or Settings()
        self._edges = sorted({edge for rule in self._rules for edge in (rule.start_s, rule.end_s)})
        self._spans: dict[int, Settings] = {}

    def at(self, at_s: float) -> Settings:
        """The settings of a moment; the same object between two edges."""
        span = bisect_right(self._edges, at_s)
        if span not in self._spans:
            self._spans[span] = self._settings(at_s)
        return self._spans[span]

    def with_base(self, base: Settings) -> "Rules":
        """The same rules over other defaults."""
        found = Rules(base=base)
        found._rules, found.breaks, found._edges = self._rules, self.breaks, self._edges
        return found

    @property
    def base(self) -> Settings:
        """What holds where no rule speaks."""
        return self._base

    def _settings(self, at_s: float) -> Settings:
        found: dict[str, Any] = {}
        for rule in self._rules:
            if rule.key not in found and rule.holds(at_s):
                found[rule.key] = rule.value
        return replace(self._base, **found)


def read(rows: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Rules of a document (parsed at the edge, for example from HJSON): a list of objects.

    Each has `key` and `value`, and may have `gas`, `site`, `system` (patterns) and `start`, `end` (ISO 8601, UTC where
    no zone stands there). Several keys may share a row: `set: {key: value, ...}`. Raises RuleError.
    """
    found: list[Rule] = []
    for number, row in enumerate(rows, 1):
        unknown = set(row) - {"gas", "site", "system", "start", "end", "key", "value", "set", "comment"}
        if unknown:
            raise RuleError(f"rule {number}: unknown {', '.join(sorted(unknown))}")
        pairs = row["set"] if "set" in row else {row.get("key"): row.get("value")}
        if not isinstance(pairs, Mapping):
            raise RuleError(f"rule {number}: set must be an object of keys and values")
        where = {name: str(row.get(name, ANY)) for name in ("gas", "site", "system")}
        start = _instant(row.get("start"), float("-inf"), number)
        end = _instant(row.get("end"), float("inf"), number)
        if start >= end:
            raise RuleError(f"rule {number}: the end must come after the start")
        for key, value in pairs.items():
            found.append(Rule(str(key), _value(str(key), value, number), **where, start_s=start, end_s=end))
    return tuple(found)


def _instant(text: object, default: float, number: int) -> float:
    if text is None or text == ANY:
        return default
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise RuleError(f"rule {number}: {text!r} is no ISO 8601 date") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _value(key: str, value: Any, number: int) -> Any:
    """The value in the type of its setting."""
    if key == BREAK:
        return None
    if key not in _SETTING:
        raise RuleError(f"rule {number}: no setting {key!r}; there are {', '.join([*_SETTING, BREAK])}")
    try:
        return _typed(key, value)
    except (TypeError, ValueError, KeyError) as error:
        raise RuleError(f"rule {number}: {key}: {error}") from error


def _typed(key: str, value: Any) -> Any:
    kind = _SETTING[key].type
    if key == "terms":
        return tuple(DeclaredTerm(**one) for one in value)
    if key == "water_model":
        return WaterCorrection.of(value)
    if key == "water" and value != "none" and value not in WATER_MODELS:
        raise ValueError(f"{value!r}; there are none, {', '.join(WATER_MODELS)}")
    if key == "standards":
        return tuple(str(one) for one in value)
    if get_origin(kind) is Literal and value not in get_args(kind):
        raise ValueError(f"{value!r}; there are {', '.join(get_args(kind))}")
    if kind is int:
        return _whole(key, value)
    if kind is float or kind == float | None:
        return None if value is None and kind is not float else float(value)
    return value


def _whole(key: str, value: Any) -> int:
    if value != int(value) or int(value) < 1 or (key == "degree" and int(value) > 2):
        raise ValueError(f"{value!r} is not allowed")
    return int(value)
