"""A Plantower PMS sensor: 32-byte frames pushed unasked. Source: PMS5003 series data manual, appendix I."""

import struct
from datetime import datetime, timedelta

import numpy as np

from simulation.journal import Pen
from simulation.serve import Pty


def frame(pm1: int, pm2_5: int, pm10: int) -> bytes:
    """One frame, concentrations in ug/m3: as factory particles, again as atmospheric, six counts, version, sum."""
    counts = [pm2_5 * factor for factor in (180, 54, 9, 3, 1, 0)]
    body = struct.pack(">2sH13H", b"BM", 28, pm1, pm2_5, pm10, pm1, pm2_5, pm10, *counts, 0x9700)
    return body + struct.pack(">H", sum(body))


class Plantower:
    """The sensor on its own line; PM2.5 wanders slowly and stays low enough for both kinds of particles to agree."""

    def __init__(self, line: Pty, journal: Pen, rng: np.random.Generator, every_s: float = 10.0) -> None:
        self._line = line
        self._journal = journal
        self._rng = rng
        self._every = timedelta(seconds=every_s)
        self._due: datetime | None = None
        self._pm2_5 = 14.0

    def step(self, at: datetime) -> None:
        """Push the frames due until `at`."""
        self._due = self._due or at
        while self._due <= at:
            self._due += self._every
            self._push()

    def _push(self) -> None:
        self._pm2_5 += 0.02 * (14.0 - self._pm2_5) + float(self._rng.normal(0.0, 0.3))
        pm2_5 = min(max(round(self._pm2_5 + self._rng.normal(0.0, 0.7)), 1), 22)
        values = {"pm1": round(0.7 * pm2_5), "pm2_5": pm2_5, "pm10": round(1.25 * pm2_5)}
        if self._line.send(frame(**values)):
            self._journal(values)
