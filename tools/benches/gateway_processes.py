"""Programs beside the agent in the gateway bench, and looks at the agent itself from outside."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo_processes import StartError

TICKS = os.sysconf("SC_CLK_TCK")


class Spoken:
    """A program of the bench that answers a line of JSON to each line of text."""

    def __init__(self, log: Path, script: Path, *arguments: str) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(script), *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
            )  # fmt: skip
        self.port = int(self._line()["port"])

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise StartError(f"{self._process.args} has ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, word: str) -> dict[str, Any]:
        """Say a word and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return self._line()

    def stop(self) -> None:
        """End it: it ends with its input."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Wakes:
    """How late the machine wakes a process that does nothing but sleep: no poll can be more punctual."""

    _NAP = (
        "import sys, time\n"
        "ends = time.monotonic() + float(sys.argv[1])\n"
        "late = []\n"
        "while (due := time.monotonic() + 0.005) < ends:\n"
        "    time.sleep(0.005)\n"
        "    late.append((time.monotonic() - due) * 1000)\n"
        "print(*late)\n"
    )

    def __init__(self, seconds: float) -> None:
        line = [sys.executable, "-c", self._NAP, f"{seconds:g}"]
        self._process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)

    def result(self) -> list[float]:
        """Wait for its end; milliseconds of each wake."""
        return [float(word) for word in self._process.communicate()[0].split()]


@dataclass
class Look(threading.Thread):
    """Processor time and resident memory of one process, each second."""

    pid: int
    sizes: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._done = threading.Event()
        self._used, self._began = self._seconds(), time.monotonic()
        self.start()

    __hash__ = threading.Thread.__hash__

    def _seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def _size(self) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / 1e6

    def run(self) -> None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, StopIteration):
            while True:
                self.sizes.append(self._size())
                if self._done.wait(1.0):
                    return

    def stop(self) -> dict[str, Any]:
        """Figures since the start."""
        used, spent = self._seconds() - self._used, time.monotonic() - self._began
        self._done.set()
        self.join()
        return {
            "cpu_percent": round(100 * used / spent, 1),
            "rss_mb": round(max(self.sizes), 1),
            "rss_mb_start": round(self.sizes[0], 1),
            "rss_mb_end": round(self.sizes[-1], 1),
        }
