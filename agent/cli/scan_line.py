"""The command line of the bus doctor: its commands and their arguments, light enough for every start."""

import argparse
from typing import Final

from host.commands import Argument

BAUDS: Final = (9600, 19200, 38400, 115200, 57600, 4800, 2400)
# Addresses most instruments have, and those some makers ship; all are asked with `--units 1-247`.
UNITS: Final = (*range(1, 33), 240, 254)
UNIT_MAX: Final = 255
PARITIES: Final = ("N", "E")


def _units(text: str) -> tuple[int, ...]:
    """Addresses: `1-32,240`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    if not found or not all(0 < unit <= UNIT_MAX for unit in found):
        raise argparse.ArgumentTypeError(f"1-{UNIT_MAX}")
    return tuple(dict.fromkeys(found))


def _bauds(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _parities(text: str) -> tuple[str, ...]:
    found = tuple(text.upper().split(","))
    if not set(found) <= set("NEO"):
        raise argparse.ArgumentTypeError("N,E,O")
    return found


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError("0 < SECONDS <= 3600")
    return value


def _questions(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 10000:
        raise argparse.ArgumentTypeError("1-10000")
    return value


def _block(text: str) -> tuple[str, int, int]:
    """`TABLE:ADDRESS:COUNT`."""
    table, address, count = text.split(":")
    found = (table, int(address), int(count))
    if table not in ("holding", "input") or not 0 <= found[1] <= 65535 or not 2 <= found[2] <= 125:
        raise argparse.ArgumentTypeError("holding|input:0-65535:2-125")
    return found


_SECONDS: Final = {"metavar": "SECONDS", "type": _seconds}

ARGUMENTS: Final[dict[str, Argument]] = {
    "PLACE": ("places", {"metavar": "PLACE", "nargs": "*"}),
    "DEVICE": ("places", {"metavar": "DEVICE", "nargs": 1}),
    "--bauds": ("--bauds", {"metavar": "BAUD,BAUD", "type": _bauds}),
    "--parities": ("--parities", {"metavar": "N,E,O", "type": _parities}),
    "--units": ("--units", {"metavar": "1-32,240", "type": _units, "default": UNITS}),
    "--ask": ("--ask", {"choices": ("modbus", "text")}),
    "--timeout": ("--timeout", {**_SECONDS, "default": 0.3}),
    "--listen": ("--listen", {**_SECONDS, "default": 5.0}),
    "--bus-is-ours": ("--bus-is-ours", {"action": "store_true"}),
    "--questions": ("--questions", {"metavar": "COUNT", "type": _questions, "default": 20}),
    "--block": ("--block", {"metavar": "TABLE:ADDRESS:COUNT", "type": _block}),
}
_LOOK: Final = (
    "--bauds", "--parities", "--units", "--ask", "--timeout", "--listen", "--bus-is-ours", "--socket", "--json",
)  # fmt: skip
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("scan", "agent.cli.scan:scan", ("PLACE", *_LOOK, "--who")),
    ("probe", "agent.cli.scan:probe", ("DEVICE", "--questions", "--block", *_LOOK)),
)
