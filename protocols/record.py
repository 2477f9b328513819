"""The record body: one line of canonical JSON (RFC 8785) that holds everything about a record (design, section 2).

Every body has `v`, `epoch`, `seq`, `kind`, `t` (world time of writing) and, under a simulator or an accelerated clock,
`sim` true. The other members depend on the kind; `docs/records.md` lists them.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import rfc8785

from metrology.periods import iso, parse_iso
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average, Reading, Scan, Uncertainty

VERSION: Final = 1
KINDS: Final = frozenset({"scan", "average", "calibration", "event", "config", "checkpoint", "gap"})
BODY_BYTES_MAX: Final = 256 * 1024
# Whole numbers below this are exact in every JSON reader.
_EXACT: Final = 2**53
# Of what a stranger's body says where it makes no sense.
_SHOWN_CHARACTERS_MAX: Final = 80
# Of a status word that is a number no instrument means.
_WORD_CHARACTERS_MAX: Final = 40

Fields = Mapping[str, Any]


class RecordError(ValueError):
    """Bytes that are no record body."""


_QUICK: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)
# A number below this is written in another way by Python than by RFC 8785.
_SMALLEST: Final = 1e-4
# From here on RFC 8785 writes a double with an exponent.
_WHOLE_MAX: Final = 10**21


def _plain(value: object) -> bool:
    """Whether Python's own JSON, keys sorted, is the canonical form: it is for nearly everything a station writes.

    Not for whole numbers kept as floats, for very small ones, and where keys are not ASCII (order by UTF-16 units).
    """
    # Loops and no generators: this looks at every value of every scan.
    kind = type(value)
    if kind is float:
        assert isinstance(value, float)
        return not value.is_integer() and _SMALLEST <= abs(value) < math.inf
    if kind is str or kind is bool or value is None:
        return True
    if kind is dict:
        assert isinstance(value, dict)
        for key, inner in value.items():  # noqa: SIM110
            if type(key) is not str or not key.isascii() or not _plain(inner):
                return False
        return True
    if kind is list or kind is tuple:
        assert isinstance(value, list | tuple)
        for inner in value:  # noqa: SIM110
            if not _plain(inner):
                return False
        return True
    return isinstance(value, int) and -_EXACT < value < _EXACT


def _as_written(value: Any) -> Any:
    """The same with the doubles a reader took for whole numbers: RFC 8785 writes large ones without a point."""
    if isinstance(value, Mapping):
        return {name: _as_written(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_written(inner) for inner in value]
    if not isinstance(value, int) or -_EXACT < value < _EXACT or abs(value) >= _WHOLE_MAX:
        return value
    number = float(value)
    return number if rfc8785.dumps(number) == str(value).encode() else value


def encode(fields: Fields) -> bytes:
    """Canonical bytes of a body, no line end. Raises RecordError for NaN, infinities and other non-JSON values."""
    members = dict(fields)
    try:
        # The library writes every form; the interpreter's own encoder is five times as fast where both agree.
        return _QUICK.encode(members).encode() if _plain(members) else rfc8785.dumps(_as_written(members))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise RecordError(f"no canonical form: {error}") from error


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RecordError("a key occurs twice")
    return found


def _refuse(constant: str) -> float:
    raise RecordError(f"{constant} is not JSON")


def decode(body: bytes) -> dict[str, Any]:
    """Members of a body. Raises RecordError for anything that is not one JSON object of a known kind and version."""
    if len(body) > BODY_BYTES_MAX:
        raise RecordError(f"body of {len(body)} bytes exceeds {BODY_BYTES_MAX}")
    try:
        fields = json.loads(body, object_pairs_hook=_no_duplicates, parse_constant=_refuse)
    except RecordError:
        raise
    except (ValueError, RecursionError) as error:  # a whole number of more than 4300 digits is a ValueError of its own
        raise RecordError(f"not JSON: {error}") from error
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        raise RecordError("not an object of version 1")
    if not isinstance(fields.get("kind"), str) or fields["kind"] not in KINDS:
        raise RecordError(f"unknown kind {repr(fields.get('kind'))[:_SHOWN_CHARACTERS_MAX]}")
    for name in ("epoch", "seq"):
        if not isinstance(fields.get(name), int) or isinstance(fields[name], bool) or fields[name] < 0:
            raise RecordError(f"{name} is missing or no non-negative integer")
    return fields


def _finite(value: float | None) -> float | None:
    """The number as it is written: a whole one without a point; None for what is no number."""
    if value is None or not math.isfinite(value):
        return None
    # What comes from a record may be an int already.
    return int(value) if -_EXACT < value < _EXACT and int(value) == value else value


def quality_fields(quality: Quality) -> list[list[str]]:
    """`[[cause, origin, since], ...]`, sorted."""
    return [[mark.cause.value, mark.origin, iso(mark.since)] for mark in sorted(quality.marks)]


def quality_of(rows: Iterable[Iterable[str]]) -> Quality:
    """Inverse of `quality_fields`."""
    return Quality(frozenset(Mark(Cause(c), origin, parse_iso(since)) for c, origin, since in rows))


def _told(value: str | int | float | bool | None) -> str | int | float | bool | None:
    """A word of an instrument's status as it is written; a whole number no reader has exactly becomes text."""
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, int) and not -_EXACT < value < _EXACT:
        return f"{value:#x}"[:_WORD_CHARACTERS_MAX]
    return value


