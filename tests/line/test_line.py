"""The whole line, as a stranger sees it: the demo's own checks, with real processes, broker, kill and outage."""

import contextlib
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

SECONDS_MAX = 240


def demo(root: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [root / "tools" / "demo", "--json", *options], capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_nothing_is_lost_or_doubled_over_a_kill_and_an_outage(root: Path, tmp_path: Path) -> None:
    # An hour and a half of the world: enough for the line and one attribution, too short to judge where it points.
    _, found = demo(root, "--check", "--seed", "11", "--seconds", "60", "--out", str(tmp_path / "run"))
    assert found["line_held"], found
    assert (found["lost"], found["duplicates"]) == (0, 0)
    assert found["p95_age_s"] < 3
    assert found["readings"] > 20_000
    assert found["hj212_acked"] > 300
    assert found["mqtt_acked"] > 8_000
    assert found["attribution"]["observations"] > 20


def test_the_recorded_hour_arrives_whole(root: Path, tmp_path: Path, recorded_data: Path) -> None:
    code, found = demo(root, "--real", "--check", "--rate", "240", "--out", str(tmp_path / "run"))
    assert code == 0, found
    assert found["order"] == {"rows": 2679, "arrived": 2679, "in_order": True}
    assert found["minutes"]["wrong_counts"] == found["hours"]["wrong_counts"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_everything_the_demo_started(root: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "run"
    with subprocess.Popen(
        [root / "tools" / "demo", "--out", str(out)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        said = ""
        while "Ctrl-C" not in said:
            said = process.stdout.readline()
            assert said, "the demo ended by itself"
        assert len(started(out)) >= 6
        process.send_signal(number)
        assert process.wait(60) == 0
    assert started(out) == []


def started(out: Path) -> list[str]:
    """Command lines of running processes that belong to a run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(out) in command and "tools/demo_run.py" not in command:
                found.append(command)
    return found
