"""`plumeline hj212 decode`: every frame of a file or a stream, what it says, and how it departs from the standard."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from agent.cli.hj212_meaning import Reader, told
from agent.cli.words import say
from protocols.hj212 import Decoder, Frame, FrameError, Profile
from protocols.hj212.decoder import Keys

# Bytes taken at once: what bounds the memory, however long the file is.
PIECE: Final = 65536
STDIN: Final = "-"


def decode(line: argparse.Namespace) -> int:
    """Print all that is in the file; 1 where anything was refused, 2 where the file cannot be read."""
    refused = False
    show = Reader(line.lang).frame
    try:
        with opened(line.file) as file:
            for found in _found(file, profile_of(line.profile), keys_of(line.key), lines=line.lines):
                for one in found:
                    refused |= isinstance(one, FrameError)
                    print(json.dumps(told(one)) if line.json else show(one))
                sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(say("hj212.file", line.lang, error=error), file=sys.stderr)
        return 2
    return int(refused)


def opened(name: str | None) -> contextlib.AbstractContextManager[BinaryIO]:
    """A file to read bytes from; standard input for none and for `-`. Raises OSError."""
    return contextlib.nullcontext(sys.stdin.buffer) if name in (None, STDIN) else open(str(name), "rb")


def profile_of(name: str) -> Profile:
    """Profile by its name on the command line: `lenient` or `strict-YEAR`."""
    return Profile.lenient() if name == "lenient" else Profile.strict(int(name.removeprefix("strict-")))


def keys_of(key: bytes | None) -> Keys:
    """Every peer's keys: the one given."""
    keys: Sequence[bytes] = () if key is None else (key,)
    return lambda _: keys


def _found(file: BinaryIO, profile: Profile, keys: Keys, *, lines: bool) -> Iterator[list[Frame | FrameError]]:
    """All that is found, piece by piece, each with its place in the file."""
    if lines:
        yield from _found_in_lines(file, profile, keys)
        return
    decoder = Decoder(profile, keys)
    while piece := getattr(file, "read1", file.read)(PIECE):
        yield decoder.feed(piece)
    yield decoder.end()


def _found_in_lines(file: BinaryIO, profile: Profile, keys: Keys) -> Iterator[list[Frame | FrameError]]:
    """Every line with `##` is a frame whose CR LF the file has lost: it is put back. Other lines are left out."""
    place = 0
    while line := file.readline(PIECE):
        at = line.find(b"##")
        if at >= 0:
            decoder = Decoder(profile, keys)
            found = decoder.feed(line[at:].rstrip(b"\r\n") + b"\r\n") + decoder.end()
            for one in found:
                one.offset += place + at
            yield found
        place += len(line)
