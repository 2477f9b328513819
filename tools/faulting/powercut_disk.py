"""A disk as a power cut leaves it: what was synced, and of the rest some, in any order, some of it torn.

Harsher than any journalling file system: data of a file is durable with a sync of that file, its name with a sync of
the folder, and neither brings the other.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from powercut_trace import Event

SECTOR: Final = 512
DROP_ALL: Final = 0.3
KEEP: Final = 0.5
TEAR: Final = 0.3
IN_ORDER: Final = 0.5


@dataclass(eq=False)
class Content:
    """Bytes of one file: what is durable, and the writes (offset, bytes) and truncates (size, None) that are not."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        """All of it is durable."""
        for number, data in self.pending:
            put(self.durable, number, data)
        self.pending.clear()


def put(content: bytearray, number: int, data: bytes | None) -> None:
    """Do a write, or a truncate where `data` is None."""
    missing = (number if data is None else number + len(data)) - len(content)
    if missing > 0:
        content.extend(bytes(missing))
    if data is None:
        del content[number:]
    else:
        content[number : number + len(data)] = data


Entries = dict[str, Content]
Change = Callable[[Entries], None]


def _folder(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _removed(name: str) -> Change:
    return lambda entries: entries.pop(name, None) and None


def _named(name: str, content: Content) -> Change:
    def change(entries: Entries) -> None:
        entries[name] = content

    return change


def _renamed(old: str, new: str) -> Change:
    def change(entries: Entries) -> None:
        if old in entries:
            entries[new] = entries.pop(old)

    return change


class Disk:
    """Takes the writer's events one after the other; `cut` gives what a start would find."""

    def __init__(self, files: dict[str, bytes], *, folders_synced: bool = True) -> None:
        """`files` are durable at the start. `folders_synced` False is a disk on which nobody ever synced a folder."""
        self._durable: Entries = {name: Content(bytearray(content)) for name, content in files.items()}
        self._seen = dict(self._durable)
        self._changes: dict[str, list[Change]] = {}
        self._folders_synced = folders_synced

    def take(self, event: Event) -> None:
        """One event of the writer; what it said is not for the disk."""
        if event.what in ("create", "unlink", "rename"):
            self._change(event)
        elif event.what == "write":
            self._seen[event.path].pending.append((event.number, event.data))
        elif event.what == "truncate":
            self._seen[event.path].pending.append((event.number, None))
        elif event.what == "sync":
            self._seen[event.path].sync()
        elif event.what == "syncdir" and self._folders_synced:
            for change in self._changes.pop(event.path, []):
                change(self._durable)

    def _change(self, event: Event) -> None:
        if event.what == "create":
            change = _named(event.path, Content())
        elif event.what == "unlink":
            change = _removed(event.path)
        else:
            change = _renamed(event.path, event.other)
        change(self._seen)
        self._changes.setdefault(_folder(event.path), []).append(change)

    def cut(self, dice: random.Random) -> dict[str, bytes]:
        """Files by name. In 30 % of cuts nothing survives that was not synced."""
        nothing = dice.random() < DROP_ALL
        entries = dict(self._durable)
        for changes in [] if nothing else self._changes.values():
            for change in _some(changes, dice):
                change(entries)
        return {name: self._content(one, dice, nothing) for name, one in entries.items()}

    def _content(self, one: Content, dice: random.Random, nothing: bool) -> bytes:
        if nothing or not one.pending:
            return bytes(one.durable)
        content = bytearray(one.durable)
        for number, data in one.pending:
            if dice.random() < KEEP:
                put(content, number, _torn(number, data, dice))
        return bytes(content)


def _some(changes: list[Change], dice: random.Random) -> list[Change]:
    """The first few, as a journal keeps them, or any."""
    if dice.random() < IN_ORDER:
        return changes[: dice.randint(0, len(changes))]
    return [one for one in changes if dice.random() < KEEP]


def _torn(offset: int, data: bytes | None, dice: random.Random) -> bytes | None:
    if data is None or dice.random() >= TEAR:
        return data
    edges = range(SECTOR - offset % SECTOR, len(data), SECTOR)
    return data[: dice.choice(edges)] if edges else data


def lay(folder: Path, files: dict[str, bytes]) -> None:
    """Write files below a folder that is empty."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
