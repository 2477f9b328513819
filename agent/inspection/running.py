"""The process and its ports: who supervises it, what it may do, what it uses, whether its lines can be opened."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from agent.config_wires import SerialWire
from agent.inspection.finding import Finding, Subject

MEMORY_MB: Final = 400
FILES_SHARE: Final = 0.8
UNITS: Final = ("/etc/systemd/system/plumeline-agent.service", "/lib/systemd/system/plumeline-agent.service")


def ports(subject: Subject) -> Iterator[Finding]:
    """Serial ports that are not there, may not be opened, or change their number at the next start."""
    for name, bus in subject.config.buses.items():
        if not isinstance(bus.wire, SerialWire):
            continue
        device = Path(bus.wire.device)
        if not device.exists():
            yield Finding("port-missing", {"name": name, "device": device})
        elif subject.daemon is None and not os.access(device, os.R_OK | os.W_OK):
            yield Finding("port-access", {"name": name, "device": device})
        if re.fullmatch(r"/dev/tty(USB|ACM)\d+", bus.wire.device):
            yield Finding("port-number", {"name": name, "device": device})


def _of(process: int, name: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/{name}").read_text(encoding="utf-8", errors="replace")
    return ""


def supervised(subject: Subject) -> Iterator[Finding]:
    """What starts it again, feeds its watchdog and keeps it in bounds."""
    if subject.daemon is None:
        if not any(Path(unit).exists() for unit in UNITS):
            yield Finding("unit-none")
        return
    if ".service" not in _of(subject.daemon, "cgroup"):
        yield Finding("not-supervised", {"process": subject.daemon})
        return
    environment = _of(subject.daemon, "environ")
    if environment and "WATCHDOG_USEC=" not in environment:
        yield Finding("watchdog-none", {"process": subject.daemon})
    if re.search(r"^(NoNewPrivs|Seccomp):\t0", _of(subject.daemon, "status"), re.MULTILINE):
        yield Finding("sandbox-none", {"process": subject.daemon})


def uses(subject: Subject) -> Iterator[Finding]:
    """Memory and open files of the daemon."""
    if subject.daemon is None:
        return
    resident = re.search(r"^VmRSS:\s+(\d+)", _of(subject.daemon, "status"), re.MULTILINE)
    if resident and (used := int(resident[1]) / 1024) > MEMORY_MB:
        yield Finding("memory", {"mb": round(used), "most": MEMORY_MB})
    limit = re.search(r"^Max open files\s+(\d+)", _of(subject.daemon, "limits"), re.MULTILINE)
    with suppress(OSError):
        count = len(os.listdir(f"/proc/{subject.daemon}/fd"))
        if limit and count > FILES_SHARE * int(limit[1]):
            yield Finding("open-files", {"count": count, "limit": limit[1]})


def engine(_: Subject) -> Iterator[Finding]:
    """SQLite as it was built: threads allowed, and which version for whoever asks."""
    options = set(apsw.compile_options)
    if "THREADSAFE=0" in options:
        yield Finding("sqlite-threads", {"version": apsw.sqlite_lib_version()})
    yield Finding("sqlite-told", {"version": apsw.sqlite_lib_version(), "options": len(options)}, note=True)
