"""Configuration files as a person, or a broken disk, left them.

What must hold: a file is loaded or refused with problems, never another exception; each problem names a line and a
column inside the file, a code, and what to write, in both languages; a file that was loaded loads again to the same.

Most bytes are read without a file, every eighth input by one. Whatever was loaded is checked as `check` does it; every
fourth of these is loaded again from a file and from its own values. Their check sums choose which.
"""

import json
import os
import random
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import hjson
from hjson_text import written
from json_tree import damaged
from must import need

from agent.checks.check import check_file
from agent.config import Config
from host import hjson as strict
from host.problems import ConfigErrors

ROOT: Final = Path(__file__).resolve().parent.parent.parent
# In memory, so that nothing is left behind.
FILE: Final = Path(f"/proc/self/fd/{os.memfd_create('plumeline-fuzz')}")
NAME: Final = str(FILE)
# One input in so many goes by a file; one loaded in so many is loaded again.
FILED: Final = 8
AGAIN: Final = 4
# Short; and shorter yet for the many inputs that have no room for all of it.
BARE: Final = """{
  station: {
    id: "a", network: "n", name_zh: "塔", name_en: "T"  # a tower
    position: { latitude: 31, longitude: 121, height_m: 3, datum: "WGS-84" }
  }
  store: { path: "/x" }
  ledger: { key: { file: "k" } }
  buses: { b: { wire: { kind: "serial", device: "/dev/t", baud: 9600 }, protocol: "text" } }
  instruments: { i: { driver: "vaisala_wxt5xx", bus: "b", unit: 0, poll_s: 1, kind: "research", rule: "ghg" } }
  socket: /x
}
"""
BARE_TREE: Final = json.dumps(hjson.loads(BARE))
SHORT_TREE: Final = json.dumps({**json.loads(BARE_TREE), "buses": {}, "instruments": {}})
LONG: Final = 600
# One damaged file in so many is cut short as well.
CUT: Final = 8
SIGNS: Final = re.compile(rb"[][{}:,\"'*\n]")
# What was made of inputs lately, so that the next damage need not read them.
TREES_MAX: Final = 2048
_trees: dict[bytes, str | None] = {}
NOW: Final = datetime(2026, 5, 1, tzinfo=UTC)
PIECES: Final = (
    '{ a: 1, b: [1, "x", true, null], c: { d: word of text\n } /* c */ // d\n }',
    "{ text: '''\n  more\n  lines\n  ''' }",
    '{ uplinks: { up: { kind: "mqtt", host: "127.0.0.1", port: 1883 } } }',
    "a: 1\na: 2\nb: 1 # c\n",
)
WORDS: Final = (
    b"{", b"}", b"[", b"]", b":", b",", b"\n", b"#", b"//", b"/*", b"*/", b"'''", b'"', b"'", b"\\u0000", b"\\", b"\t",
    b"\xef\xbb\xbf", b"\xff", b"\xc2\xa0", "中".encode(), b"true", b"null", b"1e999", b"-", b"0x10", b"buses", b"id",
)  # fmt: skip


def _loaded(data: bytes, lang: Any, filed: bool) -> Config | None:
    try:
        if filed:
            FILE.write_bytes(data)
            return strict.load(FILE, Config, lang)
        return strict.fitted(*strict.parsed(NAME, data, lang), Config)
    except ConfigErrors as errors:
        need(0 < len(errors.problems) < 5000, "refused without a problem")
        widths = [len(line) for line in data.decode("utf-8-sig", "replace").split("\n")]
        for one in errors.problems:
            need(1 <= one.line <= len(widths), f"line {one.line} of {len(widths)}")
            need(1 <= one.column <= widths[one.line - 1] + 2, f"column {one.column} of {widths[one.line - 1]}")
            need(bool(one.code) and one.severity == "error", "a problem without a code")
            need(len(str(one)) < 3000, "a problem longer than can be read")
        return None


def one_input(data: bytes) -> None:
    """The target: one input of the fuzzer; its first byte chooses the language."""
    if not data:
        return
    lang, chosen = "zh" if data[0] & 1 else "en", crc32(data)
    config = _loaded(data[1:], lang, filed=chosen % FILED == 0)
    if config is None:
        return
    FILE.write_bytes(data[1:])
    for one in check_file(FILE, now=NOW).problems:
        need(bool(one.what) and bool(one.remedy), "a problem without words")
    if chosen // FILED % AGAIN == 0:
        need(_loaded(data[1:], lang, filed=True) == config, "another configuration when it is read from a file")
        again = _loaded(json.dumps(config.model_dump(mode="json"), ensure_ascii=False).encode(), "en", filed=False)
        need(again == config, "another configuration when it is written and read again")


def seeds() -> list[bytes]:
    """The first inputs of this target."""
    blocks = [path.read_bytes() for path in sorted((ROOT / "config" / "blocks").glob("*.hjson"))]
    texts = [
        BARE.encode(),
        written(json.loads(SHORT_TREE)).encode(),
        *(piece.encode() for piece in PIECES),
        *(one for one in blocks if len(one) < 2500),
    ]
    return [bytes((number & 1,)) + text for number, text in enumerate(texts)]


def _tree(data: bytes) -> str | None:
    """What can be read of an input, as JSON; None where it cannot."""
    if data not in _trees:
        try:
            tree = hjson.loads(data.decode())
            _keep(data, json.dumps(tree) if isinstance(tree, dict) else None)
        except (ValueError, RecursionError, IndexError, OverflowError):  # the last two by the library, which we catch
            _keep(data, None)
    return _trees[data]


def _keep(data: bytes, tree: str | None) -> None:
    if len(_trees) >= TREES_MAX:
        _trees.clear()
    _trees[data] = tree


def inside(data: bytes, room: int, seed: int, mutate: Any) -> bytes:
    """Damage keys and values of what can be read; it mostly can be read again, and the shapes are what refuses it."""
    rng = random.Random(seed)
    tree = _tree(data[1:]) if rng.randrange(4) else None
    if tree is None:
        tree = SHORT_TREE if room < LONG or rng.randrange(2) else BARE_TREE
    made = damaged(json.loads(tree), rng)
    found = written(made).encode("utf-8", "replace") if rng.randrange(2) else b""
    if not 0 < len(found) < room:
        found = json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    if not rng.randrange(CUT):
        # As a disk leaves a file: often behind a sign that opens or divides.
        places = [at.end() for at in SIGNS.finditer(found)] if rng.randrange(2) else []
        found = found[: rng.choice(places) if places else rng.randrange(len(found) + 1)]
    elif len(found) < room and isinstance(made, dict):
        _keep(found, json.dumps(made))
    return (data[:1] or b"\0") + found[: room - 1]
