"""Bugs planted to prove that the fuzzer finds such: each is one change of the source, in a copy of the packages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PACKAGES: Final = (
    "agent", "calibration", "central", "config", "drivers", "firmware_bridge", "host", "inversion", "metrology",
    "protocols", "web",
)  # fmt: skip


@dataclass(frozen=True)
class Bug:
    """`before` stands once in the file; `after` is the mistake."""

    target: str
    what: str
    file: str
    before: str
    after: str


@contextmanager
def planted(bug: Bug, place: Path) -> Iterator[Path]:
    """A folder under `place` with the packages as they are, but for the bug."""
    root = place / "root"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = root / bug.file
    text = path.read_text(encoding="utf-8")
    if text.count(bug.before) != 1:
        raise ValueError(f"{bug.file} has {text.count(bug.before)} times: {bug.before}")
    path.write_text(text.replace(bug.before, bug.after), encoding="utf-8")
    yield root
    shutil.rmtree(root)
