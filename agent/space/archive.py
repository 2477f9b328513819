"""A removable medium with copies of closed days: each verified from the medium itself, by walking it to a signed root.

    MEDIUM/plumeline-archive.json      the medium's own name
    MEDIUM/STATION/log-EEEE-N.db       a day, as it lies in the log
    MEDIUM/STATION/log-EEEE-N.db.json  what proves it: the tree before it, the leaves up to a checkpoint, the checkpoint

It needs no station to be verified, and can be read on a machine of its own.
"""

import json
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from agent.space.proof import Proven, Root, UnprovenError, proven
from agent.store.copying import copy_segment, sha256_of
from agent.store.segment import sync_folder

ABOUT: Final = "plumeline-archive.json"


@dataclass(frozen=True, slots=True)
class Copy:
    """A verified copy."""

    path: Path
    medium: str
    sha256: str
    proven: Proven


def medium_of(folder: Path) -> str:
    """The name of a medium, given at its first use. Raises OSError, and ValueError where the file makes no sense."""
    about = folder / ABOUT
    if about.exists():
        return str(json.loads(about.read_bytes())["medium"])
    folder.mkdir(parents=True, exist_ok=True)
    name = secrets.token_hex(4)
    _write(about, {"v": 1, "medium": name})
    return name


def copied(day: Path, folder: Path, station: str, root: Root, vkeys: Sequence[str]) -> Copy:
    """Copy a closed day to a medium, where it is not there yet, and verify what lies there.

    Raises UnprovenError where the copy is not what was signed: it stays, and is never taken for one. Raises OSError and
    apsw.Error where it cannot be made.
    """
    medium = medium_of(folder)
    target = folder / station / day.name
    note = target.with_name(target.name + ".json")
    if not (target.exists() and note.exists()):
        target.parent.mkdir(exist_ok=True)
        _copy(day, target)
        _write(note, {"v": 1, "station": station, "vkeys": [*vkeys], "sha256": sha256_of(target), **root.fields()})
    return verified(target, medium, vkeys)


def verified(target: Path, medium: str, vkeys: Sequence[str]) -> Copy:
    """Verify a copy by what lies beside it; without `vkeys` by the keys told there. Raises UnprovenError."""
    try:
        note = json.loads(target.with_name(target.name + ".json").read_bytes())
        root, told, sha256 = Root.of(note), [str(one) for one in note["vkeys"]], str(note["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnprovenError(f"{target.name}: what proves it cannot be read: {error}") from error
    _forget(target)
    if sha256_of(target) != sha256:
        raise UnprovenError(f"{target.name}: its bytes are not those that were copied")
    return Copy(target, medium, sha256, proven(target, root, vkeys or told, still=True))


def listed(folder: Path) -> Iterator[Path]:
    """The days on a medium, by station and number."""
    yield from sorted(folder.glob("*/log-*.db"))


def fields(copy: Copy) -> dict[str, Any]:
    """For JSON."""
    return {"file": copy.path.name, "medium": copy.medium, "sha256": copy.sha256, **asdict(copy.proven)}


def _copy(day: Path, target: Path) -> None:
    partial = target.with_name(target.name + ".part")
    partial.unlink(missing_ok=True)
    copy_segment(day, partial)
    partial.replace(target)
    sync_folder(target.parent)


def _forget(path: Path) -> None:
    """Have the next read come from the medium, as far as the system lets us."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def _write(path: Path, document: dict[str, Any]) -> None:
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)
