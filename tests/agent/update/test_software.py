"""What is installed: recorded at each start, listed, compared with what was installed; foreign drivers by name."""

import asyncio
import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers.stations import StationProcess, bare

from agent.update import software as module
from agent.update.guard import HEALTH, read_health
from agent.update.running import handlers, lived
from agent.update.versions import Update, Versions
from host.control import RequestError


@pytest.fixture
def their_driver(tmp_path: Path) -> Path:
    """A folder in which another distribution brings a driver."""
    packages = tmp_path / "site"
    info = packages / "their_driver-1.2.dist-info"
    info.mkdir(parents=True)
    (packages / "their_driver.py").write_text("ENTRY = None\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-driver\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[plumeline.drivers]\ntheirs = their_driver:ENTRY\n")
    digest = "sha256=" + _urlsafe(hashlib.sha256((packages / "their_driver.py").read_bytes()).digest())
    record = [
        f"their_driver.py,{digest},13",
        "their_driver-1.2.dist-info/METADATA,,",
        "their_driver-1.2.dist-info/RECORD,,",
    ]
    (info / "RECORD").write_text("\n".join(record) + "\n")
    return packages


def _urlsafe(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


async def test_each_start_records_what_runs(tmp_path: Path, root: Path, their_driver: Path) -> None:
    station = StationProcess(tmp_path, root, bare())
    station.environment["PYTHONPATH"] = str(their_driver)
    async with station.running():
        async with asyncio.timeout(20):
            while not (found := await events(station, "software")):
                await asyncio.sleep(0.05)
    (told,) = found
    assert told["version"] == module.software().version
    assert (told["files"], told["sha256"]) == (module.software().files, module.software().sha256)
    assert {"apsw", "pynacl", "pydantic"} <= told["components"].keys()
    (driver,) = told["drivers"]
    assert (driver["name"], driver["distribution"], driver["version"]) == ("theirs", "their-driver", "1.2")


async def events(station: StationProcess, what: str) -> list[dict[str, Any]]:
    try:
        answer = await station.asked("events")
    except RequestError:
        return []
    return [row for row in answer["events"] if row.get("what") == what]


def plumeline(packages: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-m", "agent", "--lang", "en", *words]
    where = {"PYTHONPATH": str(packages), "PATH": "/usr/bin"}
    return subprocess.run(program, env=where, capture_output=True, text=True, check=False, timeout=60)


def test_drivers_of_others_are_listed_and_an_altered_file_is_found(their_driver: Path) -> None:
    (row,) = json.loads(plumeline(their_driver, "drivers", "--json").stdout)
    assert (row["name"], row["distribution"], row["version"]) == ("theirs", "their-driver", "1.2")
    assert plumeline(their_driver, "version", "--verify").returncode == 0
    (their_driver / "their_driver.py").write_text("ENTRY = 1\n")
    ended = plumeline(their_driver, "version", "--verify", "--json")
    assert (ended.returncode, json.loads(ended.stdout)["altered"]) == (1, [str(their_driver / "their_driver.py")])
    (again,) = json.loads(plumeline(their_driver, "drivers", "--json").stdout)
    assert again["sha256"] != row["sha256"]


def test_components_are_what_a_station_needs_and_no_tool_of_a_builder() -> None:
    names = {one.name for one in module.components()}
    assert {"plumeline", "apsw", "cryptography", "starlette", "pydantic-core"} <= names
    assert not names & {"mypy", "pytest", "ruff", "hypothesis", "numpy"}


def test_our_hash_is_of_every_file_of_ours(root: Path) -> None:
    found = module.software()
    assert found.files > 300
    whole = hashlib.sha256()
    for folder in ("agent", "calibration", "drivers", "firmware_bridge", "host", "metrology", "protocols", "web"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                inner = hashlib.sha256(path.read_bytes()).hexdigest()
                whole.update(f"{inner} {path.relative_to(root).as_posix()}\n".encode())
    module.software.cache_clear()
    assert module.software().sha256 == whole.hexdigest()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_news_of_an_update_are_recorded_once(rig: Any, tmp_path: Path) -> None:
    station = await rig()
    station.started = station.clock.now()
    store, versions = Path(station.config.store.path), Versions(tmp_path / "opt")
    versions.root.mkdir()

    def said() -> dict[str, Any]:
        found: dict[str, Any] = json.loads((store / HEALTH).read_text()) if (store / HEALTH).exists() else {}
        return found

    for run, phase in enumerate(("trial", "trial", "rolled-back")):
        versions.note(Update("u1", "1.1.0", "1.0.0", "m", "li", "s", phase=phase, reason="loud"))  # type: ignore[arg-type]
        life = asyncio.create_task(lived(station, versions, f"1.{run}.0"))
        wanted = (f"1.{run}.0", f"u1 {phase}")
        await until(lambda wanted=wanted: (said().get("version"), said().get("told")) == wanted)
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
    told = await station.records("update-installed", "update-rolled-back")
    assert [(row["what"], row["version"], row["who"]) for row in told] == [
        ("update-installed", "1.1.0", "li"), ("update-rolled-back", "1.1.0", "li"),
    ]  # fmt: skip
    health = read_health(store)
    assert health is not None
    assert (health.version, health.records) == ("1.2.0", 1)


async def test_what_begins_is_recorded_and_refused_while_gas_may_flow(rig: Any) -> None:
    station = await rig()
    begin = handlers(station, lambda request, name: str(request[name]))["update-begin"]
    request = {"id": "u1", "version": "1.1.0", "manifest": "m", "who": "li"}
    await anext(begin(request))
    (told,) = await station.records("update-begun")
    assert (told["version"], told["origin"], told["former"]) == ("1.1.0", "li", module.software().version)
    await station.calibrator.start("daily", "li")
    await station.until(lambda: station.calibrator.busy)
    with pytest.raises(RequestError, match="gas"):
        await anext(begin(request))
    assert len(await station.records("update-begun")) == 1
