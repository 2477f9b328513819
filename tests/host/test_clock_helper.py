"""The helper that sets the clock: what it takes and refuses, over the socket the agent uses. Nothing is set here."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from host.clock import RealClock
from host.clock_helper import REQUEST_BYTES_MAX, answer, serve

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
POWER_ON = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)


class Recorded:
    """A setter that keeps what it was given."""

    def __init__(self, error: OSError | None = None) -> None:
        self.times: list[datetime] = []
        self._error = error

    def __call__(self, at: datetime) -> None:
        if self._error is not None:
            raise self._error
        self.times.append(at)


def asked(at: datetime, limit_s: float = 3600.0, **more: object) -> bytes:
    return json.dumps({"set": at.isoformat(), "limit_s": limit_s, "by": "platform", **more}).encode() + b"\n"


def judge(request: bytes, put: Recorded, *, now: datetime = NOW, synced: bool = False) -> dict[str, Any]:
    return answer(request, now, 600.0, lambda: synced, put)


def test_a_step_within_bounds_is_set_and_told() -> None:
    put = Recorded()
    told = judge(asked(NOW + timedelta(seconds=90)), put)
    assert told == {"old": "2026-11-22T12:00:00.000Z", "new": "2026-11-22T12:01:30.000Z", "by": "platform"}
    assert put.times == [NOW + timedelta(seconds=90)]


@pytest.mark.parametrize(
    ("request_", "synced", "reason"),
    [
        (asked(NOW + timedelta(seconds=601)), False, "beyond 600"),
        (asked(NOW - timedelta(seconds=31), limit_s=30), False, "beyond 30"),
        (asked(NOW, limit_s=float("nan")), False, "beyond"),
        (asked(POWER_ON), False, "earlier than this program"),
        (asked(NOW + timedelta(seconds=5)), True, "follows a time server"),
        (b"", False, "no request"),
        (b"[1]\n", False, "no request"),
        (b'{"set": "yesterday", "limit_s": 1, "by": ""}\n', False, "no request"),
        (b'{"set": "2026-11-22T12:00:00", "limit_s": 1, "by": ""}\n', False, "no request"),
        (b"[" * REQUEST_BYTES_MAX, False, "no request"),
    ],
)  # fmt: skip
def test_everything_else_is_refused_and_nothing_is_set(request_: bytes, synced: bool, reason: str) -> None:
    put = Recorded()
    assert reason in judge(request_, put, synced=synced)["error"]
    assert put.times == []


def test_a_machine_without_a_time_takes_any_that_can_be() -> None:
    put = Recorded()
    assert "new" in judge(asked(NOW, limit_s=1), put, now=POWER_ON)
    assert put.times == [NOW]


def test_a_kernel_that_refuses_is_an_answer() -> None:
    told = judge(asked(NOW), Recorded(PermissionError(1, "Operation not permitted")))
    assert told == {"error": "the clock was not set: Operation not permitted"}


@pytest.mark.parametrize("off_s", [120.0, 1e6])
async def test_the_agent_asks_over_a_real_socket(tmp_path: Path, off_s: float) -> None:
    put, path = Recorded(), tmp_path / "clock.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(1)
        served = asyncio.create_task(asyncio.to_thread(serve, listening, 600.0, lambda: False, put))
        at = datetime.now(UTC) + timedelta(seconds=off_s)
        done = await RealClock(str(path)).set_wall(at)
        told = await served
    assert done == (off_s < 600) == ("new" in told)
    assert put.times == ([at] if done else [])


async def test_without_a_helper_the_clock_is_not_set(tmp_path: Path) -> None:
    assert not await RealClock().set_wall(NOW)
    assert not await RealClock(str(tmp_path / "none.sock")).set_wall(NOW)


def test_the_program_serves_one_request_on_the_descriptor_it_is_given(tmp_path: Path) -> None:
    """As systemd starts it; the request is one it refuses, so that no clock is touched."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "clock.sock"))
        listening.listen(1)
        # Descriptor 3, whatever number it has here.
        start = f"import os; os.dup2({listening.fileno()}, 3); os.execv({sys.executable!r}, "
        start += f"[{sys.executable!r}, '-m', 'host.clock_helper', '--step-max', '10'])"
        with subprocess.Popen(
            [sys.executable, "-c", start.replace("3);", "3, inheritable=True);")], pass_fds=[listening.fileno()],
            cwd=os.getcwd(), stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(30)
                line.connect(str(tmp_path / "clock.sock"))
                line.sendall(asked(POWER_ON))
                told = json.loads(line.makefile("rb").readline())
            journal = process.communicate(timeout=30)[0]
    assert "earlier than this program" in told["error"]
    assert json.loads(journal) == told
    assert process.returncode == 1
