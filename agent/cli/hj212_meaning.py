"""What a frame says, in words of both languages, from the tables of HJ 212; the passwords of a reader's view masked."""

import dataclasses
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from agent.cli.words import say
from host.problems import Lang
from host.table import table
from protocols.hj212 import Edition, Frame, FrameError, Message
from protocols.hj212.commands import Command, Direction, commands
from protocols.hj212.message import REPLY_ST
from protocols.hj212.tables.lookup import explain
from protocols.hj212.times import parse_time
from protocols.tlog import NoteError
from protocols.tlog_carried import read_carried

MASK: Final = "******"
SECRETS: Final = frozenset({"PW", "NewPW", "NewSK"})
RAW_SHOWN_MAX: Final = 160
# Codes come from the wire: not all that ever came are kept.
KNOWN_MAX: Final = 4096
LANGS: Final[tuple[Lang, Lang]] = ("en", "zh")
_SECRET: Final = re.compile(r"\b(PW|NewPW|NewSK)=[^;,&]*")
_CODED: Final = frozenset({"Flag", "QnRtn", "ExeRtn"})


@dataclasses.dataclass(frozen=True, slots=True)
class Meaning:
    """What one code of a frame means; `kind` is what sort of code it is, `unit` is empty where it has none."""

    kind: str
    code: str
    en: str
    zh: str
    unit: str = ""


def edition_of(message: Message) -> Edition:
    """The edition a message says it is written in; that of 2017 for version bits nobody has."""
    return Edition.of_version(message.version) or Edition.HJ2017


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """A message with the row of the command table it belongs to, and what that row has against it."""

    message: Message
    edition: Edition
    command: Command | None
    problem: str | None

    @property
    def findings(self) -> list[str]:
        """What the table of commands has against it, CN included."""
        if self.command is None:
            return [f"CN {self.message.cn} is in no table of the edition {self.edition.value}"]
        return [self.problem] if self.problem else []


def judged(message: Message) -> Judged:
    """Hold a message against the table: of the two directions of its CN the one it fits."""
    edition = edition_of(message)
    known = commands(edition)
    # Both ends may write a 9011, one of them hardly ever: it is a station that answers a request so.
    ways: tuple[Direction, ...] = (
        ("to_platform", "to_station") if message.cn == "9011" else ("to_station", "to_platform")
    )
    both = [row for way in ways if (row := known.get((message.cn, way)))]
    problems = []
    for row in both:
        problems.append(row.problem(message))
        if problems[-1] is None:
            return Judged(message, edition, row, None)
    if not both:
        return Judged(message, edition, None, None)
    named = any("-" in name or name == "DataTime" for item in message.area for name, _ in item)
    at = -1 if named else 0
    return Judged(message, edition, both[at], problems[at])


@lru_cache(KNOWN_MAX)
def _meaning(code: str, kinds: tuple[str, ...], edition: Edition | None) -> Meaning | None:
    entries = [entry for entry in explain(code, edition) if entry.kind in kinds]
    if not entries:
        return None
    entry = entries[0]
    return Meaning(entry.kind, code, entry.name_en, entry.name_zh, entry.unit)


