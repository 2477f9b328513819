"""Bodies of records from a foreign station: what the reader takes is kept, shown and counted at the centre.

What must hold: `decode` raises RecordError and nothing else; what it took can be written canonically and is the same
then; the centre's shape is a body or one line of reason, and what has a shape can be made a row of its store.
"""

import json
import math
import random
from typing import Any, Final

from json_tree import damaged, spoiled
from must import need

from central.shapes import causes, shape
from protocols import record

T: Final = "2026-05-01T08:00:00.000Z"
MARK: Final = ["calibration", "daily", T]
KINDS: Final[dict[str, dict[str, Any]]] = {
    "scan": {
        "instrument": "crds", "at": T, "status": {"state": "measuring", "code": 963, "cavity_pressure": 139.98},
        "values": {"co2": {"x": 421.37, "u": "umol/mol"}, "h2o": {"x": None, "u": "%", "q": [MARK]}},
    },
    "average": {
        "start": T, "end": "2026-05-01T08:01:00.000Z", "period_s": 60,
        "rows": {
            "crds.co2": {
                "u": "umol/mol", "n": 12, "valid": 1, "mean": 421.4, "min": 421, "max": 422.1, "sd": 0.31,
                "rule": "ghg", "rev": 0, "final": True, "q": [MARK], "unc": [0.01, 0.02, 0.05],
                "cal": ["c-1"], "sum": 12.5,
            }
        },
    },
    "calibration": {"what": "coefficients", "run": "r", "id": "c-1", "series": "crds.co2", "zero": 0.4, "slope": 1.002},
    "event": {"what": "clock-step", "origin": "clock", "step_s": -3.5, "detail": {"a": [1, "二", None]}},
    "config": {"sha256": "00" * 32, "version": "0.1.0", "document": {"station": {"id": "a"}}},
    "gap": {"from": T, "to": "2026-05-01T08:30:00.000Z", "reason": "not running"},
    "checkpoint": {"size": 7, "root": "AA==", "note": "plumeline/a/1\n7\nAA==\n\n— k AAAA\n", "leaves": "AAAA"},
}  # fmt: skip
WORDS: Final = (
    b'"v":1',
    b'"kind":"scan"',
    b'"x":',
    b'"q":[["',
    b"1e400",
    b"-0.0",
    b"\\ud800",
    b"\xf0\x9d\x84\x9e",
    b"NaN",
)


def _equal(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are one number, True is none."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        # A number of JSON is a double; large ones are written without a point.
        return float(one) == float(other)
    return bool(one == other)


def one_input(data: bytes) -> None:
    """The target: one input of the fuzzer."""
    try:
        fields = record.decode(data)
    except record.RecordError as error:
        need(len(str(error)) < 1000, "an error longer than what it is about")
        return
    need(len(data) <= record.BODY_BYTES_MAX and fields["kind"] in record.KINDS, "a body that may not be")
    try:
        written = record.encode(fields)
    except record.RecordError:
        written = None
    if written is not None:
        again = record.decode(written)
        need(_equal(again, fields), "another record after it was written")
        need(record.encode(again) == written, "no fixed form")
        need(b"\n" not in written, "a line end in a body")
    judged = shape(fields)
    if isinstance(judged, str):
        need(0 < len(judged) <= 500, "a reason that is none")
        return
    if fields["kind"] in ("event", "calibration"):
        need(written is not None, "an act that cannot be kept")
    for row in getattr(judged, "rows", {}).values():
        need(all(one is None or math.isfinite(one) for one in (row.mean, row.min, row.max, row.sd)), "no number")
        causes(row.q)
    for value in getattr(judged, "values", {}).values():
        need(value.x is None or math.isfinite(value.x), "no number")
        causes(value.q)


def body(kind: str, **members: Any) -> bytes:
    """A body as a station writes it."""
    return record.encode({"v": 1, "epoch": 1, "seq": 7, "kind": kind, "t": T, **KINDS[kind], **members})


def seeds() -> list[bytes]:
    """The first inputs of this target."""
    return [body(kind) for kind in KINDS] + [body("scan", sim=True), body("gap", t="1970-01-01T00:00:00Z")]


def inside(data: bytes, room: int, seed: int, mutate: Any) -> bytes:
    """Damage members, keep the body canonical JSON of a known kind where it was one."""
    rng = random.Random(seed)
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        fields = json.loads(body(rng.choice(list(KINDS))))
    if not isinstance(fields, dict):
        fields = json.loads(body("scan"))
    made = damaged(fields, rng)
    if rng.randrange(8):
        made |= {"v": 1, "epoch": 1, "seq": rng.choice((0, 7, 2**53)), "kind": made.get("kind", "scan")}
    try:
        return spoiled(record.encode(made), rng)[:room]
    except (record.RecordError, RecursionError, UnicodeEncodeError):  # the last with a bug planted in what we test
        return json.dumps(made).encode()[:room]
