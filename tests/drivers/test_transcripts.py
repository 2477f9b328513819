"""Every driver replays its transcript: whole, byte by byte, and with rubbish around where its wire has a way back."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hjson
import pytest
from pymodbus.framer import FramerRTU

from drivers.base import Answer, Ask, BadAnswer, PolledDriver, ReadRegisters, Registers, Step, Text
from drivers.registry import driver, driver_names, stream_driver
from metrology.periods import iso
from metrology.reading import Scan, StreamFault

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FOLDER = Path(__file__).resolve().parent.parent / "transcripts"
FUNCTIONS = {3: "holding", 4: "input"}


def transcripts() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.hjson")):
        yield pytest.param(hjson.loads(path.read_text(encoding="utf-8")), id=path.stem)


def of_wire(*wires: str) -> list[Any]:
    return [param for param in transcripts() if param.values[0]["wire"] in wires]


def expected_scan(wanted: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": wanted.get("at", iso(AT)),
        "status": dict(wanted.get("status", {})),
        "readings": {
            measurand: (pytest.approx(value, rel=1e-7) if value is not None else None, unit, sorted(causes))
            for measurand, (value, unit, *causes) in wanted["readings"].items()
        },
    }


def seen(scan: Scan) -> dict[str, Any]:
    assert {reading.at for reading in scan.readings} == {scan.at}
    assert {reading.instrument for reading in scan.readings} == {scan.instrument}
    return {
        "at": iso(scan.at),
        "status": dict(scan.status),
        "readings": {r.measurand: (r.value, r.unit, sorted(r.quality.causes)) for r in scan.readings},
    }


def rtu(frame: str) -> bytes:
    """PDU with the unit before it. Raises BadAnswer as a bus does for a wrong check sum."""
    data = bytes.fromhex(frame)
    if FramerRTU.compute_CRC(data[:-2]) != int.from_bytes(data[-2:], "big"):
        raise BadAnswer("check sum wrong")
    return data[:-2]


def tcp(frame: str) -> bytes:
    data = bytes.fromhex(frame)
    assert data[2:4] == b"\0\0"
    assert int.from_bytes(data[4:6], "big") == len(data) - 6
    return data[6:]


def modbus_answer(transcript: Any, step: Step, exchange: Any) -> Answer:
    unwrap = {"rtu": rtu, "tcp": tcp}[transcript["wire"]]
    unit, function, *rest = unwrap(exchange["send"])
    address, count = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:], "big")
    assert unit == transcript["unit"]
    assert step == ReadRegisters(FUNCTIONS[function], address, count)
    _, answered, *data = unwrap(exchange["answer"])
    if answered & 0x80:
        raise BadAnswer(f"exception {data[0]}", modbus_exception=data[0])
    words = bytes(data[1:])
    assert (answered, data[0], len(words)) == (function, 2 * count, 2 * count)
    return Registers(tuple(int.from_bytes(words[i : i + 2], "big") for i in range(0, len(words), 2)), AT)


class TextBus:
    """Gives what came until the question calls it complete; what is left lies before the next answer."""

    def __init__(self, byte_by_byte: bool, rubbish: bytes) -> None:
        self._byte_by_byte = byte_by_byte
        self._rubbish = rubbish
        self._left = b""

    def answer(self, step: Step, exchange: Any) -> Answer:
        assert isinstance(step, Ask)
        assert step.data == exchange["send"].encode("latin-1")
        came = self._left + self._rubbish + exchange["answer"].encode("latin-1")
        lengths = range(len(came) + 1) if self._byte_by_byte else [len(came)]
        length = next((n for n in lengths if step.complete(came[:n])), None)
        assert length is not None, f"never complete: {came!r}"
        self._left = came[length:]
        assert length <= step.answer_bytes_max
        return Text(came[:length], AT)


class BinaryBus(TextBus):
    """The same for binary frames, written in hexadecimal; what never completes is no answer, as on a bus."""

    def answer(self, step: Step, exchange: Any) -> Answer:
        as_text = {key: bytes.fromhex(exchange[key]).decode("latin-1") for key in ("send", "answer")}
        try:
            return super().answer(step, as_text)
        except AssertionError as error:
            if "never complete" not in str(error):
                raise
            raise BadAnswer("no answer in what came") from error


def poll(polled: PolledDriver, exchanges: Iterable[Any], answer: Any) -> list[Scan]:
    """Answer the poll's questions in order; exchanges left over fail."""
    left = list(exchanges)
    questions = polled.poll()
    step = next(questions)
    try:
        while True:
            assert left, f"asked more than the transcript holds: {step}"
            try:
                given = answer(step, left.pop(0))
            except BadAnswer as error:
                step = questions.throw(error)
            else:
                step = questions.send(given)
    except StopIteration as end:
        return list(end.value)
    finally:
        assert not left, f"never asked: {left}"


