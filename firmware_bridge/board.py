"""Micro-sensor boards on one serial line as a streaming driver: frames become scans, losses are counted by board."""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Final

from firmware_bridge.frame import Cutter, Frame, FrameError, decode_frame
from metrology.declaration import DriverError, DriverInfo, Options
from metrology.quality import GOOD, Cause, Mark, Quality
from metrology.reading import Reading, Scan, StreamFault

_SEQUENCES: Final = 1 << 32


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
    """The boards of one line. `bad_frames` and `lost` (frames missing by sequence number, by board) only grow."""

    def __init__(self, units: Mapping[int, str]) -> None:
        self._instruments = dict(units)
        self._cutter = Cutter()
        self._last: dict[int, tuple[int, int]] = {}
        self.bad_frames = 0
        self.lost: Counter[int] = Counter()

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
        strange = [channel for channel, _ in frame.values if channel not in channels()]
        if strange:
            yield StreamFault(f"unknown channels {strange} of board {frame.board}", at, 0, instrument)
        yield _scan(frame, instrument, at)

    def _step(self, frame: Frame) -> int:
        """How far the sequence moved on; 1 where nothing can be told: first frame, other boot id, number gone back."""
        boot, sequence = self._last.get(frame.board, (None, 0))
        step = (frame.sequence - sequence) % _SEQUENCES if boot == frame.boot else 1
        if step:
            self._last[frame.board] = (frame.boot, frame.sequence)
        return 1 if step >= _SEQUENCES // 2 else step


def _decoded(piece: bytes | FrameError) -> Frame | FrameError:
    if isinstance(piece, FrameError):
        return piece
    try:
        return decode_frame(piece)
    except FrameError as error:
        return error


def _scan(frame: Frame, instrument: str, at: datetime) -> Scan:
    """Readings of the known channels; where a channel comes twice in a frame the later one counts."""
    values = {channel: value for channel, value in frame.values if channel in channels()}
    readings = tuple(_reading(instrument, channels()[number], value, at) for number, value in values.items())
    return Scan(instrument, at, readings, {"boot": frame.boot, "sequence": frame.sequence, "ticks_ms": frame.ticks_ms})


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
    manual="docs/drivers/micro_board.md, frame version 1",
    evidence="std",
)


def make(units: Mapping[int, str], options: Options) -> Boards:
    """Driver for the boards of a line. Raises `DriverError` for a board id that does not fit the frame."""
    for unit in units:
        if not 0 <= unit <= 0xFFFF:
            raise DriverError(f"unit {unit}: a board id lies between 0 and 65535")
    return Boards(units)
