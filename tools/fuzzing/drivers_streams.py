"""What an instrument sends unasked. The first byte names a transcript's driver, then come the pieces it arrives in.

What must hold: `feed` never raises; the scans fit the declaration and can be records; the same bytes in one piece give
the same scans; what the driver holds is bounded.
"""

import random
from typing import Any, Final

from drivers_frames import REPAIRS
from drivers_scans import AT, check, joined, options_of, pieces, transcripts
from hj212_held import held
from must import need

from drivers.registry import stream_driver
from metrology.reading import Scan, StreamFault

TRANSCRIPTS: Final = transcripts("stream")
# The longest line of any of them, and what is made of it.
HELD_MAX: Final = 17 * 1024 + 512
REPEATED: Final = 128
REPEATS: Final = 24
WORDS: Final = (
    b"\r\n",
    b"\x02",
    b"\x03",
    b"$GPGGA,",
    b"*00",
    b",,",
    b"BM\x00\x1c",
    b"SECONDS:",
    b"1e999",
    b"nan",
    b"</li850>",
)


def fed(transcript: Any, parts: list[bytes], watched: bool) -> list[Scan | StreamFault]:
    """A fresh driver after all parts."""
    units = {int(unit): name for unit, name in transcript["units"].items()}
    stream = stream_driver(transcript["driver"], units, options_of(transcript))
    before = held(stream).size if watched else 0
    found = [one for part in parts for one in stream.feed(part, AT)]
    if watched:
        need(held(stream).size - before <= HELD_MAX, "a driver that holds on to what came")
    check([one for one in found if isinstance(one, Scan)], stream.measurands, set(units.values()))
    need(all(len(one.what) < 500 for one in found if isinstance(one, StreamFault)), "a complaint without end")
    return found


def one_input(data: bytes) -> None:
    """The target: one input of the fuzzer."""
    if len(data) < 2:
        return
    transcript = TRANSCRIPTS[data[0] % REPEATED % len(TRANSCRIPTS)]
    parts = list(pieces(data[1:])) * (REPEATS if data[0] & REPEATED else 1)
    watched = bool(data[0] & REPEATED)
    whole = fed(transcript, [b"".join(parts)], watched)
    if len(parts) > 1:
        scans = [one for one in fed(transcript, parts, watched) if isinstance(one, Scan)]
        need(repr(scans) == repr([one for one in whole if isinstance(one, Scan)]), "other scans in pieces")


def _bytes(transcript: Any) -> bytes:
    return bytes.fromhex(transcript["bytes"]) if "bytes" in transcript else str(transcript["text"]).encode("latin-1")


def seeds() -> list[bytes]:
    """The first inputs of this target."""
    found = []
    for number, transcript in enumerate(TRANSCRIPTS):
        data = _bytes(transcript)
        cuts = [data[at : at + 37] for at in range(0, len(data), 37)]
        found += [
            bytes((number,)) + joined([data]),
            bytes((number,)) + joined(cuts),
            bytes((number | REPEATED,)) + joined([data[:20] + b"x" * 900]),
        ]
    return found


def inside(data: bytes, room: int, seed: int, mutate: Any) -> bytes:
    """Damage the stream, make its check sums right again, cut it anew."""
    rng = random.Random(seed)
    if len(data) < 4:
        return rng.choice(seeds())[:room]
    name = TRANSCRIPTS[data[0] % REPEATED % len(TRANSCRIPTS)]["driver"]
    stream = b"".join(pieces(data[1:]))
    changed = mutate(stream, max(1, room - 40))
    if name in REPAIRS:
        changed = REPAIRS[name](changed)
    at = rng.randrange(len(changed) + 1)
    parts = [changed] if rng.randrange(2) else [changed[:at], changed[at:]]
    return (data[:1] + joined(parts))[:room]
