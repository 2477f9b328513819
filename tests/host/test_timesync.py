"""What the machine is asked about its clock: chrony by a real chronyd that sets nothing, timesyncd by its file."""

import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from host.chrony import Chrony, tracked
from host.clock import AcceleratedClock, ManualClock, RealClock
from host.timesync import TIMESYNCD_AGE_MAX_S, Machine, kernel, reference_of, timesyncd

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CHRONYD = shutil.which("chronyd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
DEADLINE_S = 20.0


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


@pytest.fixture
def chrony(tmp_path: Path) -> Iterator[int]:
    """Port of a chronyd that is its own reference and controls no clock (`-x`)."""
    if CHRONYD is None or os.geteuid() != 0:
        pytest.skip("no chronyd here, or no right to start one")
    port = free_port()
    (tmp_path / "chrony.conf").write_text(
        f"local stratum 8\ncmdport {port}\nport 0\nbindcmdaddress 127.0.0.1\n"
        f"bindcmdaddress {tmp_path}/sock\npidfile {tmp_path}/pid\n"
    )
    with subprocess.Popen([CHRONYD, "-x", "-d", "-u", "root", "-f", str(tmp_path / "chrony.conf")]) as process:
        yield port
        process.terminate()


def test_chrony_is_asked_and_answers(chrony: int) -> None:
    asker, deadline, told = Chrony(chrony), time.monotonic() + DEADLINE_S, None
    while told is None and time.monotonic() < deadline:
        told = asker.look()
        os.sched_yield()
    assert told is not None, "no answer"
    synced, error_s = told
    assert synced
    assert 0 <= error_s < 1


def test_nobody_at_the_port_is_no_reference() -> None:
    asker = Chrony(free_port())
    assert [asker.look() for _ in range(5)] == [None] * 5


def reply(sequence: int, leap: int = 0, dispersion: int = 0) -> bytes:
    head = struct.pack("!BBBBHHHHHHIII", 6, 2, 0, 0, 33, 5, 0, 0, 0, 0, sequence, 0, 0)
    body = bytes(24) + struct.pack("!HH", 2, leap) + bytes(12)
    return head + body + struct.pack("!9I", *[0] * 7, dispersion, 0)


def test_replies_are_read_and_rubbish_is_not() -> None:
    half = (0 << 25) | (1 << 24)  # 2**24 * 2**(0 - 25)
    assert tracked(reply(7, dispersion=half - 1), 7) == (True, pytest.approx(0.5, rel=1e-6))
    assert tracked(reply(7, leap=3), 7) == (False, 0.0)
    assert tracked(reply(7), 8) is None, "an answer to another question"
    assert tracked(reply(7)[:-1], 7) is None
    assert tracked(os.urandom(104), 7) is None


def test_timesyncd_is_known_by_its_file_and_forgotten_with_its_age(tmp_path: Path) -> None:
    path = tmp_path / "synchronized"
    assert timesyncd(NOW, path) is None
    path.touch()
    os.utime(path, (NOW.timestamp(),) * 2)
    fresh = timesyncd(NOW + timedelta(seconds=60), path)
    old = timesyncd(NOW + timedelta(seconds=TIMESYNCD_AGE_MAX_S + 1), path)
    assert fresh
    assert old
    assert (fresh.synced, old.synced) == (True, False)
    assert old.error_s > fresh.error_s
    ahead = timesyncd(NOW - timedelta(days=1), path)
    assert ahead
    assert not ahead.synced, "the clock was set back behind it"


def test_the_kernel_tells_or_is_forbidden_to() -> None:
    told = kernel()
    assert told is None or (told.source == "kernel" and told.error_s >= 0)
    found = Machine(RealClock())()
    assert found is None or found.source in ("kernel", "chrony", "timesyncd")


def test_a_world_of_its_own_and_a_trusted_machine_are_synced() -> None:
    now = NOW.timestamp()
    for clock in (ManualClock(NOW), AcceleratedClock(now, now, 10.0)):
        told = reference_of(clock, trusted=False)()
        assert told
        assert (told.synced, told.source) == (True, "world")
    trusted = reference_of(RealClock(), trusted=True)()
    assert trusted
    assert (trusted.synced, trusted.source) == (True, "trusted")
