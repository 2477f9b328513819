"""Which file of a log goes on: the newest that holds what it should. What does not is set aside, whole.

A file is held against three things: SQLite's own checks, the leaf hashes of its newest records, and the witness, which
notices rows that a damaged write-ahead file made vanish.
"""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import apsw

from agent.store.segment import KEPT, Segment, segment_files, segment_numbers, sync_folder
from agent.store.witness import Seen, seen
from host.sqlite import DatabaseRefusedError

VERIFY_RECORDS: Final = 2_000
QUARANTINE: Final = "quarantine"
# A file that a backup puts among the others; a start that finds it begins an epoch, and removes it then.
RESTORED: Final = "restored"
# What was written after the backup may have begun epochs too: theirs must not be given again.
RESTORED_EPOCHS: Final = 100

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file that no longer holds what was committed: why, and which numbers it held, so far as is known.

    `name` is its name in the log, `kept_as` its name in the quarantine, empty where there is nothing to set aside.
    Numbers of `epoch` from `first` on, below `until` (None: not known), were in it.
    """

    name: str
    why: str
    epoch: int
    first: int
    until: int | None
    kept_as: str = ""
    restored: bool = False

    @property
    def detail(self) -> str:
        """For people."""
        return f"{self.name}: {self.why}"


@dataclass(slots=True)
class Opened:
    """`live` is None where an epoch has to begin; `before` then is the newest whole file, for its places."""

    live: Segment | None = None
    before: Segment | None = None
    closed: list[Path] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    epoch_max: int = 0


def open_newest(folder: Path) -> Opened:
    """Open what is there. Raises apsw.BusyError where another program holds the newest file."""
    _finish_quarantine(folder)
    opened = Opened(closed=segment_files(folder))
    witness = seen(folder) or Seen(0, 0)
    aside = [int(path.name.split("-")[1]) for path in (folder / QUARANTINE).glob("log-*.db")]
    opened.epoch_max = max(witness.epoch, *aside, *(segment_numbers(path)[0] for path in opened.closed), 0, 0)
    found = _newest_whole(folder, opened, witness)
    if found is None:
        if witness.epoch and not opened.set_aside:
            opened.set_aside.append(SetAside("log", "no file of it is here", witness.epoch, 0, witness.next_seq))
        return opened
    # A file set aside at an earlier start that did not come to its new epoch: its numbers are given already.
    # What was kept of a file whose raw was removed takes no records either.
    live = not found.path.name.startswith(KEPT)
    if (restored := folder / RESTORED).exists() and not opened.set_aside:
        # Numbers behind it were given by whoever wrote on after the backup, and may be at the centre.
        why = f"restored from {restored.read_text(encoding='utf-8', errors='replace').strip()[:200]}"
        opened.set_aside.append(SetAside(found.path.name, why, found.epoch, found.next_seq, None, restored=True))
        opened.epoch_max += RESTORED_EPOCHS
    whole = not opened.set_aside and found.epoch > max(aside, default=0) and live
    if whole and not _short(found, witness):
        opened.closed.remove(found.path)
        opened.live = found
        return opened
    if whole:
        first = found.next_seq if found.epoch == witness.epoch else 0
        why = f"ends before number {found.next_seq}, but numbers below {witness.next_seq} of epoch {witness.epoch}"
        opened.set_aside.append(
            SetAside(found.path.name, f"{why} were committed", witness.epoch, first, witness.next_seq)
        )
    if not live and not opened.set_aside:
        why = "is the newest file, and holds only what was kept of one"
        opened.set_aside.append(SetAside(found.path.name, why, found.epoch, found.next_seq, None))
    opened.before = found
    return opened


def _short(segment: Segment, witness: Seen) -> bool:
    return (segment.epoch, segment.next_seq) < witness


def _newest_whole(folder: Path, opened: Opened, witness: Seen) -> Segment | None:
    """The newest file that is whole; later ones go to the quarantine, those of no commit at all are removed."""
    epoch, until = witness
    while opened.closed:
        path = opened.closed[-1]
        number, first = segment_numbers(path)
        end = until if number == epoch else 0
        try:
            segment = _whole(path, first, end)
        except (apsw.CorruptError, apsw.NotADBError, DatabaseRefusedError) as error:
            lost = SetAside(path.name, str(error), number, first, end or None)
            opened.set_aside.append(_quarantine(folder, lost))
            epoch, until = number, first
            opened.closed.pop()
            continue
        if segment is not None:
            return segment
        opened.closed.pop().unlink()
    return None


def _whole(path: Path, first: int, end: int) -> Segment | None:
    """The file, opened; None where it holds no commit and none is missed. Raises apsw.CorruptError."""
    unfolded = _size(path.with_name(path.name + "-wal")) > 0
    # Until it is known to be whole, its write-ahead file stays as it is: there lies what can still be salvaged.
    segment = Segment(path, fold=False)
    if not segment.begun:
        segment.close()
        if end > first:
            raise apsw.CorruptError(f"is empty, but numbers from {first} to {end - 1} were committed")
        return None
    if damaged := segment.damaged(VERIFY_RECORDS):
        segment.close()
        raise apsw.CorruptError(f"leaf hashes of {len(damaged)} records do not hold")
    if end > segment.next_seq and unfolded:
        segment.close()
        raise apsw.CorruptError(f"ends before number {segment.next_seq}, but numbers below {end} were committed")
    segment.fold()
    return segment


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _quarantine(folder: Path, lost: SetAside) -> SetAside:
    target = folder / QUARANTINE
    target.mkdir(exist_ok=True)
    stem, times = Path(lost.name).stem, 0
    kept_as = lost.name
    while (target / kept_as).exists():
        times += 1
        kept_as = f"{stem}.{times}.db"
    told = SetAside(lost.name, lost.why, lost.epoch, lost.first, lost.until, kept_as)
    # Told before it is done: a power cut between leaves a file in its place, and a note that is written again.
    write_note(target, told, {})
    for part in folder.glob(lost.name + "*"):
        part.rename(target / (kept_as + part.name.removeprefix(lost.name)))
    sync_folder(target)
    sync_folder(folder)
    logger.error("log: %s goes to the quarantine: %s", lost.name, lost.why)
    return told


def _finish_quarantine(folder: Path) -> None:
    """Bring a file and its write-ahead file together again where a power cut let one of them go to the quarantine.

    Of the two alone neither could give back what both hold. The file salvaged from them later takes the old name.
    """
    for path in sorted((folder / QUARANTINE).glob("log-*.db.json")):
        kept_as = path.name.removesuffix(".json")
        name = kept_as.partition(".")[0] + ".db"
        for suffix, other in (("", "-wal"), ("-wal", "")):
            left, gone = folder / (name + suffix), folder / QUARANTINE / (kept_as + other)
            there = folder / QUARANTINE / (kept_as + suffix)
            if left.exists() and gone.exists() and not there.exists() and not (folder / (name + other)).exists():
                left.rename(there)
                sync_folder(folder / QUARANTINE)
                sync_folder(folder)


def write_note(quarantine: Path, lost: SetAside, found: Mapping[str, Any]) -> None:
    """Keep what is known of a file set aside, and what was `found` in it, durably beside it."""
    path = quarantine / f"{lost.kept_as}.json"
    partial = path.with_suffix(".part")
    with partial.open("w", encoding="utf-8") as file:
        json.dump({**asdict(lost), **found}, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(quarantine)


def unsalvaged(folder: Path) -> list[SetAside]:
    """Files in the quarantine of which no salvage is noted yet, oldest first; notes of no use are made again."""
    found = []
    for path in sorted((folder / QUARANTINE).glob("log-*.db")):
        stem, epoch, first = path.stem.partition(".")[0].split("-")
        lost = SetAside(f"{stem}-{epoch}-{first}.db", "set aside", int(epoch), int(first), None, path.name)
        try:
            note = json.loads(path.with_name(path.name + ".json").read_bytes())
            if "kept" in note:
                continue
            lost = SetAside(lost.name, str(note["why"]), lost.epoch, lost.first, note["until"], path.name)
        except (FileNotFoundError, ValueError, KeyError):
            logger.warning("log: %s: what is known of it cannot be read", path.name)
        found.append(lost)
    return found
