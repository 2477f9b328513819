"""A booted machine with the service installed as docs/run-a-station.md says, and an instrument on a real TCP port."""

import fcntl
import json
import os
import shutil
import socketserver
import struct
import subprocess
import tempfile
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system.machine import Machine, bundle, missing

SEED = "c3RhdGlvbiBzdGF0aW9uIHN0YXRpb24gc3RhdGlvbiE="
UNIT = "plumeline-agent.service"
WATCHDOG_S = 8
SITE = f"""[Service]
# The site's own lines, as the unit says: the credentials this station has. The watchdog is shorter than a test is long.
LoadCredentialEncrypted=
LoadCredentialEncrypted=station-key:/etc/credstore.encrypted/plumeline-station-key
WatchdogSec={WATCHDOG_S}
RestartSec=1
"""


class Peer(socketserver.ThreadingTCPServer):
    """Modbus TCP: register r holds 400 + r, coils are kept, every write of one is kept in order."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.coils: dict[int, bool] = {}
        self.writes: list[tuple[int, bool]] = []

    def answer(self, pdu: bytes) -> bytes:
        function, address, word = struct.unpack(">BHH", pdu[:5])
        if function == 5:
            self.coils[address] = word == 0xFF00
            self.writes.append((address, word == 0xFF00))
            return pdu[:5]
        if function in (1, 2):
            bits = sum(self.coils.get(address + i, False) << i for i in range(word))
            return bytes([function, (word + 7) // 8]) + bits.to_bytes((word + 7) // 8, "little")
        values = [0 if address + i == 0 else 400 + address + i for i in range(word)]
        return bytes([function, 2 * word]) + struct.pack(f">{word}H", *values)


class _Exchange(socketserver.StreamRequestHandler):
    server: Peer

    def handle(self) -> None:
        while len(head := self.rfile.read(7)) == 7:
            number, protocol, length, unit = struct.unpack(">HHHB", head)
            said = self.server.answer(self.rfile.read(length - 1))
            self.wfile.write(struct.pack(">HHHB", number, protocol, len(said) + 1, unit) + said)


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder for roots and bundles: larger than what pytest keeps of its last runs should be."""
    folder = Path(tempfile.mkdtemp(prefix="plumeline-system-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def released(scratch: Path) -> dict[str, str]:
    """A bundle of this tree."""
    return bundle(Path(__file__).resolve().parent.parent.parent, scratch)


@pytest.fixture(scope="session")
def peer() -> Iterator[Peer]:
    server = Peer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def configuration(port: int) -> dict[str, Any]:
    """One sensor and one valve on TCP, one sensor that never answers on the serial node."""
    place = {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"}
    sensor = {"driver": "senseair_s8", "unit": 1, "poll_s": 1, "kind": "research", "rule": "ghg"}
    coils = {name: {"coil": number} for number, name in enumerate(("sample", "zero"))}
    return {
        "station": {"id": "boot-01", "network": "n", "name_zh": "站", "name_en": "boot", "position": place},
        "store": {"path": "/var/lib/plumeline", "quota_GB": 1000, "space": {"ballast_MB": 1}},
        "ledger": {"key": {"credential": "station-key"}},
        "buses": {
            "plc": {"wire": {"kind": "tcp", "host": "127.0.0.1", "port": port}, "protocol": "modbus-tcp"},
            "line": {"wire": {"kind": "serial", "device": "/dev/ttyS0", "baud": 9600}, "protocol": "modbus-rtu"},
        },
        "instruments": {"ndir": {**sensor, "bus": "plc"}, "mute": {**sensor, "bus": "line"}},
        "valves": {"gas": {"bus": "plc", "unit": 2, "ports": coils, "sample": "sample", "on_power_loss": "sample"}},
        "socket": "/run/plumeline/agent.sock",
    }


def install(machine: Machine, released: dict[str, str], root: Path, port: int) -> None:
    """The steps of docs/run-a-station.md, in the files of a machine that is not booted yet."""
    unpacked = machine.path("/root/bundle")
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", released["bundle"], "-C", str(unpacked)], check=True)
    home = f"/opt/plumeline/versions/{released['version']}"
    machine.chroot("sh", "-ec", f"""
        useradd --system --home-dir /var/lib/plumeline --shell /usr/sbin/nologin plumeline
        mkdir -p /opt/plumeline/versions /etc/plumeline /etc/credstore.encrypted /etc/systemd/system/{UNIT}.d
        python3 -m venv {home}
        cd /root/bundle
        {home}/bin/pip install -q --no-index --find-links wheels --require-hashes -r requirements.txt
        ln -s versions/{released['version']} /opt/plumeline/current
        ln -s current/bin /opt/plumeline/bin
        ln -s current/share /opt/plumeline/share
        ln -s /opt/plumeline/share/plumeline/systemd/plumeline-* /etc/systemd/system/
        printf %s '{SEED}' | systemd-creds encrypt --name=station-key - /etc/credstore.encrypted/plumeline-station-key
    """)  # fmt: skip
    machine.path("/etc/plumeline/station.hjson").write_text(json.dumps(configuration(port)))
    machine.path("/etc/plumeline/update.vkey").write_text(released["vkey"] + "\n")
    machine.path(f"/etc/systemd/system/{UNIT}.d/site.conf").write_text(SITE)


def node(path: Path, major: int, minor: int, group: int) -> str:
    """A character device of a group, mode 660."""
    subprocess.run(["mknod", "-m", "660", str(path), "c", str(major), str(minor)], check=True)
    subprocess.run(["chown", f"0:{group}", str(path)], check=True)
    return str(path)


def unclaimed(port: str) -> None:
    """Whoever claimed the port for itself (TIOCEXCL) and still has it open has it no longer for itself."""
    handle = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    fcntl.ioctl(handle, termios.TIOCNXCL)
    os.close(handle)


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest, scratch: Path, peer: Peer) -> Iterator[Machine]:
    """The booted machine; its service is not started yet."""
    if (why := missing()) is not None:
        pytest.skip(why)
    root = Path(__file__).resolve().parent.parent.parent
    made = Machine(scratch)
    install(made, request.getfixturevalue("released"), root, peer.server_address[1])
    groups = made.path("/etc/group").read_text().splitlines()
    dialout = next(int(line.split(":")[2]) for line in groups if line.startswith("dialout:"))
    unclaimed(port := node(scratch / "ttyS0", 4, 64, dialout))
    other = node(scratch / "other", 10, 229, dialout)
    try:
        made.boot(f"{port}:/dev/ttyS0", f"{other}:/dev/fuse-like")
        yield made
    finally:
        made.off()
