"""Versions of the software side by side, and which one is in use: folders, one symbolic link, one small state.

In the folder of the installation `versions/{version}` is an environment each, `current` a link to the one in use (`bin`
and `share` lead through it), `guard` one to the version that judges it, `update.json` the last update: where it came
from, whether it is on trial.
"""

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from agent.update.manifest import order
from protocols.tlog import NoteError

ROOT: Final = Path("/opt/plumeline")
# trial: in use, not yet believed. kept: it stood the trial. rolled-back: the one before is in use again.
Phase = Literal["trial", "kept", "rolled-back"]
_WHOLE: Final = ".whole"
KEPT: Final = 3


@dataclass(frozen=True, slots=True)
class Update:
    """The last update: `passes` looks of the guard so far, `good` in a row of one `run` with `records` written.

    `store` is the station's folder, where its daemon says how it fares.
    """

    id: str
    version: str
    former: str | None
    manifest: str
    who: str
    store: str
    phase: Phase = "trial"
    reason: str = ""
    passes: int = 0
    good: int = 0
    run: str = ""
    records: int = 0


class Versions:
    """An installation. Whoever changes it is root; everybody may look."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, version: str) -> Path:
        """Where a version lies or would."""
        return self.root / "versions" / version

    def names(self) -> list[str]:
        """Versions that are whole, oldest first."""
        found = [one.parent.name for one in (self.root / "versions").glob(f"*/{_WHOLE}")]
        return sorted((one for one in found if _is_version(one)), key=order)

    def current(self) -> str | None:
        """The version in use."""
        try:
            return os.path.basename(os.readlink(self.root / "current"))
        except OSError:
            return None

    def begin(self, version: str) -> Path:
        """A folder for a version; what an interrupted installation left of it goes. Raises FileExistsError."""
        folder = self.folder(version)
        if version == self.current() or (folder / _WHOLE).exists():
            raise FileExistsError(f"{version} is installed")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def whole(self, version: str) -> None:
        """Everything of a version lies there; the caller has synced it."""
        _write(self.folder(version) / _WHOLE, "")

    def use(self, version: str) -> None:
        """Have a version be the one in use, from one instant to the next; the one before it judges it."""
        if (former := self.current()) is not None:
            self.whole(former)
        # What is on trial may be too broken to judge anything.
        self._link("guard", f"versions/{former or version}")
        self._link("current", f"versions/{version}")
        for name in ("bin", "share"):
            self._link(name, f"current/{name}")
        _sync(self.root)

    def _link(self, name: str, target: str) -> None:
        link = self.root / f".{name}"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        os.replace(link, self.root / name)

    def update(self) -> Update | None:
        """The last update; None before the first, or where its state makes no sense."""
        try:
            fields: dict[str, Any] = json.loads((self.root / "update.json").read_text(encoding="utf-8"))
            return Update(**fields)
        except (OSError, ValueError, TypeError):
            return None

    def note(self, update: Update) -> None:
        """Keep the state of the last update, durably."""
        _write(self.root / "update.json", json.dumps(asdict(update), ensure_ascii=False) + "\n")

    def roll_back(self, reason: str) -> Update:
        """Have the version before the last update be in use again. Raises LookupError where there is none."""
        last = self.update()
        if last is None or last.former is None or last.former not in self.names():
            raise LookupError("there is no former version")
        if last.phase == "rolled-back":
            raise LookupError(f"{last.former} is in use again already")
        self.use(last.former)
        self._link("guard", f"versions/{last.former}")
        done = replace(last, phase="rolled-back", reason=reason)
        self.note(done)
        return done

    def tidy(self) -> list[str]:
        """Remove versions beyond the newest three; never the one in use or the one before. Gives those removed."""
        last = self.update()
        needed = {self.current(), last.former if last else None, last.version if last else None}
        needed.add(os.path.basename(os.readlink(self.root / "guard")))
        gone = [one for one in self.names()[:-KEPT] if one not in needed]
        for one in gone:
            shutil.rmtree(self.folder(one))
        return gone


def of_this_program() -> Versions | None:
    """The installation this program runs from, None where it is no versioned one."""
    folder = Path(sys.prefix)
    return Versions(folder.parent.parent) if folder.parent.name == "versions" else None


def _is_version(name: str) -> bool:
    try:
        order(name)
    except NoteError:
        return False
    return True


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), 0o644)
    os.replace(part, path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
