"""Micro-sensor boards on one serial line as a streaming driver: frames become scans, losses are counted by board.

Where it is told to, frames that were lost are asked for again: `questions` holds what is to be written on the line.
Other answers of boards lie in `answers` for who asked. The driver itself writes nothing and waits for nothing.
"""

import csv
import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Final

from firmware_bridge import manage
from firmware_bridge.frame import Cutter, Frame, FrameError, checked, decode_body, unstuffed
from firmware_bridge.manage import Kind, Letter
from firmware_bridge.missing import Missing
from metrology.declaration import DriverError, DriverInfo, Option, Options
from metrology.quality import GOOD, Cause, Mark, Quality
from metrology.reading import Reading, Scan, StreamFault

_SEQUENCES: Final = 1 << 32
_TICKS: Final = 1 << 32
# Questions nobody wrote and answers nobody took; older ones are dropped.
LETTERS_MAX: Final = 256
# The tag of what the driver asks by itself; who asks for a person counts from 1.
OWN_TAG: Final = 0
ASK_AGAIN_MAX: Final = 100_000
NOTHING: Final[Mapping[str, bool]] = {}


@dataclass(frozen=True, slots=True)
class Channel:
    """What a channel number means."""

    measurand: str
    unit: str


@cache
def channels() -> dict[int, Channel]:
    """Channels by number (`channels.csv`)."""
    text = resources.files("firmware_bridge").joinpath("channels.csv").read_text(encoding="utf-8")
    return {int(row["channel"]): Channel(row["measurand"], row["unit"]) for row in csv.DictReader(text.splitlines())}


class Boards:
    """The boards of one line. `bad_frames`, `lost` and `recovered` (frames by board) only grow.

    `ask_again` is how many missing frames of a board are asked for at most; 0 asks for none.
    """

    def __init__(self, units: Mapping[int, str], ask_again: int = 0) -> None:
        self._instruments = dict(units)
        self._cutter = Cutter()
        self._last: dict[int, tuple[int, int]] = {}
        self._fresh: dict[int, tuple[int, int, datetime]] = {}
        self._missing = Missing(ask_again) if ask_again else None
        self.questions: deque[bytes] = deque(maxlen=LETTERS_MAX)
        self.answers: deque[Letter] = deque(maxlen=LETTERS_MAX)
        self.bad_frames = 0
        self.lost: Counter[int] = Counter()
        self.recovered: Counter[int] = Counter()

    @property
    def asks_again(self) -> bool:
        """Whether lost frames are asked for."""
        return self._missing is not None

    def resume(self, board: int, boot: int, sequence: int) -> None:
        """Go on from the last frame that was taken before this program started: what came since counts as lost."""
        self._last.setdefault(board, (boot, sequence))

    def boot(self, board: int) -> int | None:
        """Boot id of the last frame that came from a board by itself; None before the first."""
        fresh = self._fresh.get(board)
        return fresh[0] if fresh else None

    @property
    def units(self) -> dict[int, str]:
        """Instrument by board id."""
        return dict(self._instruments)

    @property
    def measurands(self) -> dict[str, str]:
        """See `StreamDriver`."""
        return {channel.measurand: channel.unit for channel in channels().values()}

    def feed(self, data: bytes, at: datetime) -> list[Scan | StreamFault]:
        """See `StreamDriver`; a scan carries the moment its frame was complete."""
        return [found for piece in self._cutter.feed(data) for found in self._piece(piece, at)]

    def _piece(self, piece: bytes | FrameError, at: datetime) -> Iterator[Scan | StreamFault]:
        frame = _decoded(piece)
        if isinstance(frame, FrameError):
            self.bad_frames += 1
            yield StreamFault(str(frame), at)
        elif isinstance(frame, Letter):
            yield from self._letter(frame, at)
        elif instrument := self._instruments.get(frame.board):
            yield from self._frame(frame, instrument, at)
        else:
            yield StreamFault(f"board {frame.board} is not configured on this line", at)

    def _frame(self, frame: Frame, instrument: str, at: datetime) -> Iterator[Scan | StreamFault]:
        step = self._step(frame)
        if step == 0:
            yield StreamFault(f"frame {frame.sequence} of board {frame.board} came again", at, 0, instrument)
            return
        if step > 1:
            lost = step - 1
            self.lost[frame.board] += lost
            yield StreamFault(f"{lost} frames of board {frame.board} are missing", at, lost, instrument)
            if self._missing:
                self._missing.lost(frame.board, frame.boot, frame.sequence, lost)
        strange = [channel for channel, _ in frame.values if channel not in channels()]
        if strange:
            yield StreamFault(f"unknown channels {strange} of board {frame.board}", at, 0, instrument)
        self._fresh[frame.board] = (frame.boot, frame.ticks_ms, at)
        self._ask_again(frame)
        yield _scan(frame, instrument, at)

    def _ask_again(self, frame: Frame) -> None:
        """A board that just sent is there and not sending: now it may be asked."""
        wanted = self._missing.next(frame.board, frame.boot) if self._missing else None
        if wanted:
            payload = manage.kept(frame.boot, *wanted)
            self.questions.append(manage.encode_letter(Letter(frame.board, Kind.KEPT, OWN_TAG, payload)))

    def _letter(self, letter: Letter, at: datetime) -> Iterator[Scan | StreamFault]:
        if letter.kind != Kind.KEPT | manage.ANSWER:
            self.answers.append(letter)
            return
        try:
            frame = decode_body(checked(letter.payload))
        except FrameError as error:
            self.bad_frames += 1
            yield StreamFault(f"a frame that was kept: {error}", at)
            return
        instrument = self._instruments.get(frame.board)
        boot, ticks_ms, then = self._fresh.get(frame.board, (None, 0, at))
        if not instrument or boot != frame.boot or self._missing is None:
            yield StreamFault(f"board {frame.board} sent a frame it was not asked for", at, 0, instrument)
        elif self._missing.came(frame.board, frame.boot, frame.sequence):
            self.recovered[frame.board] += 1
            age_ms = (ticks_ms - frame.ticks_ms) % _TICKS
            yield _scan(frame, instrument, then - timedelta(milliseconds=age_ms), {"kept": True})

    def _step(self, frame: Frame) -> int:
        """How far the sequence moved on; 1 where nothing can be told: first frame, other boot id, number gone back."""
        boot, sequence = self._last.get(frame.board, (None, 0))
        step = (frame.sequence - sequence) % _SEQUENCES if boot == frame.boot else 1
        if step:
            self._last[frame.board] = (frame.boot, frame.sequence)
        return 1 if step >= _SEQUENCES // 2 else step


