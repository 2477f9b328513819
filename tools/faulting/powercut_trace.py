"""System calls of the writer, as strace tells them, turned into what they do to files, and what the writer said."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

CALLS: Final = (
    "openat,close,pwrite64,write,fsync,fdatasync,ftruncate,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,dup"
)
# Beyond the largest write of all; a string that was cut short ends in `...` and is refused below.
STRING_MAX: Final = 1_000_000
WRITER: Final = Path(__file__).with_name("powercut_writer.py")
_LINE: Final = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(.*)$")
_RESULT: Final = re.compile(r"\) += (-?\d+)")
_STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


class TraceError(Exception):
    """The trace cannot be understood."""


class Event(NamedTuple):
    """`what` is one of create, write, truncate, sync, syncdir, unlink, rename, mkdir, said.

    `path` is relative to the store, which is `.` itself; `number` is the offset of a write or the size of a truncate;
    `other` is the new name of a rename.
    """

    what: str
    path: str = ""
    data: bytes = b""
    number: int = 0
    other: str = ""


def record(store: Path, seed: int, commits: int, bug: str = "") -> list[Event]:
    """Run the writer in `store` under strace and give its events. Raises TraceError where it fails."""
    trace = store.with_name(store.name + ".trace")
    there = {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}
    command = ["strace", "-f", "-xx", "-s", str(STRING_MAX), "-o", trace, "-e", f"trace={CALLS}",
               sys.executable, WRITER, store, str(seed), str(commits), *([bug] if bug else [])]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TraceError(done.stderr[-2000:])
    events = list(_Reader(store, there).events(trace))
    trace.unlink()
    return events


def _text(found: "re.Match[str]") -> bytes:
    if found[2]:
        raise TraceError("a string of the trace is cut short")
    return bytes.fromhex(found[1].replace("\\x", ""))


def whole(trace: Path) -> Iterator[tuple[str, str, int]]:
    """(call, its arguments, its result) in the order of their ends; halves of one call are joined."""
    open_halves: dict[str, str] = {}
    with trace.open() as file:
        for line in file:
            found = _LINE.match(line.rstrip("\n"))
            if not found:
                continue
            thread, name, rest = found.groups()
            if rest.endswith("<unfinished ...>"):
                open_halves[thread] = rest.removesuffix("<unfinished ...>")
                continue
            if rest.startswith(" resumed>"):
                rest = open_halves.pop(thread, "") + rest.removeprefix(" resumed>")
            if result := _RESULT.search(rest):
                yield name, rest[: result.start()], int(result[1])


class _Reader:
    """Follows descriptors to names."""

    def __init__(self, store: Path, there: set[str]) -> None:
        self._prefix = str(store)
        self._open: dict[int, str] = {}
        self._at: dict[int, int] = {}
        self._files = there

    def events(self, trace: Path) -> Iterator[Event]:
        for name, arguments, result in whole(trace):
            if result >= 0:
                yield from getattr(self, "_" + name.removesuffix("64"), self._other)(arguments, result)

    def _names(self, arguments: str) -> list[str]:
        """Names below the store among the strings of a call; others are left out."""
        names = [_text(one).decode(errors="replace") for one in _STRING.finditer(arguments)]
        return [one.removeprefix(self._prefix).lstrip("/") or "." for one in names if one.startswith(self._prefix)]

    def _other(self, arguments: str, result: int) -> Iterator[Event]:
        yield from ()

    def _openat(self, arguments: str, result: int) -> Iterator[Event]:
        self._open.pop(result, None)
        for name in self._names(arguments):
            self._open[result], self._at[result] = name, 0
            if "O_CREAT" in arguments and name not in self._files:
                self._files.add(name)
                yield Event("create", name)
            elif "O_TRUNC" in arguments:
                yield Event("truncate", name)

    def _close(self, arguments: str, result: int) -> Iterator[Event]:
        self._open.pop(int(arguments.lstrip("(")), None)
        yield from ()

    def _handle(self, arguments: str) -> tuple[int, str | None]:
        number = int(re.match(r"\((\d+)", arguments)[1])  # type: ignore[index]
        return number, self._open.get(number)

    def _pwrite(self, arguments: str, result: int) -> Iterator[Event]:
        _, name = self._handle(arguments)
        if name is not None and (found := _STRING.search(arguments)):
            offset = int(arguments.rsplit(",", 1)[1])
            yield Event("write", name, _text(found)[:result], offset)

    def _write(self, arguments: str, result: int) -> Iterator[Event]:
        handle, name = self._handle(arguments)
        found = _STRING.search(arguments)
        if found and handle == 1:
            yield Event("said", data=_text(found)[:result])
        elif found and name is not None:
            yield Event("write", name, _text(found)[:result], self._at[handle])
            self._at[handle] += result

    def _fsync(self, arguments: str, result: int) -> Iterator[Event]:
        _, name = self._handle(arguments)
        if name is not None:
            yield Event("sync" if name in self._files else "syncdir", name)

    _fdatasync = _fsync

    def _ftruncate(self, arguments: str, result: int) -> Iterator[Event]:
        _, name = self._handle(arguments)
        if name is not None:
            yield Event("truncate", name, number=int(arguments.rsplit(",", 1)[1]))

    def _unlink(self, arguments: str, result: int) -> Iterator[Event]:
        for name in self._names(arguments):
            self._files.discard(name)
            yield Event("unlink", name)

    _unlinkat = _unlink

    def _rename(self, arguments: str, result: int) -> Iterator[Event]:
        old, new = self._names(arguments)
        self._files.discard(old)
        self._files.add(new)
        yield Event("rename", old, other=new)

    _renameat = _renameat2 = _rename

    def _mkdir(self, arguments: str, result: int) -> Iterator[Event]:
        for name in self._names(arguments):
            yield Event("mkdir", name)

    _mkdirat = _mkdir
