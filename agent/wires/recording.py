"""Recording: everything that passes on the wires of a station, written down as transcripts while it measures."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from agent.config import Bus, Config
from agent.wires.transcript import Mark, Piece, header, noted, written
from agent.wires.wire import Wire, WireError
from agent.wires.wire_kinds import wire_of
from metrology.clock import Clock

# A bus takes at most this much of the disk: the oldest file goes when one more is begun.
FILE_BYTES_MAX: Final = 8 * 1024 * 1024
FILES_MAX: Final = 16
# Room is looked for once in so many writes.
LOOK_WRITES: Final = 64

logger = logging.getLogger(__name__)


class Tape:
    """The transcript of one bus: files `BUS.TIME.txt` in a folder, readable by their owner alone.

    Where less than `free_percent_min` of its disk is free it waits; a disk that takes no more ends the recording. Both
    are said once in the journal; neither touches a measurement.
    """

    def __init__(
        self,
        folder: Path,
        bus: str,
        about: str,
        clock: Clock,
        file_bytes_max: int = FILE_BYTES_MAX,
        free_percent_min: float = 0.0,
    ) -> None:
        self._folder = folder
        self._bus = bus
        self._about = about
        self._clock = clock
        self._file_bytes_max = file_bytes_max
        self._file: IO[bytes] | None = None
        self._bytes = 0
        self._ended = False
        self._free_percent_min = free_percent_min
        self._writes = 0
        self._waits = False

    def passed(self, mark: Mark, data: bytes) -> None:
        """Write bytes down, as of now."""
        if data:
            self._write(written(Piece(self._clock.now(), mark, data)))

    def note(self, text: str) -> None:
        """Write a line for people."""
        self._write(noted(self._clock.now(), text))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, text: str) -> None:
        if self._ended or not self._has_room():
            return
        try:
            if self._file is None or self._bytes + len(text) > self._file_bytes_max:
                self._begin()
            assert self._file is not None, "just begun"
            # Not buffered: what was recorded before a crash is there, and nothing is left to write on a full disk.
            self._file.write(text.encode())
        except OSError as error:
            self._ended = True
            self.close()
            logger.warning("the recording of bus %s ended: %s", self._bus, error)
            return
        self._bytes += len(text)

    def _has_room(self) -> bool:
        """A recording gives way before any measurement does; it goes on when there is room again."""
        if self._writes % LOOK_WRITES == 0:
            disk = os.statvfs(self._folder)
            waits = 100 * disk.f_bavail < self._free_percent_min * disk.f_blocks
            if waits != self._waits:
                logger.warning("the recording of bus %s %s", self._bus, "waits for room" if waits else "goes on")
            self._waits = waits
        self._writes += 1
        return not self._waits

    def _begin(self) -> None:
        self.close()
        name = f"{self._bus}.{self._clock.now():%Y%m%dT%H%M%S.%f}Z.txt"
        self._file = open(self._folder / name, "ab", buffering=0, opener=_closed_to_others)  # noqa: SIM115
        self._file.write(self._about.encode())
        self._bytes = len(self._about)
        for old in sorted(self._folder.glob(f"{self._bus}.*.txt"))[:-FILES_MAX]:
            old.unlink()


def _closed_to_others(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class RecordedWire:
    """A wire whose bytes are written down as they pass."""

    def __init__(self, wire: Wire, tape: Tape) -> None:
        self._wire = wire
        self._tape = tape
        self._last_note = ""

    @property
    def is_open(self) -> bool:
        """See `Wire`."""
        return self._wire.is_open

    async def open(self) -> None:
        """See `Wire`."""
        try:
            await self._wire.open()
        except WireError as error:
            self._note(f"cannot be opened: {error}")
            raise
        self._note("open")

    async def read(self) -> bytes:
        """See `Wire`."""
        try:
            data = await self._wire.read()
        except WireError as error:
            self._note(f"lost: {error}")
            raise
        self._tape.passed("<", data)
        return data

    async def write(self, data: bytes) -> None:
        """See `Wire`."""
        self._tape.passed(">", data)
        try:
            await self._wire.write(data)
        except WireError as error:
            self._note(f"lost: {error}")
            raise

    def drain_input(self) -> bytes:
        """See `Wire`."""
        dropped = self._wire.drain_input()
        self._tape.passed("x", dropped)
        return dropped

    def close(self) -> None:
        """See `Wire`."""
        if self._wire.is_open:
            self._note("closed")
        self._wire.close()

    def _note(self, text: str) -> None:
        """An adapter that is gone for a week is looked for each two seconds, and noted once."""
        if text != self._last_note:
            self._tape.note(text)
        self._last_note = text


class Recorder:
    """Makes the recorded wires of a station. Raises OSError where the folder can be neither made nor written."""

    def __init__(self, folder: Path, config: Config, clock: Clock) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{folder}: cannot be written")
        self._folder = folder
        self._config = config
        self._clock = clock
        self._tapes: list[Tape] = []

    def wire(self, name: str, config: Bus) -> Wire:
        """The wire of a bus, recorded."""
        about = header(name, _block(config), self._instruments(name))
        room = self._config.store.space.optional_percent
        self._tapes.append(Tape(self._folder, name, about, self._clock, free_percent_min=room))
        return RecordedWire(wire_of(name, config), self._tapes[-1])

    def close(self) -> None:
        """Close all files."""
        for tape in self._tapes:
            tape.close()

    def _instruments(self, bus: str) -> Mapping[str, Any]:
        return {name: _block(one) for name, one in self._config.instruments.items() if one.bus == bus}


def _block(shape: Any) -> dict[str, Any]:
    """What a file needs to say to mean the same."""
    block: dict[str, Any] = shape.model_dump(mode="json", exclude_defaults=True)
    return block
