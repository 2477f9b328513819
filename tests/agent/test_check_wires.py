"""What `plumeline check` says of wires."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hjson
import pytest

from agent.checks.check import check_file

SERIAL = {"kind": "serial", "device": "/dev/serial/by-id/usb-FTDI"}
UDP = {"kind": "udp", "host": "127.0.0.1"}
RTS = {"rs485": {"turn": "rts"}}


@pytest.fixture
def codes(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Checks the field example with another first bus; gives severity, code and what the line of the place holds."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "station-key").write_bytes(base64.b64encode(bytes(32)))
    document = hjson.loads((root / "config" / "field.hjson").read_text(encoding="utf-8"))

    def check(wire: dict[str, Any], protocol: str) -> list[tuple[str, str, str]]:
        document["buses"]["gateway-1"] = {"wire": wire, "protocol": protocol}
        document["store"]["path"] = str(tmp_path / "store")
        path = tmp_path / "station.hjson"
        path.write_text(hjson.dumpsJSON(document, indent=1), encoding="utf-8")
        lines = path.read_text().split("\n")
        problems = check_file(path, now=datetime(2026, 1, 1, tzinfo=UTC)).problems
        ours = {
            "port-passing", "framing", "rtu-bits", "flow-binary", "rts-twice", "udp-port", "udp-local",
        }  # fmt: skip
        return [(p.severity, p.code, lines[p.line - 1].strip()) for p in problems if p.code in ours]

    return check


@pytest.mark.parametrize(
    ("wire", "protocol", "expected"),
    [
        ({**SERIAL, "device": "/dev/ttyUSB0"}, "stream", ("warning", "port-passing", '"device": "/dev/ttyUSB0"')),
        (SERIAL, "modbus-tcp", ("error", "framing", '"protocol": "modbus-tcp"')),
        ({**SERIAL, "data_bits": 7}, "modbus-rtu", ("error", "rtu-bits", '"data_bits": 7')),
        ({**SERIAL, "flow": "xonxoff"}, "modbus-rtu", ("error", "flow-binary", '"flow": "xonxoff"')),
        ({**SERIAL, "flow": "rtscts", **RTS}, "text", ("error", "rts-twice", '"flow": "rtscts",')),
        (UDP, "text", ("error", "udp-port", '"wire": {')),
        (UDP, "stream", ("error", "udp-local", '"wire": {')),
    ],
)
def test_wires_that_cannot_work_are_told_with_their_place(
    codes: Any, wire: dict[str, Any], protocol: str, expected: tuple[str, str, str]
) -> None:
    assert codes(wire, protocol) == [expected]


@pytest.mark.parametrize(
    ("wire", "protocol"),
    [
        (SERIAL, "modbus-rtu"),
        ({**SERIAL, "data_bits": 7, "parity": "E", "flow": "xonxoff"}, "text"),
        ({**SERIAL, **RTS, "echo": True}, "modbus-rtu"),
        ({"kind": "tcp", "host": "127.0.0.1", "port": 4001}, "modbus-rtu"),
        ({**UDP, "port": 4001}, "modbus-rtu"),
        ({**UDP, "local_port": 4001}, "stream"),
    ],
)
def test_wires_that_work_are_left_in_peace(codes: Any, wire: dict[str, Any], protocol: str) -> None:
    assert codes(wire, protocol) == []
