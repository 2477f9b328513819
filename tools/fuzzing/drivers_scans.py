"""What must hold of every scan a driver makes, and the transcripts the first inputs are taken from."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import hjson
from must import need

from metrology.reading import Scan
from protocols import record

AT: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FOLDER: Final = Path(__file__).resolve().parent.parent.parent / "tests" / "transcripts"
SCANS_MAX: Final = 5000


def transcripts(*wires: str) -> list[Any]:
    """Transcripts of these wires, by name of the file; the recorded boards have a subject of their own."""
    found = [hjson.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.hjson"))]
    return [one for one in found if one["wire"] in wires and one["driver"] != "micro_board"]


def options_of(transcript: Any) -> dict[str, Any]:
    """Options as plain values."""
    return {key: list(one) if isinstance(one, list) else one for key, one in transcript.get("options", {}).items()}


def check(scans: list[Scan], measurands: dict[str, str], instruments: set[str]) -> None:
    """Every scan can be a record; every value is a number or none, of a measurand and unit that were declared."""
    need(len(scans) <= SCANS_MAX, f"{len(scans)} scans of one answer")
    for scan in scans:
        need(scan.instrument in instruments, "a scan of another instrument")
        need(scan.at.tzinfo is not None, "a time without a zone")
        names = [one.measurand for one in scan.readings]
        need(len(set(names)) == len(names), "a measurand twice in a scan")
        for one in scan.readings:
            need(measurands.get(one.measurand) == one.unit, f"{one.measurand} in {one.unit} was not declared")
            need(one.value is None or (type(one.value) in (int, float)), "a value that is no number")
        body = record.encode({"v": 1, "epoch": 1, "seq": 1, "kind": "scan", **record.scan_fields(scan)})
        need(len(body) <= record.BODY_BYTES_MAX, "a scan too long for a record")
        need(
            all(one.value is None or not math.isnan(one.value) or one.quality.marks for one in scan.readings),
            "NaN as good",
        )


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut by two bytes of length before each piece."""
    while len(data) >= 2:
        size = int.from_bytes(data[:2], "big")
        yield data[2 : 2 + size]
        data = data[2 + size :]


def joined(parts: list[bytes]) -> bytes:
    """Inverse of `pieces`."""
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)
