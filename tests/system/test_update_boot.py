"""Updates on a machine with a real service manager: taken into use, taken back, and rolled back by themselves."""

import json
from pathlib import Path
from typing import Any

import pytest
from system.conftest import UNIT
from system.machine import Machine, bundle, changed, measuring, records

pytestmark = pytest.mark.system
CONFIG = "/etc/plumeline/station.hjson"
TIMER = "plumeline-update-guard.timer"


def release(machine: Machine, scratch: Path, root: Path, version: str, *change: tuple[str, str, str]) -> str:
    """A bundle of another version of this tree lies in the machine."""
    made = bundle(changed(root, scratch / f"tree-{version}", version, *change), scratch)["bundle"]
    Path(made).rename(machine.path(f"/root/{version}.bundle"))
    return f"/root/{version}.bundle"


def plumeline(machine: Machine, *words: str, code: int | None = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.run("/opt/plumeline/bin/plumeline", *words, "--json", code=code))
    return found


def told(rows: list[dict[str, Any]], what: str) -> list[str]:
    """Versions that events of a kind name, in order."""
    return [row["version"] for row in rows if row.get("what") == what]


def test_an_update_is_taken_into_use_and_back(machine: Machine, scratch: Path, root: Path) -> None:
    machine.run("systemctl", "start", UNIT)
    measuring(machine)
    bundle_file = release(machine, scratch, root, "0.1.1")
    done = plumeline(machine, "update", "install", CONFIG, bundle_file, "--who", "li")
    assert (done["version"], done["former"], done["restarted"], done["guarded"]) == ("0.1.1", "0.1.0", True, True)
    measuring(machine)
    assert machine.run("/opt/plumeline/bin/plumeline", "version").split() == ["plumeline", "0.1.1"]
    # The daemon says how it fares, from within its sandbox.
    machine.until(lambda: '"0.1.1"' in machine.run("cat", "/var/lib/plumeline/software.json", code=None))
    plumeline(machine, "update", "rollback", "--reason", "it was a test", "--who", "li")
    measuring(machine)
    machine.until(lambda: "rolled-back" in machine.run("cat", "/var/lib/plumeline/software.json", code=None))
    machine.run("systemctl", "stop", UNIT, TIMER)
    rows = records(machine)
    assert [told(rows, what) for what in ("update-begun", "update-installed", "update-rolled-back")] == [["0.1.1"]] * 3
    assert told(rows, "software")[-3:] == ["0.1.0", "0.1.1", "0.1.0"]
    hashes = [row["sha256"] for row in rows if row.get("what") == "software"]
    assert hashes[-1] == hashes[-3]


def test_a_version_that_does_not_run_is_rolled_back(machine: Machine, scratch: Path, root: Path) -> None:
    machine.run("systemctl", "start", UNIT)
    measuring(machine)
    machine.path(f"/etc/systemd/system/{TIMER}.d").mkdir()
    machine.path(f"/etc/systemd/system/{TIMER}.d/soon.conf").write_text(
        # An empty line clears every trigger there is.
        "[Timer]\nOnActiveSec=\nOnActiveSec=1\nOnUnitActiveSec=1\nAccuracySec=100ms\n"
    )
    machine.run("systemctl", "daemon-reload")
    broken = ("agent/daemon.py", "            notify(READY)\n", "            os._exit(3)\n")
    bundle_file = release(machine, scratch, root, "0.1.2", broken)
    done = plumeline(machine, "update", "install", CONFIG, bundle_file, "--who", "li")
    assert (done["version"], done["restarted"]) == ("0.1.2", False)
    machine.until(lambda: plumeline(machine, "update", "status")["last"]["phase"] == "rolled-back", 180)
    assert plumeline(machine, "update", "status")["current"] == "0.1.0"
    measuring(machine)
    machine.until(lambda: machine.run("systemctl", "is-active", TIMER, code=None) == "inactive\n")
    machine.run("systemctl", "stop", UNIT)
    rows = records(machine)
    assert told(rows, "update-rolled-back")[-1] == "0.1.2"
    assert [row["seq"] for row in rows] == list(range(len(rows)))
