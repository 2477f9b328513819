"""Configuration files as a person, or a broken disk, left them.

What must hold: a file is loaded or refused with problems, never another exception; each problem names a line and a
column inside the file, a code, and what to write, in both languages; a file that was loaded loads again to the same.
"""

import json
import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import hjson
from json_tree import damaged
from must import need

from agent.checks.check import check_file
from agent.config import Config
from host import hjson as strict
from host.problems import ConfigErrors

ROOT: Final = Path(__file__).resolve().parent.parent.parent
MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None
FILE: Final = Path(tempfile.mkdtemp(prefix="plumeline-fuzz-", dir=MEMORY)) / "c"
BARE: Final = """{
  station: {
    id: "tower-01", network: "n", name_zh: "塔", name_en: "Tower"  # a tower
    position: { latitude: 31.2, longitude: 121.4, height_m: 30, datum: "WGS-84" }
  }
  store: { path: "/var/lib/x", commit_ms: 50 }
  ledger: { key: { file: "key" }, checkpoint_s: 300 }
  buses: { line: { wire: { kind: "serial", device: "/dev/ttyS0", baud: 9600 }, protocol: "text" } }
  instruments: {
    air: { driver: "vaisala_wxt5xx", bus: "line", unit: 0, poll_s: 1, kind: "research", rule: "ghg" }
  }
  socket: /run/x
}
"""
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


def _loaded(data: bytes, lang: Any) -> Config | None:
    FILE.write_bytes(data)
    try:
        return strict.load(FILE, Config, lang)
    except ConfigErrors as errors:
        need(0 < len(errors.problems) < 5000, "refused without a problem")
        lines = data.decode("utf-8-sig", "replace").split("\n")
        for one in errors.problems:
            need(1 <= one.line <= len(lines), f"line {one.line} of {len(lines)}")
            need(1 <= one.column <= len(lines[one.line - 1]) + 2, f"column {one.column} of {len(lines[one.line - 1])}")
            need(bool(one.code) and one.severity == "error", "a problem without a code")
            need(len(str(one)) < 3000, "a problem longer than can be read")
        return None


def one_input(data: bytes) -> None:
    """The target: one input of the fuzzer; its first byte chooses the language."""
    if not data:
        return
    config = _loaded(data[1:], "zh" if data[0] & 1 else "en")
    if config is not None:
        for one in check_file(FILE, now=NOW).problems:
            need(bool(one.what) and bool(one.remedy), "a problem without words")
        again = _loaded(json.dumps(config.model_dump(mode="json"), ensure_ascii=False).encode(), "en")
        need(again == config, "another configuration when it is written and read again")


def seeds() -> list[bytes]:
    """The first inputs of this target."""
    blocks = [path.read_bytes() for path in sorted((ROOT / "config" / "blocks").glob("*.hjson"))]
    texts = [BARE.encode(), *(piece.encode() for piece in PIECES), *(one for one in blocks if len(one) < 2500)]
    return [bytes((number & 1,)) + text for number, text in enumerate(texts)]


def inside(data: bytes, room: int, seed: int, mutate: Any) -> bytes:
    """Damage keys and values of what can be read; it can be read again, so that the shapes are what refuses it."""
    rng = random.Random(seed)
    try:
        tree = json.loads(json.dumps(hjson.loads(data[1:].decode())))
    except (ValueError, RecursionError, IndexError, OverflowError):  # the last two by the library, which we catch
        tree = None
    if not isinstance(tree, dict) or not rng.randrange(4):
        tree = json.loads(json.dumps(hjson.loads(BARE)))
    made = damaged(tree, rng)
    text = hjson.dumps(made) if rng.randrange(2) else json.dumps(made, ensure_ascii=False)
    return (data[:1] or b"\0") + text.encode("utf-8", "replace")[: room - 1]
