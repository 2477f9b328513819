"""What runs here: by whom, with which foreign code, and what lies about when it crashes."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from agent.inspection.finding import Finding, Subject
from drivers.tables import is_own

OURS: Final = "plumeline"
GROUP: Final = "plumeline.drivers"
# What a reader of foreign files must have: fixes to the SQL engine of 2025 (CVE-2025-6965).
SQLITE_LEAST: Final = (3, 50, 2)


def core_dumps(subject: Subject) -> Iterator[Finding]:
    """The memory of a daemon holds keys."""
    if subject.daemon is None:
        return
    with suppress(OSError):
        limits = Path(f"/proc/{subject.daemon}/limits").read_text(encoding="ascii")
        found = re.search(r"^Max core file size\s+(\S+)", limits, re.MULTILINE)
        if found and found[1] != "0":
            yield Finding("core-dumps", {"process": subject.daemon})


def privileged(subject: Subject) -> Iterator[Finding]:
    """Nothing a station does needs root."""
    with suppress(OSError):
        if subject.daemon is not None and os.stat(f"/proc/{subject.daemon}").st_uid == 0:
            yield Finding("runs-as-root", {"process": subject.daemon})


def sqlite(_: Subject) -> Iterator[Finding]:
    """The engine that reads the log."""
    import apsw

    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < SQLITE_LEAST:
        least = ".".join(map(str, SQLITE_LEAST))
        yield Finding("sqlite-old", {"version": apsw.sqlite_lib_version(), "least": least})


def drivers(subject: Subject) -> Iterator[Finding]:
    """Code that is not ours, and tables anybody may change."""
    for point in entry_points(group=GROUP):
        dist = point.dist
        if dist is not None and dist.name.lower() != OURS:
            used = any(one.driver == point.name for one in subject.config.instruments.values())
            code = "driver-foreign-used" if used else "driver-foreign"
            yield Finding(code, {"name": point.name, "package": dist.name, "version": dist.version}, note=True)
    for name, one in subject.config.instruments.items():
        if is_own(one.driver):
            with suppress(OSError):
                if Path(one.driver).stat().st_mode & 0o022:
                    yield Finding("map-mode", {"name": name, "path": one.driver})
