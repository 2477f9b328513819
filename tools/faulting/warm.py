"""Daemons that start in a fraction of the time: forked from a process that has read their modules already.

    warm.py

Each line read is a JSON list `[arguments of plumeline, file for what it says]`; each line printed is the number of the
process it became. From the fork on it does what `plumeline` does, in a process and a group of its own.
"""

import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MODULES = (
    "agent.__main__", "agent.cli.run", "agent.daemon", "agent.checks.check", "agent.uplinks.mqtt_link",
    "agent.uplinks.hj212", "gateway_driver", "asyncio", "pymodbus.client",
)  # fmt: skip


class Forked:
    """One of them, as `subprocess.Popen` has it; its exit code is seen by the process it was forked from alone."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """1 where it has ended, however it did."""
        return 1 if select.select([self._handle], [], [], 0)[0] else None

    def kill(self) -> None:
        """SIGKILL."""
        signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        if not select.select([self._handle], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("plumeline", timeout or 0)
        os.close(self._handle)
        return 1


class Warm:
    """The process they are forked from."""

    def __init__(self, command: Sequence[str]) -> None:
        """`command`: what stands before the script (environment, interpreter)."""
        self._server = subprocess.Popen(
            [*command, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._said()

    def _said(self) -> str:
        assert self._server.stdout is not None
        if not (line := self._server.stdout.readline()):
            raise RuntimeError(f"the process to fork from ended with {self._server.wait()}")
        return line

    def start(self, arguments: Sequence[str], log: Path) -> Forked:
        """A process of these arguments."""
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps([arguments, str(log)]) + "\n")
        return Forked(int(self._said()))

    def close(self) -> None:
        """No more of them."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()


def become(arguments: Sequence[str], log: str) -> int:
    """What the child does, in a group of its own; its exit code."""
    from agent.__main__ import main as plumeline

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    said, nothing = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), os.open(os.devnull, os.O_RDONLY)
    for number, handle in ((0, nothing), (1, said), (2, said)):
        os.dup2(handle, number)
    return plumeline(list(arguments))


def serve() -> None:
    """Fork one for each line; who ends is not waited for."""
    for name in MODULES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        arguments, log = json.loads(line)
        if not (pid := os.fork()):
            sys.exit(become(arguments, log))
        print(pid, flush=True)


if __name__ == "__main__":
    serve()
