"""Campaigns of the fuzzer on HJ 212: slices that add up, planted bugs, lines reached.

    tools/fuzz hj212 decoder|sessions [--inputs N] [--folder DIR]    N more inputs, in slices; again to go on
    tools/fuzz hj212 prove [--inputs N]                              each planted bug is found within N inputs
    tools/fuzz hj212 cover [--folder DIR]                            lines of the parser that the found inputs reach

DIR (by default `.fuzz`) holds `state.json` with what all slices together did, the found inputs and the crashes.
Exit code 1 where an input broke something, a planted bug was not found, or less than 95 % of the lines were reached.
"""

import argparse
import hashlib
import importlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
TARGETS: Final = ("decoder", "sessions")
SLICE: Final = 100_000
PROVE_INPUTS: Final = 200_000
# Most slices have short inputs, of which many fit a second; every fourth has full frames, every eighth several.
INPUT_BYTES_MAX: Final = {"decoder": (320, 1100, 2560), "sessions": (320, 700, 1800)}
FULL_EVERY: Final = 4
LONG_EVERY: Final = 8
# One input may take so long, a process may grow so large: anything more is a crash.
SECONDS_MAX: Final = 10
RSS_MB_MAX: Final = 512
CRASHED: Final = "Test unit written to "

Json = dict[str, Any]


def load(folder: Path) -> Json:
    """What the slices so far did, by target."""
    path = folder / "state.json"
    known: Json = json.loads(path.read_text()) if path.exists() else {}
    empty = {"inputs": 0, "seconds": 0.0, "slices": 0, "crashes": []}
    return {name: {**empty, **known.get(name, {})} for name in TARGETS}


def save(folder: Path, state: Json) -> None:
    """Write it whole or not at all."""
    new = folder / "state.json.new"
    new.write_text(json.dumps(state, indent=1) + "\n")
    new.replace(folder / "state.json")


def seed(corpus: Path, inputs: Iterable[bytes]) -> None:
    """Put inputs into a folder, each under its hash."""
    corpus.mkdir(parents=True, exist_ok=True)
    for one in inputs:
        (corpus / hashlib.sha1(one, usedforsecurity=False).hexdigest()).write_bytes(one)


def seeds(target: str) -> list[bytes]:
    """The first inputs of a target."""
    found: list[bytes] = importlib.import_module(f"hj212_{target}").seeds()
    return found


def run(target: str, corpus: Path, inputs: int, artifacts: Path, root: Path = ROOT, number: int = 0) -> Json:
    """One process of libFuzzer; what it did, with the file of an input that broke something."""
    artifacts.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        str(Path(__file__).with_name("hj212_target.py")),
        *(
            str(root),
            target,
            f"-runs={inputs}",
            f"-max_len={INPUT_BYTES_MAX[target][(number % FULL_EVERY == 0) + (number % LONG_EVERY == 0)]}",
            f"-seed={number}",
        ),
        *(f"-timeout={SECONDS_MAX}", f"-rss_limit_mb={RSS_MB_MAX}", "-print_final_stats=1", "-report_slow_units=2"),
        *(f"-artifact_prefix={artifacts}/", str(corpus)),
    ]
    began = time.monotonic()
    done = subprocess.run(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, check=False)
    text = done.stdout.decode("utf-8", "replace")
    sizes = [int(size) for size in re.findall(r"rss: (\d+)Mb", text)]
    reached = re.findall(r"cov: (\d+) ft: (\d+)", text)
    executed = re.search(r"number_of_executed_units: (\d+)", text)
    if executed is None:
        raise SystemExit(f"libFuzzer did not run:\n{text[-3000:]}")
    found: Json = {
        "inputs": int(executed[1]),
        "seconds": round(time.monotonic() - began, 1),
        "edges": int(reached[-1][0]) if reached else 0,
        "rss_mb": [sizes[1] if len(sizes) > 1 else 0, sizes[-1] if sizes else 0],
        "crash": None,
    }
    if done.returncode:
        written = text.partition(CRASHED)[2].split("\n")[0].strip()
        said = re.search(r"=== Uncaught Python exception: ===\n(.*)", text) or re.search(r"ERROR: (.*)", text)
        found["crash"] = {"file": written, "said": said[1][:300] if said else text[-300:]}
    return found


def campaign(target: str, inputs: int, folder: Path) -> int:
    """So many more inputs, slice by slice; the state is kept after each."""
    folder.mkdir(parents=True, exist_ok=True)
    corpus = folder / f"hj212-{target}"
    if not corpus.exists():
        seed(corpus, seeds(target))
    mine, left = load(folder)[target], inputs
    while left > 0:
        found = run(target, corpus, min(SLICE, left), folder / "crashes", number=mine["slices"] + 1)
        left -= found["inputs"]
        mine["inputs"] += found["inputs"]
        mine["seconds"] = round(mine["seconds"] + found["seconds"], 1)
        mine["slices"] += 1
        mine |= {"edges": found["edges"], "corpus": sum(1 for _ in corpus.iterdir()), "rss_mb": found["rss_mb"]}
        mine["last"] = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        if found["crash"]:
            mine["crashes"].append(found["crash"])
        save(folder, {**load(folder), target: mine})
        show(target, mine, found)
        if found["crash"]:
            return 1
    return 0


def show(target: str, mine: Json, found: Json) -> None:
    """One line a slice."""
    rate = found["inputs"] / found["seconds"]
    print(
        f"{target}: {mine['inputs']} inputs in {mine['seconds']:.0f} s ({rate:.0f}/s in this slice), {mine['edges']}"
        f" edges, {mine['corpus']} inputs kept, resident {found['rss_mb'][0]} to {found['rss_mb'][1]} MB",
        flush=True,
    )
    if found["crash"]:
        print(f"  BROKEN: {found['crash']['said']}\n  by {found['crash']['file']}", flush=True)


def prove(inputs: int) -> int:
    """Plant each bug in a copy of the package and see that it is found."""
    from hj212_bugs import BUGS, planted

    missed = 0
    for name, bug in BUGS.items():
        with tempfile.TemporaryDirectory(prefix="plumeline-planted-") as place:
            corpus = Path(place) / "corpus"
            seed(corpus, seeds(bug.target))
            with planted(bug, Path(place)) as root:
                found = run(bug.target, corpus, inputs, Path(place) / "crashes", root, number=LONG_EVERY)
        missed += found["crash"] is None
        said = f"found after {found['inputs']} inputs: {found['crash']['said']}" if found["crash"] else "NOT FOUND"
        print(f"{name} ({bug.what}): {said}", flush=True)
    print(f"{len(BUGS) - missed} of {len(BUGS)} planted bugs found, {inputs} inputs allowed for each")
    return 1 if missed else 0


def main() -> int:
    """Do what the command line says."""
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser(
        prog="tools/fuzz hj212", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=[*TARGETS, "prove", "cover"])
    parser.add_argument("--inputs", type=int, help=f"how many; for prove at most so many a bug ({PROVE_INPUTS})")
    parser.add_argument("--folder", type=Path, default=ROOT / ".fuzz")
    parser.add_argument("--fresh", action="store_true", help="forget what was done before")
    options = parser.parse_args()
    if options.what == "prove":
        return prove(options.inputs or PROVE_INPUTS)
    if options.what == "cover":
        from hj212_cover import cover

        return cover(options.folder)
    if options.fresh and options.folder.exists():
        shutil.rmtree(options.folder)
    return campaign(options.what, options.inputs or SLICE, options.folder)


if __name__ == "__main__":
    sys.exit(main())
