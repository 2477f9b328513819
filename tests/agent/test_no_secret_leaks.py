"""A station with planted secrets runs, sends, is asked and guessed at: none of them is in anything it wrote or said."""

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from peers.stations import StationProcess, bare

from agent.store.packing import unpack

PW, SIGN_IN, GUESS = "Zq7xWp", "nine herons at the lock", "a guess that was wrong"
SEED = base64.b64encode(bytes(range(32)))


@pytest.fixture
async def platform() -> AsyncIterator[tuple[int, bytearray]]:
    """A platform that listens and never answers: its port, and all that came."""
    came = bytearray()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while data := await reader.read(65536):
                came.extend(data)
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], came
    server.close()


@pytest.fixture
async def station(tmp_path: Path, root: Path, platform: tuple[int, bytearray]) -> AsyncIterator[StationProcess]:
    """A stack with a platform and a page; its instrument is silent."""
    document = bare()
    wire = {"kind": "tcp", "host": "127.0.0.1", "port": 1}
    document["buses"]["plc"] = {"wire": wire, "protocol": "modbus-tcp"}
    document["instruments"]["ndir"] = {
        "driver": "senseair_s8", "bus": "plc", "unit": 1, "poll_s": 1, "kind": "research", "rule": "ghg",
        "series": {"co2": {"minimum": 0, "maximum": 1000}},
    }  # fmt: skip
    document["clock"] = {"trusted": True}
    secret = tmp_path / "pw"
    secret.write_text(PW)
    secret.chmod(0o600)
    factor = {"series": "ndir.co2", "unit": "mg/m3", "state": "ambient-298K"}
    document["uplinks"] = {"platform": {
        "kind": "hj212", "host": "127.0.0.1", "port": platform[0], "outlet": "main", "mn": "A" * 24, "st": "22",
        "pw": {"file": str(secret)}, "factors": {"a05001": factor}, "overtime_s": 1, "recount": 1,
    }}  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as free:
        document["page"] = {"port": free.getsockname()[1]}
    made = StationProcess(tmp_path, root, document)
    yield made
    await made.put_away()


def everything(folder: Path, secrets: set[Path]) -> dict[Path, bytes]:
    """What lies in a folder, but for the secrets themselves; the bodies of records as they are before packing, too."""
    files = [path for path in folder.rglob("*") if path.is_file() and path not in secrets]
    return {path: path.read_bytes() + (_bodies(path) if path.suffix == ".db" else b"") for path in files}


def _bodies(path: Path) -> bytes:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    table = "entry" if path.name == "station.db" else "rec"
    found = b"\n".join(unpack(body) for (body,) in db.execute(f"SELECT body FROM {table}"))
    db.close()
    assert found
    return found


async def test_no_secret_is_in_what_a_station_writes_and_says(
    station: StationProcess, platform: tuple[int, bytearray], visitor: Any, tmp_path: Path
) -> None:
    await station.start()
    await station.until(lambda status: status["uplinks"])
    guest = visitor(f"http://127.0.0.1:{station.document['page']['port']}")
    code = tmp_path / "store" / "page-accounts.setup"
    async with asyncio.timeout(20):
        while not (code.exists() and PW.encode() in platform[1]):
            await asyncio.sleep(0.05)
    setup = code.read_text().strip()
    new = {"name": "Li Wei", "password": SIGN_IN, "again": SIGN_IN}
    assert (await asyncio.to_thread(guest.post, "/set-up", code=setup, **new)).status == 303
    assert (await asyncio.to_thread(guest.sign_in, "Li Wei", GUESS)).status == 403
    said = [(await asyncio.to_thread(guest.get, path)).text for path in ("/", "/api/status", "/api/events")]
    said.append(await station.command("status", "--json"))
    token = next(value for name, value in guest.cookies.items() if name.startswith("plumeline-"))
    code_, journal = await station.end()
    assert code_ == 0, journal
    written = everything(tmp_path, {tmp_path / "pw", tmp_path / "key"})
    assert len(written) > 4
    acts = [row.fields for row in station.rows("event") if row.fields["what"] == "act"]
    assert {("set-up", "asked"), ("sign-in", "wrong name or password")} <= {(act["do"], act["outcome"]) for act in acts}
    for secret in (PW, SIGN_IN, GUESS, setup, token):
        kept = {str(path) for path, data in written.items() if secret.encode() in data}
        assert kept == set(), secret
        assert not [text for text in (journal, *said) if secret in text], secret
    for seed in (SEED, bytes(range(32))):
        assert not [path for path, data in written.items() if seed in data]
    assert PW.encode() in platform[1], "on the HJ 212 wire it stands, as the standard has it"


async def test_a_secret_of_a_wrong_form_is_not_repeated(station: StationProcess, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("much too long a password")
    (tmp_path / "key").write_text("no seed at all")
    station.write()
    made = await station.program("check", str(station.file))
    out, wrong = await made.communicate()
    assert made.returncode == 1
    assert b"much too long" not in out + wrong
    assert b"no seed" not in out + wrong


async def test_the_daemon_and_its_page_leave_no_core_dump(station: StationProcess) -> None:
    made = await station.start()
    await station.until(lambda status: status["uplinks"])
    limits = Path(f"/proc/{made.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]
    assert (await station.end())[0] == 0
