#!/usr/bin/env python3
"""Three simulated stations, their agents, a broker and a centre on this machine, until Ctrl-C.

tools/demo                         runs with a page; type `truth` to be shown where the leak is
tools/demo --check [--json]        runs by itself, breaks things on purpose, compares, exits 0 if the line held
tools/demo --real [--check]        the recorded Picarro hour through driver, log and both uplinks
"""

import argparse
import json
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from demo_line import Demo
from demo_processes import Processes, StartError
from demo_real import real
from demo_setup import Run
from demo_verdict import judge

CHECK_RUN_S = 184.0  # up to the attribution of the sixth world hour


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="tools/demo", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="run by itself and judge the result")
    parser.add_argument("--json", action="store_true", help="with --check: print nothing but the JSON object")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another field, wind and leak")
    parser.add_argument("--no-leak", action="store_true", help="a field without a leak")
    parser.add_argument("--out", type=Path, help="folder for everything of the run (default: a new temporary one)")
    parser.add_argument("--rate", type=float, help="world seconds per wall second (default 120, with --real 60)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=CHECK_RUN_S,
        help="with --check: how long the line runs; a short run sees too little wind to judge the source by",
    )
    parser.add_argument("--real", action="store_true", help="play the recorded analyzer instead of a simulated world")
    return parser.parse_args()


def check(options: argparse.Namespace, out: Path) -> int:
    """Run, break, stop, compare; exit code 0 where everything held."""
    began = time.monotonic()
    say: Callable[[str], None] = (lambda _: None) if options.json else (lambda text: print(text, flush=True))
    demo = Demo(options, out, say)
    with Processes(out / "logs") as processes:
        demo.start(processes)
        demo.breakages(processes, options.seconds)
        demo.finish(processes)
    result = judge(demo.run, demo.outages, leak=not options.no_leak)
    result["seconds"] = round(time.monotonic() - began, 1)
    result["out"] = str(out)
    print(json.dumps(result, ensure_ascii=False, indent=None if options.json else 1), flush=True)
    return 0 if result["ok"] else 1


def reveal(run: Run) -> str:
    """Say where the leak is, and lay it on the map as the extra layer."""
    leaks: list[dict[str, Any]] = json.loads((run.out / "truth.json").read_text())["leaks"]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [leak["longitude"], leak["latitude"]]},
            "properties": {
                "name_en": f"truth: {leak['rate_kg_h']:g} kg/h",
                "name_zh": f"真值：{leak['rate_kg_h']:g} kg/h",
            },
        }
        for leak in leaks
    ]
    layer = run.store.with_name("layer.geojson")
    whole = layer.with_suffix(".new")
    whole.write_text(json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False))
    whole.replace(layer)
    lines = [
        f"  {leak['gas']} {leak['rate_kg_h']:g} kg/h at {leak['latitude']:.5f}, {leak['longitude']:.5f}"
        for leak in leaks
    ]
    return "\n".join(lines) or "  no leak"


def lines_from(source: TextIO) -> Iterator[str | None]:
    """Lines as they are typed, and None each second without one; after the end of the input only None."""
    open_ = True
    while True:
        ready = select.select([source], [], [], 1.0)[0] if open_ else time.sleep(1.0)
        line = source.readline() if ready else None
        open_ = open_ and line != ""
        yield line or None


def interactive(options: argparse.Namespace, out: Path) -> int:
    """Run with a page until Ctrl-C."""
    demo = Demo(options, out, lambda text: print(text, flush=True))
    with Processes(out / "logs") as processes:
        try:
            demo.start(processes)
            print(
                f"\n  map      http://127.0.0.1:{demo.run.http_port}/\n  sign in  demo, password {demo.password}\n"
                f"  station  http://127.0.0.1:{demo.run.page_port}/ (make its first account with the code in\n"
                f"           {out}/stations/{demo.stations[0]}/page-accounts.setup)\n"
                f"  the world runs {demo.rate:g} times as fast as the clock; a leak shows after some hours of wind\n"
                f"  everything of this run lies in {out}\n\n"
                "  type `truth` to be shown where the leak is; Ctrl-C ends everything\n",
                flush=True,
            )
            for line in lines_from(sys.stdin):
                processes.check()
                if line and line.strip() == "truth":
                    print(reveal(demo.run), flush=True)
        except KeyboardInterrupt:
            print("ending", flush=True)
            demo.finish(processes)
    return 0


def main() -> int:
    """Prepare the folder and run."""
    options = arguments()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs deaf to the first
        signal.signal(number, signal.default_int_handler)
    out = (options.out or Path(tempfile.mkdtemp(prefix="plumeline-demo-"))).absolute()
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(out.iterdir()):
        print(f"{out} is not empty: give a new folder with --out", file=sys.stderr)
        return 2
    try:
        if options.real:
            return real(options, out)
        return check(options, out) if options.check else interactive(options, out)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
