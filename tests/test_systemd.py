"""The units: known to systemd, closed to what they do not need, restarting for ever."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.config_clock import ClockCare

ANALYZE = shutil.which("systemd-analyze")
UNITS = ("plumeline-agent", "plumeline-central")
# Every service there is, also those that others start.
SERVICES = sorted(path.stem for path in (Path(__file__).resolve().parent.parent / "systemd").glob("*.service"))
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed here")


@pytest.fixture(params=SERVICES)
def unit(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Path:
    """A copy of a unit whose programs exist on this machine."""
    text = (root / "systemd" / f"{request.param}.service").read_text(encoding="utf-8")
    # A service that a socket starts names it.
    for path in (root / "systemd").glob("*.socket"):
        shutil.copy(path, tmp_path)
    copy = tmp_path / f"{request.param}.service"
    copy.write_text(re.sub(r"^(Exec\w+=-?)/opt\S+", r"\1/bin/true", text, flags=re.MULTILINE), encoding="utf-8")
    return copy


def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, check=False, timeout=60)


@needs_systemd
def test_systemd_knows_every_line(unit: Path) -> None:
    ended = analyze("verify", "--recursive-errors=yes", str(unit))
    assert ended.returncode == 0, ended.stderr


@needs_systemd
def test_an_unknown_line_would_be_found(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("NoNewPrivileges=", "NoNewPriviledges="))
    assert analyze("verify", "--recursive-errors=yes", str(unit)).returncode != 0


@needs_systemd
def test_exposure_is_at_most_1_3(unit: Path) -> None:
    ended = analyze("security", "--offline=true", "--threshold=13", "--no-pager", str(unit))
    assert ended.returncode == 0, ended.stdout


@needs_systemd
def test_a_service_with_a_privilege_more_would_be_found(unit: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    unit.write_text(re.sub(r"^(CapabilityBoundingSet|SystemCallFilter)=.*\n", "", text, flags=re.MULTILINE))
    assert analyze("security", "--offline=true", "--threshold=13", "--no-pager", str(unit)).returncode != 0


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_leaves_no_core(root: Path, name: str) -> None:
    # The memory of a daemon holds keys.
    assert lines(root, name)["LimitCORE"] == "0"


def lines(root: Path, name: str) -> dict[str, str]:
    """Keys of the [Unit] and [Service] sections; of a repeated key the last value."""
    parsed = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string((root / "systemd" / f"{name}.service").read_text(encoding="utf-8"))
    return {**parsed["Unit"], **parsed["Service"]}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_restarts_without_limit(root: Path, name: str) -> None:
    found = lines(root, name)
    assert (found["StartLimitIntervalSec"], found["Restart"]) == ("0", "always")
    # A denied system call is an error to the program, never its death.
    assert found["SystemCallErrorNumber"] == "EPERM"


def test_the_agent_is_watched_and_leaves_the_inlet_at_sample_air(root: Path) -> None:
    found = lines(root, "plumeline-agent")
    assert (found["Type"], found["WatchdogSec"]) == ("notify", "60")
    assert found["ExecStart"].endswith(" run /etc/plumeline/station.hjson")
    assert found["ExecStopPost"].endswith(" calibrate safe /etc/plumeline/station.hjson")
    # The file is checked before the daemon is told to read it again.
    service = (root / "systemd" / "plumeline-agent.service").read_text(encoding="utf-8")
    checked, told = re.findall(r"^ExecReload=(.*)$", service, re.MULTILINE)
    assert checked.endswith(" check /etc/plumeline/station.hjson")
    assert told == "/bin/kill -HUP $MAINPID"


@pytest.mark.parametrize(("unit", "examples"), [("agent", ("stack", "tower", "field")), ("central", ("central",))])
def test_credentials_of_the_examples_are_loaded_by_the_unit(root: Path, unit: str, examples: tuple[str, ...]) -> None:
    service = (root / "systemd" / f"plumeline-{unit}.service").read_text(encoding="utf-8")
    loaded = set(re.findall(r"^LoadCredentialEncrypted=([\w-]+):", service, flags=re.MULTILINE))
    texts = [(root / "config" / f"{example}.hjson").read_text(encoding="utf-8") for example in examples]
    assert set(re.findall(r'credential: "([\w-]+)"', "".join(texts))) == loaded


def test_only_the_clock_helper_may_set_the_clock_and_only_the_service_may_ask_it(root: Path) -> None:
    helper, agent = lines(root, "plumeline-clock"), lines(root, "plumeline-agent")
    assert (helper["CapabilityBoundingSet"], helper["AmbientCapabilities"]) == ("CAP_SYS_TIME", "CAP_SYS_TIME")
    assert helper["ExecStart"].endswith("-m host.clock_helper --step-max 3600")
    assert (agent["CapabilityBoundingSet"], agent["ProtectClock"]) == ("", "yes")
    socket = (root / "systemd" / "plumeline-clock.socket").read_text(encoding="utf-8")
    assert "\nSocketGroup=plumeline\nSocketMode=0660\n" in socket
    assert f"\nListenStream={ClockCare().helper}\n" in socket