def _decoded(piece: bytes | FrameError) -> Frame | Letter | FrameError:
    if isinstance(piece, FrameError):
        return piece
    try:
        body = unstuffed(piece)
        return manage.decode_letter(body) if body[0] == manage.VERSION else decode_body(body)
    except FrameError as error:
        return error


def _scan(frame: Frame, instrument: str, at: datetime, more: Mapping[str, bool] = NOTHING) -> Scan:
    """Readings of the known channels; where a channel comes twice in a frame the later one counts."""
    values = {channel: value for channel, value in frame.values if channel in channels()}
    readings = tuple(_reading(instrument, channels()[number], value, at) for number, value in values.items())
    status = {"boot": frame.boot, "sequence": frame.sequence, "ticks_ms": frame.ticks_ms, **more}
    return Scan(instrument, at, readings, status)


def _reading(instrument: str, channel: Channel, value: float, at: datetime) -> Reading:
    if math.isfinite(value):
        return Reading(instrument, channel.measurand, value, channel.unit, at, GOOD)
    quality = Quality.of(Mark(Cause.FAULT, f"the board sent {value}", at))
    return Reading(instrument, channel.measurand, None, channel.unit, at, quality)


INFO: Final = DriverInfo(
    name="micro_board",
    title="Plumeline micro-sensor board",
    kind="stream",
    protocol="stream",
    measurands={channel.measurand: channel.unit for channel in channels().values()},
    manual="docs/drivers/micro_board.md, frame versions 1 and 2",
    evidence="std",
    options={
        "ask_again": Option(("whole number",), "missing frames of a board that are asked of its memory at most", 0)
    },
)


def make(units: Mapping[int, str], options: Options) -> Boards:
    """Driver for the boards of a line. Raises `DriverError` for a board id that does not fit the frame."""
    for unit in units:
        if not 0 <= unit <= 0xFFFF:
            raise DriverError(f"unit {unit}: a board id lies between 0 and 65535")
    ask_again = options.get("ask_again", 0)
    if not isinstance(ask_again, int) or not 0 <= ask_again <= ASK_AGAIN_MAX:
        raise DriverError(f"ask_again: a whole number from 0 to {ASK_AGAIN_MAX}")
    return Boards(units, ask_again)