def scan_fields(scan: Scan) -> dict[str, Any]:
    """Members of a scan record: `instrument`, `at`, `values` {measurand: {x, u, q?}}, `status`. NaN becomes null."""
    values = {}
    for reading in scan.readings:
        row: dict[str, Any] = {"x": _finite(reading.value), "u": reading.unit}
        if reading.quality.marks:
            row["q"] = quality_fields(reading.quality)
        values[reading.measurand] = row
    status = {name: _told(value) for name, value in scan.status.items()}
    return {"instrument": scan.instrument, "at": iso(scan.at), "values": values, "status": status}


def scan_of(fields: Fields) -> Scan:
    """Inverse of `scan_fields`."""
    at = parse_iso(fields["at"])
    name = fields["instrument"]
    readings = tuple(
        Reading(name, measurand, row["x"], row["u"], at, quality_of(row.get("q", ())))
        for measurand, row in fields["values"].items()
    )
    return Scan(name, at, readings, fields.get("status", {}))


def average_row(average: Average) -> dict[str, Any]:
    """One series' row of an average record."""
    row: dict[str, Any] = {
        "u": average.unit,
        "n": average.n,
        "valid": _finite(round(average.valid_fraction, 6)),
        "mean": _finite(average.mean),
        "min": _finite(average.minimum),
        "max": _finite(average.maximum),
        "sd": _finite(average.sd),
        "rule": average.rule,
        "rev": average.revision,
        "final": average.final,
    }
    if average.quality.marks:
        row["q"] = quality_fields(average.quality)
    if average.sum is not None:
        row["sum"] = _finite(average.sum)
    if average.uncertainty is not None:
        part = average.uncertainty
        row["unc"] = [part.independent, part.slow, part.common]
    if average.calibrations:
        row["cal"] = list(average.calibrations)
    return row


def averages_fields(averages: Iterable[Average]) -> dict[str, Any]:
    """Members of an average record: `start`, `end`, `period_s`, `rows` {series: ...}; all averages share one period."""
    rows = list(averages)
    first = rows[0]
    if any((a.start, a.period_s) != (first.start, first.period_s) for a in rows):
        raise RecordError("averages of different periods in one record")
    return {
        "start": iso(first.start),
        "end": iso(first.end),
        "period_s": first.period_s,
        "rows": {a.series: average_row(a) for a in rows},
    }


def averages_of(fields: Fields) -> list[Average]:
    """Inverse of `averages_fields`."""
    start = parse_iso(fields["start"])
    return [
        Average(
            series=series,
            unit=row["u"],
            start=start,
            period_s=fields["period_s"],
            n=row["n"],
            valid_fraction=row["valid"],
            mean=row["mean"],
            minimum=row["min"],
            maximum=row["max"],
            sd=row["sd"],
            rule=row["rule"],
            quality=quality_of(row.get("q", ())),
            sum=row.get("sum"),
            uncertainty=Uncertainty(*row["unc"]) if "unc" in row else None,
            calibrations=tuple(row.get("cal", ())),
            revision=row["rev"],
            final=row["final"],
        )
        for series, row in fields["rows"].items()
    ]
