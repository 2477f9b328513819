"""`plumeline verify`: a log walked against its own ledger, of a running daemon, a stopped station or a copy."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from agent.config import Config
from agent.history.daemon import DaemonSource
from agent.history.opened import own_vkey
from agent.ledger.chain import first_key, rotations_of_daemon, rotations_of_files
from agent.ledger.places import rows_of_daemon, rows_of_files
from agent.ledger.walk import Finding, Row, Walk
from host.control import RequestError
from host.hjson import load
from host.problems import ConfigErrors, Sentences
from protocols.tlog import NoteError

# More of one kind are counted, not printed: one forged key makes a finding of every checkpoint.
SHOWN_MAX: Final = 100
PROGRESS_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """What is walked; `vkey` is the key the place itself tells, `rotations` the changes of it."""

    name: str
    rows: Iterable[Row | Finding]
    rotations: Sequence[Mapping[str, Any]]
    vkey: str | None = None


def verify(line: argparse.Namespace) -> int:
    """Print findings; 1 where there are any that the log does not tell of itself, 2 where nothing can be read."""
    said = Sentences("agent.ledger", "findings.toml")
    try:
        place = _place(line)
        keys = line.vkey or ([place.vkey] if place.vkey else [])
        # Whichever key of a chain is given, the walk begins with its first and follows.
        walk = Walk(dict.fromkeys(first_key(place.rotations, one) for one in keys), line.witness_vkey)
        teller = _Teller(line, said)
        for finding in _walked(walk, _shown_progress(place.rows)):
            teller.take(finding)
    except apsw.BusyError:
        print(said.word("busy", line.lang), file=sys.stderr)
        return 2
    except (ConfigErrors, LookupError, NoteError, RequestError, OSError, apsw.Error) as error:
        print(error, file=sys.stderr)
        return 2
    key = "given" if line.vkey else "own" if keys else "keyless"
    teller.end(place, walk, key)
    return int(teller.wrong > 0)


def _place(line: argparse.Namespace) -> Place:
    """Raises ConfigErrors, LookupError, RequestError."""
    if line.place is None:
        return _daemon(line.socket)
    path = Path(line.place)
    if path.is_dir():
        return _files(line.place, path / "segments" if (path / "segments").is_dir() else path)
    config = load(line.place, Config, line.lang)
    try:
        return _daemon(config.socket)
    except RequestError:
        return _files(line.place, Path(config.store.path) / "segments", own_vkey(config))


def _files(name: str, folder: Path, vkey: str | None = None) -> Place:
    return Place(name, rows_of_files(folder), rotations_of_files(folder), vkey)


def _daemon(socket: str) -> Place:
    source = DaemonSource(socket)
    return Place(socket, rows_of_daemon(source), rotations_of_daemon(source), source.vkey())


def _walked(walk: Walk, rows: Iterable[Row | Finding]) -> Iterator[Finding]:
    for row in rows:
        if isinstance(row, Finding):
            yield row
        else:
            yield from walk.take(row)
    yield from walk.end()


def _shown_progress(rows: Iterable[Row | Finding]) -> Iterator[Row | Finding]:
    """The same rows; on a terminal, how many there were so far."""
    shown = time.monotonic() if sys.stderr.isatty() else None
    for count, row in enumerate(rows):
        if shown is not None and count % 1000 == 0 and time.monotonic() - shown > PROGRESS_S:
            shown = time.monotonic()
            print(f"\r{count:,}", end="", file=sys.stderr, flush=True)
        yield row
    if shown is not None:
        print("\r\033[K", end="", file=sys.stderr)


class _Teller:
    """Says findings as they come, or keeps them for the JSON."""

    def __init__(self, line: argparse.Namespace, said: Sentences) -> None:
        self._line, self._said = line, said
        self._kept: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.wrong = 0

    def take(self, finding: Finding) -> None:
        """One more."""
        self.counts[finding.what] += 1
        self.wrong += not finding.told
        if self.counts[finding.what] > SHOWN_MAX:
            return
        what, remedy = self._said.say(
            finding.what, self._line.lang, epoch=finding.epoch, seq=finding.seq, detail=finding.detail
        )
        if self._line.json:
            self._kept.append({**asdict(finding), "text": what, "remedy": remedy})
        else:
            told = f" ({self._said.word('told', self._line.lang)})" if finding.told else ""
            print(f"{finding.what}: {what}{told}{'。' if self._line.lang == 'zh' else '. '}{remedy}")

    def end(self, place: Place, walk: Walk, key: str) -> None:
        """The sum."""
        newest = walk.newest
        if self._line.json:
            head = {"origin": newest.origin, "size": newest.size, "root": newest.root.hex()} if newest else None
            document = {
                "place": place.name, "key": key, "first": walk.first, "last": walk.last, "counts": dict(walk.counts),
                "newest": head, "keys": walk.keys, "witnesses": walk.witnesses,
                "findings": self._kept, "by_kind": dict(self.counts), "wrong": self.wrong,
            }  # fmt: skip
            print(json.dumps(document, ensure_ascii=False))
            return
        for words in self._words(walk, key):
            print(words)

    def _words(self, walk: Walk, key: str) -> Iterator[str]:
        lang, counts = self._line.lang, walk.counts
        yield (self._said.word("sum", lang) or "").format(
            **{name: counts[name] for name in ("records", "epochs", "checkpoints", "cosignatures", "open")},
            first=walk.first, last=walk.last, believed=counts["cosignatures-believed"],
        )  # fmt: skip
        if key != "given":
            yield self._said.word(key, lang) or ""
        if len(walk.keys) > 1:
            yield (self._said.word("chain", lang) or "").format(count=len(walk.keys) - 1, vkey=walk.keys[0])
        if walk.witnesses:
            all_of = min(walk.witnesses.values())
            yield (self._said.word("witnesses", lang) or "").format(
                count=len(walk.witnesses), names=", ".join(walk.witnesses), epoch=all_of[0], size=all_of[1]
            )
        yield (self._said.word("wrong" if self.wrong else "well", lang) or "").format(count=self.wrong)
