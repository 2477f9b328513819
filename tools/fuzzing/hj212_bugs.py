"""Bugs planted to prove that the fuzzer finds such: each is one change of the source, made in a copy of the package."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Bug:
    """`before` stands once in the file; `after` is the mistake."""

    target: str
    what: str
    file: str
    before: str
    after: str


BUGS: Final = {
    "raise": Bug(
        "decoder",
        "an exception gets out where a header is no ASCII",
        "segment.py",
        'except UnicodeDecodeError:\n        raise RefusedError("header"',
        'except UnicodeEncodeError:\n        raise RefusedError("header"',
    ),
    "twice": Bug(
        "sessions",
        "an upload that was accepted before is handed over again",
        "platform.py",
        'if _mark(message) in self._done:\n            return self._reply(message, "9014")',
        'if None in self._done:\n            return self._reply(message, "9014")',
    ),
    "bound": Bug(
        "decoder",
        "one byte more than the bound of a segment",
        "candidate.py",
        "if size > SEGMENT_MAX:",
        "if size > SEGMENT_MAX + 1:",
    ),
    "resync": Bug(
        "decoder",
        "a byte is dropped where reading goes on behind an error",
        "decoder.py",
        "at = one.offset - base + len(one.raw)",
        "at = one.offset - base + len(one.raw) + (isinstance(one, FrameError) and one.reason == 'crc')",
    ),
    "rubbish": Bug(
        "decoder",
        "a list of rubbish that is never emptied",
        "decoder.py",
        "found.append(one)",
        "found.append(one)\n"
        "                if isinstance(one, FrameError):\n"
        "                    self.__dict__.setdefault('_seen', []).append(one)",
    ),
}


@contextmanager
def planted(bug: Bug, place: Path) -> Iterator[Path]:
    """A folder under `place` with the packages as they are, but for the bug."""
    root = place / "root"
    for name in ("protocols", "metrology"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = root / "protocols" / "hj212" / bug.file
    text = path.read_text(encoding="utf-8")
    if text.count(bug.before) != 1:
        raise ValueError(f"{bug.file} has {text.count(bug.before)} times: {bug.before}")
    path.write_text(text.replace(bug.before, bug.after), encoding="utf-8")
    yield root
    shutil.rmtree(root)
