"""What an asked instrument answers. The first byte names a transcript's driver, the second steers, then come answers.

What must hold: a poll ends with scans or with BadAnswer, after a bounded number of questions; the scans fit the
declaration and can be records. An answer that never becomes complete ends the poll, as the bus does.
"""

import random
import re
from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from typing import Any, Final

from drivers_frames import REPAIRS
from drivers_scans import AT, check, joined, options_of, pieces, transcripts
from must import need

from drivers.base import Answer, Ask, BadAnswer, PolledDriver, PolledEntry, ReadRegisters, Registers, Step, Tell, Text
from drivers.registry import entry
from metrology.declaration import settled

TRANSCRIPTS: Final = transcripts("text", "binary", "rtu", "tcp")
STEPS_MAX: Final = 500
POLLS: Final = 2
ARRIVALS: Final = 12
# More digits than the interpreter makes a number of.
LONG: Final = b"9" * 5000
DIGITS: Final = re.compile(rb"[0-9]+")
WORDS: Final = (
    b"\r", b"\r\n", b"\x02", b"\x03", b"*", b";", b",", b"=", b" ", b"+9999+99", b"-0.0E-99", b"1e999", b"nan", b"inf",
    b"</", b"<li850>", b"01/31/26 23:59:60", b"\x68", b"\x7d\x5e", b"\x7f\xc0\x00\x00", b"sum 0000", b"\xff\xff",
)  # fmt: skip


def _maker(transcript: Any) -> Callable[[], PolledDriver]:
    """What `driver` does for a transcript, its entry found and its options settled once for all inputs."""
    found = entry(transcript["driver"])
    assert isinstance(found, PolledEntry)
    return partial(found.make, "i", transcript["unit"], settled(found.info, options_of(transcript)))


MAKERS: Final = [_maker(one) for one in TRANSCRIPTS]


class SilentError(Exception):
    """The answer never became complete."""


def _arrivals(step: Ask, came: bytes) -> list[int]:
    """How much has come when the bus looks whether all is there: where a line ends, or after so many bytes each."""
    if b"" in step.ends:
        return list(range(1, len(came), 1 + len(came) // ARRIVALS))
    return [length for length in range(1, len(came)) if came.endswith(step.ends, 0, length)][:ARRIVALS]


def answered(step: Step, came: bytes, slowly: bool) -> Answer:
    """What the bus gives for bytes that came."""
    if isinstance(step, ReadRegisters):
        if came[:1] == b"\xff" and len(came) == 2:
            raise BadAnswer("exception", modbus_exception=came[1])
        bits = step.table in ("coil", "discrete")
        size = 1 if bits else 2
        padded = came.ljust(step.count * size, b"\0")
        values = [int.from_bytes(padded[at : at + size], "big") for at in range(0, step.count * size, size)]
        return Registers(tuple(one & 1 if bits else one for one in values), AT)
    if isinstance(step, Tell):
        return Text(b"", AT)
    if not isinstance(step, Ask):
        return Registers((1,), AT)
    for length in (*(_arrivals(step, came) if slowly else ()), len(came)):
        if length <= step.answer_bytes_max and step.complete(came[:length]):
            return Text(came[:length], AT)
    raise SilentError


def poll(polled: PolledDriver, answers: list[bytes], slowly: bool) -> None:
    """One poll, answers in order."""
    questions = polled.poll()
    try:
        step = next(questions)
        for _ in range(STEPS_MAX):
            came = answers.pop(0) if answers else b""
            try:
                given = answered(step, came, slowly)
            except BadAnswer as error:
                step = questions.throw(error)
            else:
                step = questions.send(given)
        need(False, "a poll without end")
    except StopIteration as end:
        check(end.value, polled.measurands, {"i"})
    except (BadAnswer, SilentError) as error:
        need(len(str(error)) < 500, "a complaint longer than what it is about")
    finally:
        questions.close()


def one_input(data: bytes) -> None:
    """The target: one input of the fuzzer."""
    if len(data) < 2:
        return
    polled = MAKERS[data[0] % len(MAKERS)]()
    answers = list(pieces(data[2:]))
    if data[1] & 2 and answers:
        answers[-1] = DIGITS.sub(LONG, answers[-1], count=1)
    for _ in range(POLLS):
        poll(polled, answers, bool(data[1] & 1))


def _bytes(transcript: Any, exchange: Any) -> bytes:
    if transcript["wire"] == "text":
        return str(exchange["answer"]).encode("latin-1")
    came = bytes.fromhex(exchange["answer"])
    if transcript["wire"] == "binary":
        return came
    pdu = came[1:-2] if transcript["wire"] == "rtu" else came[7:]
    return b"\xff" + pdu[1:2] if pdu[0] & 0x80 else pdu[2:]


@cache
def _known() -> list[bytes]:
    return seeds()


def seeds() -> list[bytes]:
    """The first inputs of this target: every poll of every transcript."""
    found = []
    for number, transcript in enumerate(TRANSCRIPTS):
        polls = [[_bytes(transcript, one) for one in wanted["exchanges"]] for wanted in transcript["polls"]]
        found += [bytes((number, steer)) + joined(answers) for answers in polls for steer in (0, 1, 2)]
        found += [bytes((number, 0)) + joined([*one, *other]) for one, other in pairwise(polls)]
    return found


def inside(data: bytes, room: int, seed: int, mutate: Any) -> bytes:
    """Damage one answer; lengths and the instrument's check sum are right again."""
    rng = random.Random(seed)
    if len(data) < 4:
        return rng.choice(_known())[:room]
    answers = list(pieces(data[2:])) or [b""]
    name = TRANSCRIPTS[data[0] % len(TRANSCRIPTS)]["driver"]
    at = rng.randrange(len(answers))
    match rng.randrange(8):
        case 0:
            answers.insert(at, answers[rng.randrange(len(answers))])
        case 1:
            del answers[at]
        case _:
            changed = mutate(answers[at], max(1, min(room // 2, len(answers[at]) + 20)))
            answers[at] = REPAIRS[name](changed) if name in REPAIRS else changed
    return (data[:2] + joined(answers))[:room]