def options_of(transcript: Any) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, list) else v for k, v in transcript.get("options", {}).items()}


def streamed(transcript: Any) -> bytes:
    """What came: hexadecimal, or text whose characters are bytes."""
    return bytes.fromhex(transcript["bytes"]) if "bytes" in transcript else transcript["text"].encode("latin-1")


def replay(transcript: Any, answer: Any) -> None:
    polled = driver(transcript["driver"], instrument="i", unit=transcript["unit"], options=options_of(transcript))
    for number, wanted in enumerate(transcript["polls"]):
        if "bad" in wanted:
            with pytest.raises(BadAnswer, match=wanted["bad"]):
                poll(polled, wanted["exchanges"], answer)
            continue
        scans = poll(polled, wanted["exchanges"], answer)
        assert [seen(scan) for scan in scans] == [expected_scan(scan) for scan in wanted["scans"]], f"poll {number}"
        for scan in scans:
            assert scan.instrument == "i"
            assert {r.measurand: r.unit for r in scan.readings} == polled.measurands


@pytest.mark.parametrize("name", driver_names())
def test_every_driver_has_a_transcript_with_its_source(name: str) -> None:
    texts = [param.values[0] for param in transcripts() if param.values[0]["driver"] == name]
    assert texts
    assert all(text["source"] for text in texts)


@pytest.mark.parametrize("transcript", of_wire("rtu", "tcp"))
def test_registers(transcript: Any) -> None:
    replay(transcript, lambda step, exchange: modbus_answer(transcript, step, exchange))


@pytest.mark.parametrize("byte_by_byte", [False, True])
@pytest.mark.parametrize("transcript", of_wire("text", "binary"))
def test_text_and_binary(transcript: Any, byte_by_byte: bool) -> None:
    bus = {"text": TextBus, "binary": BinaryBus}[transcript["wire"]]
    for rubbish in ["", *transcript["rubbish"]]:
        replay(transcript, bus(byte_by_byte, bytes.fromhex(rubbish)).answer)


def found_seen(found: Scan | StreamFault) -> dict[str, Any]:
    if isinstance(found, StreamFault):
        return {"fault": found.what, "lost": found.lost}
    return {"instrument": found.instrument, **seen(found)}


def found_expected(wanted: Any) -> dict[str, Any]:
    return dict(wanted) if "fault" in wanted else {"instrument": wanted["instrument"], **expected_scan(wanted)}


def fed(transcript: Any, pieces: Iterable[bytes]) -> list[Scan | StreamFault]:
    units = {int(unit): name for unit, name in transcript["units"].items()}
    stream = stream_driver(transcript["driver"], units, options_of(transcript))
    return [found for piece in pieces for found in stream.feed(piece, AT)]


def assert_found(found: list[Scan | StreamFault], wanted: list[Any]) -> None:
    assert len(found) == len(wanted)
    for have, want in zip(map(found_seen, found), map(found_expected, wanted), strict=True):
        if "fault" in want:
            assert want.pop("fault") in have.pop("fault")
        assert have == want


@pytest.mark.parametrize("transcript", of_wire("stream"))
def test_stream_in_pieces_of_any_size(transcript: Any) -> None:
    data = streamed(transcript)
    for size in (1, 2, 3, 7, 31, 33, len(data)):
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
        assert_found(fed(transcript, pieces), transcript["found"])


@pytest.mark.parametrize("transcript", of_wire("stream"))
def test_stream_with_rubbish_around(transcript: Any) -> None:
    data = streamed(transcript)
    wanted = [found for found in transcript["found"] if "fault" not in found]
    for rubbish in map(bytes.fromhex, transcript["rubbish"]):
        found = fed(transcript, [rubbish + data + rubbish + data])
        scans = [one for one in found if isinstance(one, Scan)]
        assert_found(list(scans[: len(wanted)]), wanted)
        assert len(scans) >= len(wanted) + 1, "what follows the rubbish is found again"
