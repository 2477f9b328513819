"""The daemon renews its certificate before it ends, and people hear of it where it cannot: over a real endpoint."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from peers.centres import EnrollingCentre
from peers.stations import StationProcess, bare

from agent.enrol import enrol, new_key
from host.control import RequestError
from host.tls import certificate_of
from protocols.tlog import signer_from_seed

# Less than a sixth of its span is left: it begins an hour before it was made, and ends nine minutes after.
DAYS = 0.15 / 24


@pytest.fixture
async def station(tmp_path: Path, root: Path) -> AsyncIterator[StationProcess]:
    made = StationProcess(tmp_path, root, bare("tower-01"))
    yield made
    await made.put_away()


@pytest.fixture
async def centre(tmp_path: Path, root: Path) -> AsyncIterator[EnrollingCentre]:
    (tmp_path / "centre").mkdir()
    made = await asyncio.to_thread(EnrollingCentre, tmp_path / "centre", root, DAYS)
    yield made
    await asyncio.to_thread(made.end)


@pytest.fixture
def enrolled(station: StationProcess, centre: EnrollingCentre, tmp_path: Path) -> Callable[..., Path]:
    """`enrolled(renew)`: the station has its certificate (the path), and an uplink that shows it."""

    def make(renew: str | None) -> Path:
        key, seed = new_key(), (tmp_path / "key").read_text()
        signer = signer_from_seed(seed, "plumeline/tower-01")
        granted = enrol(centre.address, centre.fingerprint, centre.code(), ("tower-01", "n"), signer, key, "")
        files = {"ca": granted.authority, "certificate": granted.answer.certificate, "tls.key": key.decode()}
        for name, text in files.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o600)
        tls: dict[str, Any] = {"ca": str(tmp_path / "ca"), "certificate": str(tmp_path / "certificate")}
        tls["key"] = {"file": str(tmp_path / "tls.key")}
        if renew:
            tls["renew"] = renew
        station.document["uplinks"] = {"centre": {"kind": "mqtt", "host": "127.0.0.1", "port": 1, "tls": tls}}
        return tmp_path / "certificate"

    return make


async def told(station: StationProcess, what: str) -> dict[str, Any]:
    """What a station says of its certificate, once it does. Killed at the end: an orderly one waits for the uplink."""
    await station.start()
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(RequestError):
                for event in (await station.asked("events"))["events"]:
                    if event["what"] == what:
                        return dict(event)
            await asyncio.sleep(0.02)


async def test_a_station_renews_by_itself(
    station: StationProcess, centre: EnrollingCentre, enrolled: Callable[..., Path]
) -> None:
    file = await asyncio.to_thread(enrolled, centre.address)
    before = certificate_of(file.read_bytes())
    event = await told(station, "certificate-renewed")
    after = certificate_of(file.read_bytes())
    assert (event["former"], event["serial"], event["origin"]) == (before.serial, after.serial, "uplink centre")
    assert after.serial != before.serial
    assert [one["serial"] for one in centre.events("certificate-issued")] == [after.serial]


async def test_a_certificate_that_nobody_renews_is_told_of(
    station: StationProcess, enrolled: Callable[..., Path]
) -> None:
    await asyncio.to_thread(enrolled, "https://localhost:1")
    event = await told(station, "certificate-expires-soon")
    assert (event["days"], "localhost:1" in event["reason"]) == (0, True)
