"""What an instrument sends unasked. The first byte names a transcript's driver, then come the pieces it arrives in.

What must hold: `feed` never raises; the scans fit the declaration and can be records; the same bytes in one piece give
the same scans; what the driver holds is bounded.
"""

import random
from collections.abc import Callable
from functools import cache
from typing import Any, Final
from zlib import crc32

from drivers_frames import REPAIRS
from drivers_scans import AT, check, joined, options_of, pieces, transcripts
from hj212_held import held
from must import need

from drivers.base import StreamDriver, StreamEntry
from drivers.registry import entry
from metrology.declaration import settled
from metrology.reading import Scan, StreamFault

TRANSCRIPTS: Final = transcripts("stream")
# The longest line of any of them, and what is made of it.
HELD_MAX: Final = 17 * 1024 + 512
# First bytes from here on may be watched, one in so many of them by their check sum; so much then comes in all.
REPEATED: Final = 128
WATCHED: Final = 64
WATCHED_BYTES: Final = 20 * 1024
# One input in so many comes in one piece as well.
WHOLE: Final = 4
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

Make = Callable[[], StreamDriver]


def _maker(transcript: Any) -> Make:
    """What `stream_driver` does for a transcript, its entry found and its options settled once for all inputs."""
    found = entry(transcript["driver"])
    assert isinstance(found, StreamEntry)
    units = {int(unit): name for unit, name in transcript["units"].items()}
    options = settled(found.info, options_of(transcript))
    return lambda: found.make(dict(units), options)


MAKERS: Final = [_maker(one) for one in TRANSCRIPTS]
INSTRUMENTS: Final = [set(one["units"].values()) for one in TRANSCRIPTS]


def fed(number: int, parts: list[bytes], watched: bool) -> list[Scan | StreamFault]:
    """A fresh driver after all parts; where it is watched, they come again until one without a bound holds much."""
    stream = MAKERS[number]()
    before = held(stream).size if watched else 0
    found = [one for part in parts for one in stream.feed(part, AT)]
    if watched:
        size = max(1, sum(map(len, parts)))
        for part in [part for part in parts if part] * (1 + WATCHED_BYTES // size):
            stream.feed(part, AT)
        need(held(stream).size - before <= HELD_MAX, "a driver that holds on to what came")
    check([one for one in found if isinstance(one, Scan)], stream.measurands, INSTRUMENTS[number])
    need(all(len(one.what) < 500 for one in found if isinstance(one, StreamFault)), "a complaint without end")
    return found


def one_input(data: bytes) -> None:
    """The target: one input of the fuzzer."""
    if len(data) < 2:
        return
    number = data[0] % REPEATED % len(TRANSCRIPTS)
    chosen = crc32(data)
    parts = list(pieces(data[1:]))
    found = fed(number, parts, bool(data[0] & REPEATED) and chosen % WATCHED == 0)
    if len(parts) > 1 and chosen // WATCHED % WHOLE == 0:
        scans = [one for one in fed(number, [b"".join(parts)], False) if isinstance(one, Scan)]
        need(repr(scans) == repr([one for one in found if isinstance(one, Scan)]), "other scans in pieces")


def _bytes(transcript: Any) -> bytes:
    return bytes.fromhex(transcript["bytes"]) if "bytes" in transcript else str(transcript["text"]).encode("latin-1")


@cache
def _known() -> list[bytes]:
    return seeds()


def seeds() -> list[bytes]:
    """The first inputs of this target."""
    found = []
    for number, transcript in enumerate(TRANSCRIPTS):
        data = _bytes(transcript)
        cuts = [data[at : at + 37] for at in range(0, len(data), 37)]
        found += [
            bytes((number,)) + joined([data]),
            bytes((number,)) + joined(cuts),
            next(
                one
                for more in range(1000)
                if crc32(one := bytes((number | REPEATED,)) + joined([data[:20] + b"x" * (100 + more)])) % WATCHED == 0
            ),
        ]
    return found


def inside(data: bytes, room: int, seed: int, mutate: Any) -> bytes:
    """Damage the stream, make its check sums right again, cut it anew."""
    rng = random.Random(seed)
    if len(data) < 4:
        return rng.choice(_known())[:room]
    name = TRANSCRIPTS[data[0] % REPEATED % len(TRANSCRIPTS)]["driver"]
    stream = b"".join(pieces(data[1:]))
    changed = mutate(stream, max(1, room - 40))
    if name in REPAIRS:
        changed = REPAIRS[name](changed)
    at = rng.randrange(len(changed) + 1)
    parts = [changed] if rng.randrange(2) else [changed[:at], changed[at:]]
    return (data[:1] + joined(parts))[:room]
