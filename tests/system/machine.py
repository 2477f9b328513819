"""A Debian machine with systemd as process 1, booted in a container from a root that is made once and copied."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.store.segment import Record, Segment
from protocols.record import KINDS

RELEASE = "bookworm"
PACKAGES = "systemd,systemd-sysv,dbus,libpam-systemd,python3,python3-venv,iproute2,libcap2-bin"
PROGRAMS = ("debootstrap", "systemd-nspawn", "nsenter", "systemd-creds")
KEEP = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plumeline"
BOOT_S = 60


def missing() -> str | None:
    """Why no machine can be booted here, None where one can."""
    if not os.environ.get("PLUMELINE_SYSTEM"):
        return "a machine is booted by tools/system alone: it takes minutes and 1 GB"
    if os.geteuid() != 0:
        return "only root boots a machine: sudo tools/system"
    if absent := [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]:
        return f"{', '.join(absent)} not installed: tools/system installs systemd-container and debootstrap"
    return None


def base() -> Path:
    """The root of a plain Debian, made the first time."""
    made = KEEP / f"{RELEASE}-{_mark(PACKAGES)}"
    if not made.is_dir():
        part = made.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(part)], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        part.rename(made)
    return made


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def changed(root: Path, into: Path, version: str, *change: tuple[str, str, str]) -> Path:
    """A copy of the tree of another version, with texts of its files exchanged: (file, text, other text)."""
    whole = ("*.egg-info", "__pycache__", ".*", "out", "tests")
    shutil.copytree(root, into, ignore=shutil.ignore_patterns(*whole))
    for name, text, other in (("pyproject.toml", '\nversion = "0.1.0"', f'\nversion = "{version}"'), *change):
        old = (into / name).read_text(encoding="utf-8")
        assert old.count(text) == 1, name
        (into / name).write_text(old.replace(text, other), encoding="utf-8")
    return into


def bundle(root: Path, out: Path) -> dict[str, str]:
    """A bundle of the tree at `root`: its path, version and verification key."""
    key = out / "release-key"
    key.write_text("c3lzdGVtIHRlc3Qgc3lzdGVtIHRlc3Qgc3lzdGVtIDE=")
    words = ["--key", str(key), "--out", str(out), "--kept", str(KEEP / "wheels"), "--plain"]
    program = [sys.executable, str(root / "tools" / "releasing" / "bundle.py"), *words]
    told = subprocess.run(program, check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(told.stdout)
    return found


class Machine:
    """One machine. Its network is this machine's own, its files are a copy that goes with it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self._log = folder / "console"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0
        subprocess.run(["cp", "-a", "--reflink=auto", str(base()), str(self.root)], check=True)

    def path(self, inside: str) -> Path:
        """Where a file of the machine lies outside of it."""
        return self.root / inside.lstrip("/")

    def chroot(self, *words: str) -> str:
        """Run a program in the machine's files before it is booted."""
        return _said(["systemd-nspawn", "-q", "--register=no", "--keep-unit", "--pipe", "-D", str(self.root), *words])

    def boot(self, *binds: str) -> None:
        """Boot, and return when its service manager has done all it was to do."""
        console = self._log.open("wb")
        self._nspawn = subprocess.Popen(
            # Its service manager may load the filters of devices and addresses (bpf), as on a machine of metal.
            ["systemd-nspawn", "-D", str(self.root), "--register=no", "--keep-unit", "-b",
             "--capability=CAP_BPF,CAP_NET_ADMIN,CAP_PERFMON", "--system-call-filter=bpf",
             *(f"--bind={bind}" for bind in binds)],
            stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )  # fmt: skip
        console.close()
        self.until(self._find_leader, BOOT_S)
        self.until(lambda: self.run("systemctl", "is-system-running", code=None) in ("running\n", "degraded\n"), BOOT_S)

    def _find_leader(self) -> bool:
        assert self._nspawn
        assert self._nspawn.poll() is None, self._log.read_text(errors="replace")
        pid = self._nspawn.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                self._leader = int(child)
        return bool(self._leader)

    def run(self, *words: str, code: int | None = 0) -> str:
        """What a program says inside; `code` None takes any."""
        spaces = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-p", "-C", "-r", "-w"]
        return _said([*spaces, *words], code)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        lines = self.run("systemctl", "show", unit, "-p", ",".join(names)).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "-q", "--no-pager", "-u", unit)

    def until(self, condition: Callable[[], Any], wait_s: float = 60) -> Any:
        """Wait for something."""
        deadline = time.monotonic() + wait_s
        while not (found := condition()):
            assert time.monotonic() < deadline, f"not within {wait_s} s"
            time.sleep(0.1)
        return found

    def off(self) -> None:
        """Power off; the files stay."""
        if self._nspawn and self._nspawn.poll() is None:
            # SIGTERM to nspawn is an orderly halt of what it holds, a second one ends it at once.
            self._nspawn.terminate()
            try:
                self._nspawn.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait()


def status(machine: Machine) -> dict[str, Any]:
    """What the daemon says of itself, {} while it says nothing."""
    said = machine.run("/opt/plumeline/bin/plumeline", "status", "--json", code=None)
    found: dict[str, Any] = json.loads(said) if said.startswith("{") else {}
    return found


def measuring(machine: Machine) -> dict[str, Any]:
    """Its status once it has a value."""
    found: dict[str, Any] = machine.until(lambda: (told := status(machine)).get("values") and told)
    return found


def records(machine: Machine) -> list[dict[str, Any]]:
    """Every record of the log of the stopped station, read from copies of its files."""
    machine.run("sh", "-ec", "rm -rf /root/copy; cp -a /var/lib/plumeline/segments /root/copy")
    rows: list[Record] = []
    for path in sorted(machine.path("/root/copy").glob("log-*.db")):
        segment = Segment(path)
        while found := segment.read(rows[-1].seq if rows else -1, KINDS, 500, None):
            rows += found
        segment.close()
    return [row.fields for row in rows]


def _said(words: list[str], code: int | None = 0) -> str:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300,
                           env={"PATH": path, "LC_ALL": "C.UTF-8", "HOME": "/root"})  # fmt: skip
    assert code is None or ended.returncode == code, (words, ended.returncode, ended.stdout, ended.stderr)
    return ended.stdout
