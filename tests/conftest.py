"""What every test may ask for."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def recorded_data() -> Path:
    """Folder of recorded data; the test skips where it is absent."""
    folder = Path(os.environ.get("PLUMELINE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder}: set PLUMELINE_DATA")
    return folder


class Broker:
    """A real mosquitto on 127.0.0.1 that can be killed and started again on the same port.

    `listener` are further lines of its configuration; the default lets everybody in.
    """

    def __init__(self, folder: Path, listener: str = "allow_anonymous true") -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._file = folder / f"mosquitto-{self.port}.conf"
        # Without `user` a broker started by root becomes another user, who may not read what the test wrote.
        self._file.write_text(f"user {getpass.getuser()}\nlistener {self.port} 127.0.0.1\n{listener}\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it takes connections."""
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed")
        self._process = subprocess.Popen(
            [program, "-c", str(self._file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                assert self._process.poll() is None, "mosquitto ended at once"
                assert time.monotonic() < deadline, "mosquitto does not listen"
                time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: nothing is saved."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker without passwords."""
    running = Broker(tmp_path)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def broker_with(tmp_path: Path) -> Iterator[Callable[[str], Broker]]:
    """Start a broker with listener lines of one's own (certificates, access rules)."""
    running: list[Broker] = []

    def start(listener: str) -> Broker:
        running.append(Broker(tmp_path, listener))
        running[-1].start()
        return running[-1]

    yield start
    for one in running:
        one.kill()
