"""The command line of `plumeline hj212`: its commands and their arguments, light enough for every start."""

import argparse
from pathlib import Path
from typing import Final

from host.commands import Argument

KEY_BYTES: Final = 16
PROFILES: Final = ("strict-2005", "strict-2017", "strict-2025", "lenient")
EDITIONS: Final = (2005, 2017, 2025)


def sm4_key(text: str) -> bytes:
    """Bytes of an SM4 key: 32 hexadecimal digits, or 16 characters taken as they are. Raises ValueError for others."""
    found = text.encode("ascii") if len(text) == KEY_BYTES else bytes.fromhex(text)
    if len(found) != KEY_BYTES:
        raise ValueError(f"{len(found)} != {KEY_BYTES} bytes")
    return found


def _key(text: str) -> bytes:
    """A key given on the command line, or in a file (`@FILE`)."""
    try:
        return sm4_key(Path(text[1:]).read_text(encoding="ascii").strip() if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seconds(text: str) -> float:
    """A span of time above zero."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("> 0")
    return value


_SWITCH: Final = {"action": "store_true"}
_EDITION: Final = {"type": int, "choices": EDITIONS, "default": 2017}
_SECONDS: Final = {"metavar": "SECONDS", "type": _seconds}

ARGUMENTS: Final[dict[str, Argument]] = {
    "hj212 FILE": ("file", {"metavar": "FILE", "nargs": "?"}),
    "hj212 CODE": ("code", {"metavar": "CODE"}),
    "hj212 CN": ("cn", {"metavar": "CN", "nargs": "?"}),
    "hj212 ITEM": ("items", {"metavar": "NAME=VALUE", "nargs": "*", "default": []}),
    "--profile": ("--profile", {"choices": PROFILES, "default": "lenient"}),
    "--key": ("--key", {"metavar": "HEX", "type": _key}),
    "--lines": ("--lines", _SWITCH),
    "--to": ("--to", {"choices": ("platform", "station")}),
    "--edition": ("--edition", _EDITION),
    "hj212 explain --edition": ("--edition", {"type": int, "choices": EDITIONS}),
    "--st": ("--st", {"metavar": "ST", "default": "31"}),
    "--mn": ("--mn", {"metavar": "MN"}),
    "--pw-file": ("--pw-file", {"metavar": "FILE"}),
    "--qn": ("--qn", {"metavar": "QN"}),
    "--no-answer": ("--no-answer", _SWITCH),
    "--resent": ("--resent", _SWITCH),
    "--part": ("--part", {"metavar": "NUMBER/OF"}),
    "--hex": ("--hex", _SWITCH),
    "--from": ("--from", {"metavar": "FILE", "dest": "source"}),
    "hj212 --host": ("--host", {"metavar": "HOST", "default": "127.0.0.1"}),
    "hj212 --port": ("--port", {"metavar": "PORT", "type": int, "required": True}),
    "--any": ("--any", _SWITCH),
    "--lenient": ("--lenient", _SWITCH),
    "--send": ("--send", {"nargs": "+", "action": "append", "default": [], "metavar": ("CN", "NAME=VALUE")}),
    "--out": ("--out", {"metavar": "FILE"}),
    "--overtime": ("--overtime", {**_SECONDS, "default": 10.0}),
    "--recount": ("--recount", {"metavar": "TIMES", "type": int, "default": 3}),
    "--execution": ("--execution", {**_SECONDS, "default": 60.0}),
    "--interval": ("--interval", {"metavar": "SECONDS", "type": int, "default": 30}),
    "--heartbeat": ("--heartbeat", {**_SECONDS, "default": None}),
    "--retry": ("--retry", {**_SECONDS, "default": 1.0}),
    "--value": ("--value", {"metavar": "CODE=NUMBER", "action": "append", "default": []}),
    "--allow": ("--allow", {"metavar": "CN", "action": "append", "default": []}),
    "--i-know-it-is-not-measured": ("--i-know-it-is-not-measured", {**_SWITCH, "dest": "known"}),
}
_PEER: Final = ("--edition", "--st", "--mn", "--pw-file", "--key", "--lenient", "--send", "--overtime", "--recount")
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("hj212 decode", "agent.cli.hj212_decode:decode", ("hj212 FILE", "--json", "--profile", "--key", "--lines")),
    (
        "hj212 encode",
        "agent.cli.hj212_encode:encode",
        (
            "hj212 CN", "hj212 ITEM", "--to", "--edition", "--st", "--mn", "--pw-file", "--qn", "--no-answer",
            "--resent", "--part", "--key", "--hex", "--from",
        ),
    ),
    ("hj212 explain", "agent.cli.hj212_explain:explain", ("hj212 CODE", "hj212 explain --edition", "--json")),
    (
        "hj212 platform",
        "agent.cli.hj212_platform:platform",
        ("hj212 --host", "hj212 --port", *_PEER, "--any", "--execution", "--out", "--json"),
    ),
    (
        "hj212 station",
        "agent.cli.hj212_station:station",
        (
            "hj212 --host", "hj212 --port", *_PEER, "--interval", "--heartbeat", "--value", "--allow", "--retry",
            "--i-know-it-is-not-measured", "--json",
        ),
    ),
)  # fmt: skip