def _names(message: Message) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Codes of a data area in their order, with the kinds of table each may stand in."""
    for name, value in (pair for item in message.area for pair in item):
        head, dash, tail = name.partition("-")
        yield head, ("pollutant", "process", "info") if dash else ("field",)
        if tail == "Flag":
            yield value, ("flag",)
        if head in ("PolId", "InfoId"):
            yield value, ("pollutant", "process", "info")
        if head in _CODED:
            yield f"{head}={value}", ("return_code",)


def meanings(one: Judged) -> list[Meaning]:
    """Meanings of the command, the system type and every code of the data area that a table knows, each once."""
    message, command = one.message, one.command
    found = [Meaning("command", message.cn, command.name_en, command.name_zh)] if command else []
    wanted = dict.fromkeys([(message.st, ("system_type",)), *_names(message)])
    found += [means for item in message.area for name, value in item if (means := _checkpoint(name, value))]
    return found + [means for code, kinds in wanted if (means := _meaning(code, kinds, one.edition))]


def _checkpoint(name: str, value: str) -> Meaning | None:
    """What a signed checkpoint in a log line says; None for any other value."""
    try:
        found = read_carried(value) if name.endswith("-Info") else None
    except NoteError:
        return None
    if found is None:
        return None
    root, key = found.root.hex()[:16], found.signature[:4].hex()
    en = f"signed checkpoint: the first {found.size} records of {found.origin}, root {root}..., key {key}"
    zh = f"签名检查点：{found.origin} 的前 {found.size} 条记录，根 {root}...，密钥 {key}"
    return Meaning("checkpoint", value, en, zh)


def notes(frame: Frame) -> list[str]:
    """Names of remarks that are no departure from the standard (`say.hj212.note.*` has the sentences)."""
    message = frame.message
    found = []
    _, _, data = frame.raw.partition(b"CP=&&")
    if frame.cp and not data.lstrip().startswith(frame.cp[0][0][0].encode()):
        found.append("encrypted")
    elif any(blank in frame.raw.rstrip() for blank in (b" ", b"\t", b"\r", b"\n")):
        found.append("blanks")
    if message.qn and not _is_time(message.qn[:14]):
        found.append("qn")
    if Edition.of_version(message.version) is None:
        found.append("version")
    return found


def _is_time(text: str) -> bool:
    try:
        parse_time(text)
    except ValueError:
        return False
    return True


def told(one: Frame | FrameError) -> dict[str, Any]:
    """All of it as data (`plumeline hj212 decode --json`). The bytes are there as they came, the password with them."""
    answer = {"ok": isinstance(one, Frame), "raw": one.raw.decode("latin-1"), "offset": one.offset, "reason": None,
              "fields": {}, "cp": [], "deviations": []}  # fmt: skip
    if isinstance(one, FrameError):
        return answer | {"reason": one.reason, "detail": one.detail, "meanings": _named("frame_error", [one.reason]),
                         "notes": _sentences(_hints(one))}  # fmt: skip
    held = judged(one.message)
    return answer | {
        "fields": one.fields,
        "cp": one.cp,
        "deviations": one.deviations,
        "edition": held.edition.value,
        "direction": held.command.direction if held.command else None,
        "meanings": [dataclasses.asdict(means) for means in meanings(held)] + _named("leniency", one.deviations),
        "findings": held.findings,
        "notes": _sentences(notes(one)),
    }


def _hints(error: FrameError) -> list[str]:
    """Remarks about what is no frame."""
    ciphered = error.reason == "crc" and not error.raw.rstrip(b"\r\n").isascii()
    return ["crc"] if ciphered else []


def _sentences(names: Iterable[str]) -> list[dict[str, str]]:
    return [{lang: say(f"hj212.note.{name}", lang) for lang in LANGS} for name in names]


def _named(kind: str, names: Iterable[str]) -> list[dict[str, str]]:
    """Meanings of names of ours."""
    return [dataclasses.asdict(one) for name in names if (one := _meaning(name, (kind,), None))]


def masked(name: str, value: str) -> str:
    """A value as it may be shown."""
    return MASK if name in SECRETS else value


class Reader:
    """A frame as a technician reads it."""

    def __init__(self, lang: Lang) -> None:
        self._lang = lang

    def frame(self, one: Frame | FrameError) -> str:
        """Some lines about a frame, or about what is none."""
        if isinstance(one, FrameError):
            why = self._name(_meaning(one.reason, ("frame_error",), None))
            raw = _SECRET.sub(rf"\1={MASK}", one.raw.decode("latin-1"))[:RAW_SHOWN_MAX]
            shown = "".join(sign if sign.isprintable() else "." for sign in raw)
            refused = self._say("refused", offset=one.offset, why=why, detail=one.detail or "-", raw=shown)
            return "\n".join([refused, *(f"  i {self._say(f'note.{name}')}" for name in _hints(one))])
        held = judged(one.message)
        taken = self._say("taken", offset=one.offset, size=len(one.raw), title=self._title(held))
        return "\n".join([taken, *(f"  {text}" for text in self._body(one, held))])

    def _title(self, held: Judged) -> str:
        """Command, direction and edition in a line."""
        message, command = held.message, held.command
        if command is None:
            return f"{message.cn} ?"
        name = command.name_en if self._lang == "en" else command.name_zh
        way = self._say("both-ways" if message.st == REPLY_ST else command.direction)
        return f"{message.cn} {name} ({way}, {held.edition.value})"

    def _body(self, one: Frame, held: Judged) -> Iterator[str]:
        yield " ".join(f"{name}={masked(name, value)}" for name, value in one.fields.items())
        yield from self._rows(held).splitlines()
        for name in one.deviations:
            yield f"! {name}: {self._name(_meaning(name, ('leniency',), None))}"
        yield from (f"i {self._say(f'note.{name}')}" for name in notes(one))
        yield from (f"? {finding}" for finding in held.findings)

    def _rows(self, held: Judged) -> str:
        message, known = held.message, {means.code: means for means in meanings(held)}
        rows = [("ST", message.st, "", self._name(known.get(message.st)))]
        for name, value in (pair for item in message.area for pair in item):
            head, _, tail = name.partition("-")
            means = known.get(head)
            coded = (
                known.get(value)
                if tail in ("Flag", "Info") or head in ("PolId", "InfoId")
                else known.get(f"{head}={value}")
            )
            unit = means.unit if means and tail not in ("Flag", "EFlag") and means.unit != "1" else ""
            words = self._name(coded) or self._name(means)
            rows.append((name, masked(name, value), unit, words))
        return table([self._say(word) for word in ("name", "value", "unit", "meaning")], rows, (1,))

    def _name(self, meaning: Meaning | None) -> str:
        return "" if meaning is None else meaning.en if self._lang == "en" else meaning.zh

    def _say(self, name: str, **values: object) -> str:
        return say(f"hj212.{name}", self._lang, **values)
