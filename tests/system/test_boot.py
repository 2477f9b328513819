"""The real unit under a real systemd: ready, watched, restarted, closed in."""

import json
import re
from pathlib import Path

import pytest
from system.conftest import UNIT, WATCHDOG_S, Peer, unclaimed
from system.machine import Machine, measuring, records, status

pytestmark = pytest.mark.system
PROBE = Path(__file__).with_name("probe.py")


@pytest.fixture
def running(machine: Machine) -> Machine:
    """The service, started and with a value."""
    machine.run("systemctl", "start", UNIT)
    measuring(machine)
    return machine


def signalled(machine: Machine, signal: str) -> None:
    machine.run("systemctl", "kill", "--kill-who=main", f"--signal={signal}", UNIT)


def main_pid(machine: Machine) -> int:
    return int(machine.show(UNIT, "MainPID")["MainPID"])


def test_it_starts_and_says_when_it_is_ready(running: Machine) -> None:
    told = running.show(UNIT, "ActiveState", "SubState", "Type", "Result", "NRestarts", "User")
    assert told == {
        "ActiveState": "active", "SubState": "running", "Type": "notify", "Result": "success", "NRestarts": "0",
        "User": "plumeline",
    }  # fmt: skip
    assert measuring(running)["values"]["ndir.co2"]["value"] == 403


def test_the_serial_node_opens_in_the_sandbox(running: Machine) -> None:
    # It has nobody at its other end: silent is another thing than closed.
    found = running.until(lambda: "unit-silent" in (text := running.journal(UNIT)) and text)
    assert "bus-lost" not in found
    assert running.run("sh", "-c", f"ls -l /proc/{main_pid(running)}/fd").count("/dev/ttyS0") == 1


def test_the_daemon_has_no_privilege_and_leaves_no_core(running: Machine) -> None:
    pid = main_pid(running)
    told = dict(re.findall(r"^(\w+):\t(.*)$", running.run("cat", f"/proc/{pid}/status"), re.MULTILINE))
    assert [int(told[f"Cap{which}"], 16) for which in ("Eff", "Prm", "Bnd", "Amb", "Inh")] == [0] * 5
    assert (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2")
    assert re.search(r"^Max core file size +0 +0 ", running.run("cat", f"/proc/{pid}/limits"), re.MULTILINE)


def test_a_stall_is_ended_by_the_watchdog_and_the_log_goes_on(running: Machine, peer: Peer) -> None:
    before, pid = status(running)["log"], main_pid(running)
    peer.coils = {0: False, 1: True}
    signalled(running, "STOP")
    running.until(lambda: running.show(UNIT, "NRestarts")["NRestarts"] == "1", WATCHDOG_S + 60)
    journal = running.journal(UNIT)
    assert "Watchdog timeout" in journal
    assert "code=killed, status=6/ABRT" in journal
    assert "code=dumped" not in journal
    # What ran after it brought the inlet to sample air.
    assert re.search(r"plumeline\[\d+\]: .*sample", journal)
    assert peer.coils == {0: True, 1: False}
    after = measuring(running)["log"]
    assert (main_pid(running) != pid, after["epoch"]) == (True, before["epoch"])
    running.run("systemctl", "stop", UNIT)
    rows = records(running)
    assert [row["seq"] for row in rows] == list(range(len(rows)))
    assert "not running" in [row.get("reason") for row in rows if row["kind"] == "gap"]


def test_a_kill_and_an_orderly_stop_keep_the_state(running: Machine) -> None:
    restarts = int(running.show(UNIT, "NRestarts")["NRestarts"])
    signalled(running, "KILL")
    running.until(lambda: int(running.show(UNIT, "NRestarts")["NRestarts"]) == restarts + 1)
    measuring(running)
    running.run("systemctl", "stop", UNIT)
    assert running.show(UNIT, "Result", "ActiveState") == {"Result": "success", "ActiveState": "inactive"}
    rows = records(running)
    assert [row["seq"] for row in rows] == list(range(len(rows)))
    assert "stopped" in [row.get("what") for row in rows[-5:]]
    assert rows[-1]["kind"] == "checkpoint"


def test_the_sandbox_denies_what_it_shall(machine: Machine, root: Path) -> None:
    machine.run("systemctl", "stop", UNIT)
    unclaimed(str(machine.root.parent / "ttyS0"))
    lines = (root / "systemd" / UNIT).read_text(encoding="utf-8").splitlines()
    left_out = ("ExecStopPost=", "ExecReload=", "Restart=", "WatchdogSec=", "LoadCredential", "NotifyAccess=")
    unit = "\n".join(line for line in lines if not line.startswith(left_out))
    unit = re.sub(r"^ExecStart=.*", "ExecStart=/opt/plumeline/bin/python /opt/probe.py", unit, flags=re.MULTILINE)
    machine.path("/opt/probe.py").write_text(PROBE.read_text(encoding="utf-8"))
    machine.path("/etc/systemd/system/probe.service").write_text(unit.replace("Type=notify", "Type=oneshot"))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "probe.service")
    told = json.loads(machine.run("journalctl", "-q", "-o", "cat", "--no-pager", "-t", "python"))
    allowed = {name for name, result in told.items() if result == "done"}
    assert allowed == {"write state", "write run", "database", "serial", "tcp", "inside"}
    refused = {name: told[name] for name in ("write /etc", "write /opt/plumeline", "other device", "raw socket")}
    assert refused == {
        "write /etc": "EROFS", "write /opt/plumeline": "EROFS", "other device": "EPERM", "raw socket": "EPERM",
    }  # fmt: skip
    assert {told[name] for name in ("outside", "clock", "namespace", "mount", "written code", "real time")} == {"EPERM"}
    # Of other users' processes it sees none.
    assert (told["core"], told["processes"]) == ("(0, 0)", "1")
