"""`plumeline-sim`: a simulated field, one instrument of it, or a recorded analyzer, on real wires."""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

from host.clock import clock_from
from simulation import stations
from simulation.field import Plant, describe
from simulation.layout import Scenario
from simulation.picarro import COLUMNS, Interface
from simulation.play import LogError, Recording, clock_at, play, unknown_columns


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="plumeline-sim", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    field = commands.add_parser("field", help="a stack, a tower and 24 boards")
    field.add_argument("--config-only", action="store_true", help="write layout.json and cylinders.json, open no wire")
    one = commands.add_parser("instrument", help="one instrument of the field alone")
    one.add_argument("name", choices=stations.PTYS + stations.PORTS, metavar="NAME",
                     help=", ".join(stations.PTYS + stations.PORTS))  # fmt: skip
    for each in (field, one):
        each.add_argument("--seed", type=int, default=1, help="the same seed gives the same world")
        each.add_argument("--no-leak", action="store_true", help="a field without a leak")
        each.add_argument("--crds-row-s", type=float, default=5.0, help="world seconds between rows of the analyzer")
    player = commands.add_parser("play", help="a recorded Picarro log through the command interface")
    player.add_argument("file", type=Path)
    player.add_argument("--decimals", type=int, default=10, help="decimals of every value (a usual analyzer has 3)")
    player.add_argument("--columns", default=",".join(COLUMNS), help="columns in the order they are answered")
    player.add_argument("--terminator", choices=("cr", "crlf"), default="cr")
    player.add_argument("--name", default="tower-01.crds", help="STATION.INSTRUMENT in the journal")
    player.add_argument("--port", type=int, default=0, help="TCP port; 0 takes a free one")
    for each in (field, one, player):
        each.add_argument("--out", type=Path, required=True, help="folder for wires, journal and truth")
        each.add_argument("--clock", help="WALL0,WORLD0,RATE: an accelerated world")
    return parser


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _field(arguments: argparse.Namespace) -> int:
    if not 0.5 <= arguments.crds_row_s <= 600:
        raise ValueError(f"--crds-row-s {arguments.crds_row_s}: allowed is 0.5 to 600")
    clock = clock_from(arguments.clock)
    scenario = Scenario(seed=arguments.seed, leaks=0 if arguments.no_leak else 1)
    if arguments.command == "field" and arguments.config_only:
        describe(arguments.out, scenario, {}, arguments.crds_row_s, clock.now())
        return 0
    only = arguments.name if arguments.command == "instrument" else None
    await Plant(arguments.out, scenario, clock, arguments.crds_row_s, only).run(_stop_on_signals())
    return 0


async def _play(arguments: argparse.Namespace) -> int:
    recording = Recording(arguments.file)
    columns = tuple(arguments.columns.split(","))
    if unknown := unknown_columns(recording, columns):
        raise LogError(
            f"--columns: {arguments.file} has no {', '.join(unknown)}; it has {', '.join(recording.columns)}"
        )
    clock = clock_from(arguments.clock) if arguments.clock else clock_at(recording.start, time.time())
    interface = Interface(columns, arguments.decimals, "\r" if arguments.terminator == "cr" else "\r\n")
    await play(recording, arguments.out, clock, interface, arguments.name, arguments.port, _stop_on_signals())
    return 0


def main() -> int:
    """Run; 0 after SIGTERM or SIGINT, 2 for an argument that cannot be used."""
    arguments = _parser().parse_args()
    try:
        return asyncio.run(_play(arguments) if arguments.command == "play" else _field(arguments))
    except (ValueError, OSError) as error:
        print(f"plumeline-sim: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
