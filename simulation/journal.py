"""What every simulated instrument answered, line by line, so that an outsider can compare it with the centre's store.

One file per instrument, `journal/{station}/{instrument}.jsonl`; one line per answer that carried values:
`{"wall": unix seconds, "world": ISO, "values": {measurand: value as the wire carried it}}`, in the units of the
measurand catalogue. A frame sent damaged has empty `values` and says why.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from metrology.clock import Clock
from metrology.periods import iso

Pen = Callable[..., None]


class Journal:
    """The journals under one folder. Each line is flushed before the answer leaves."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._files: dict[str, TextIO] = {}
        self.lines: dict[str, int] = {}

    def pen(self, station: str, instrument: str) -> Pen:
        """A function `write(values, **more)` for one instrument."""
        name = f"{station}/{instrument}"
        path = self._folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files[name] = path.open("a", encoding="utf-8")
        self.lines[name] = 0

        def write(values: Mapping[str, float], **more: object) -> None:
            line = {"wall": time.time(), "world": iso(self._clock.now()), "values": values, **more}
            self._files[name].write(json.dumps(line) + "\n")
            self._files[name].flush()
            self.lines[name] += 1

        return write

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
