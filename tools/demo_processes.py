"""The processes of a demo run: each in a group of its own, its output in a file, all ended together."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

STOP_WALL_S = 20.0


class StartError(Exception):
    """A process that did not come up; the text says which and where its output lies."""


class Running(Protocol):
    """What is asked of a process; `subprocess.Popen` is one."""

    pid: int

    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


class Processes:
    """Started programs by name. Used as a context: leaving it ends all that still run."""

    def __init__(self, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._running: dict[str, Running] = {}

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(*reversed(self._running))

    def start(self, name: str, *command: str | Path, stdin: bytes | None = None) -> None:
        """Start a program; its output is appended to `name.log`."""
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def take(self, name: str, process: Running) -> None:
        """Look after one that somebody else has started, in a group of its own."""
        self._running[name] = process

    def pid(self, name: str) -> int:
        """Process id of a running program."""
        return self._running[name].pid

    def kill(self, name: str) -> None:
        """SIGKILL, as a power cut would."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self, *names: str) -> None:
        """SIGTERM to all of them, then wait; who does not end in time is killed."""
        ending = [(name, self._running.pop(name)) for name in names if name in self._running]
        for _, process in ending:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_WALL_S
        for name, process in ending:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f"{name} did not end within {STOP_WALL_S:g} s and is killed", flush=True)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def check(self) -> None:
        """Raise StartError where one has ended by itself."""
        for name, process in self._running.items():
            if (code := process.poll()) is not None:
                raise StartError(f"{name} ended with code {code}; see {self._logs / name}.log")

    def wait_for(self, what: str, ready: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Wait until `ready()`; raises StartError at the time-out or when a process ends."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise StartError(f"{what}: not there after {timeout_s:g} s; see {self._logs}")
            time.sleep(0.05)
