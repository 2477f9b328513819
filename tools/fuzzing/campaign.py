"""Campaigns of the fuzzer: slices that add up, planted bugs, lines reached.

    tools/fuzz SUBJECT TARGET [--inputs N] [--folder DIR]    N more inputs, in slices; again to go on
    tools/fuzz SUBJECT prove [--inputs N]                    each planted bug is found within N inputs
    tools/fuzz SUBJECT cover [--folder DIR]                  lines of the parser that the found inputs reach
    tools/fuzz report [--folder DIR]                         what all campaigns so far did, as a table

DIR (by default `.fuzz`) holds `state.json` with what all slices together did, the found inputs and the crashes.
Exit code 1 where an input broke something, a planted bug was not found, or less than 95 % of the lines were reached.
"""

import argparse
import hashlib
import importlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bugs import Bug, planted
from subjects import SUBJECTS, target_of

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PROVE_INPUTS: Final = 200_000
FULL_EVERY: Final = 4
LONG_EVERY: Final = 8
# One input may take so long, a process may grow so large: anything more is a crash.
SECONDS_MAX: Final = 10
RSS_MB_MAX: Final = 512
CRASHED: Final = "Test unit written to "

Json = dict[str, Any]


def load(folder: Path, name: str) -> Json:
    """What the slices of a target so far did."""
    known: Json = _state(folder).get(name, {})
    return {"inputs": 0, "seconds": 0.0, "slices": 0, "crashes": [], **known}


def _state(folder: Path) -> Json:
    path = folder / "state.json"
    found: Json = json.loads(path.read_text()) if path.exists() else {}
    return found


def save(folder: Path, name: str, mine: Json) -> None:
    """Write it whole or not at all; campaigns on other targets may run beside this one."""
    new = folder / f"state.json.{name}"
    new.write_text(json.dumps({**_state(folder), name: mine}, indent=1) + "\n")
    new.replace(folder / "state.json")


def seed(corpus: Path, inputs: Iterable[bytes]) -> None:
    """Put inputs into a folder, each under its hash."""
    corpus.mkdir(parents=True, exist_ok=True)
    for one in inputs:
        (corpus / hashlib.sha1(one, usedforsecurity=False).hexdigest()).write_bytes(one)


def run(
    subject: str, target: str, corpus: Path, inputs: int, artifacts: Path, root: Path = ROOT, number: int = 0
) -> Json:
    """One process of libFuzzer; what it did, with the file of an input that broke something."""
    artifacts.mkdir(parents=True, exist_ok=True)
    size = SUBJECTS[subject].targets[target].sizes[(number % FULL_EVERY == 0) + (number % LONG_EVERY == 0)]
    command = [
        sys.executable,
        str(Path(__file__).with_name("target.py")),
        *(str(root), subject, target, f"-runs={inputs}", f"-max_len={size}", f"-seed={number}"),
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


def campaign(subject: str, target: str, inputs: int, folder: Path) -> int:
    """So many more inputs, slice by slice; the state is kept after each."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{subject}-{target}"
    corpus = folder / name
    # Each time: those that are new since the campaign began come to the others.
    seed(corpus, target_of(subject, target).seeds())
    mine, left = load(folder, name), inputs
    while left > 0:
        slice_ = min(SUBJECTS[subject].targets[target].slice_, left)
        found = run(subject, target, corpus, slice_, folder / "crashes", number=mine["slices"] + 1)
        left -= found["inputs"]
        mine["inputs"] += found["inputs"]
        mine["seconds"] = round(mine["seconds"] + found["seconds"], 1)
        mine["slices"] += 1
        mine |= {"edges": found["edges"], "corpus": sum(1 for _ in corpus.iterdir()), "rss_mb": found["rss_mb"]}
        mine["last"] = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        if found["crash"]:
            mine["crashes"].append(found["crash"])
        save(folder, name, mine)
        show(name, mine, found)
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


def prove(subject: str, inputs: int) -> int:
    """Plant each bug in a copy of the packages and see that it is found."""
    bugs: dict[str, Bug] = importlib.import_module(f"{subject}_bugs").BUGS
    missed = 0
    for name, bug in bugs.items():
        with tempfile.TemporaryDirectory(prefix="plumeline-planted-") as place:
            corpus = Path(place) / "corpus"
            seed(corpus, target_of(subject, bug.target).seeds())
            with planted(bug, Path(place)) as root:
                found = run(subject, bug.target, corpus, inputs, Path(place) / "crashes", root, number=LONG_EVERY)
        missed += found["crash"] is None
        said = f"found after {found['inputs']} inputs: {found['crash']['said']}" if found["crash"] else "NOT FOUND"
        print(f"{name} ({bug.what}): {said}", flush=True)
    print(f"{len(bugs) - missed} of {len(bugs)} planted bugs found, {inputs} inputs allowed for each")
    return 1 if missed else 0


def report(folder: Path) -> int:
    """A table of all campaigns, for docs/fuzzing.md."""
    print("| target | inputs | inputs/s | kept | resident MB | broke something | last |\n|---|---|---|---|---|---|---|")
    for name, mine in sorted(_state(folder).items()):
        rate = mine["inputs"] / max(mine["seconds"], 1)
        size = " to ".join(str(one) for one in mine.get("rss_mb", []))
        print(
            f"| {name} | {mine['inputs']:,} | {rate:,.0f} | {mine.get('corpus', 0):,} | {size}"
            f" | {len(mine['crashes'])} | {mine.get('last', '')} |"
        )
    return 0


def main() -> int:
    """Do what the command line says."""
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser(
        prog="tools/fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("subject", choices=[*SUBJECTS, "report"])
    parser.add_argument("what", nargs="?", help="a target of the subject, prove or cover")
    parser.add_argument("--inputs", type=int, help=f"how many; for prove at most so many a bug ({PROVE_INPUTS})")
    parser.add_argument("--folder", type=Path, default=ROOT / ".fuzz")
    options = parser.parse_args()
    if options.subject == "report":
        return report(options.folder)
    targets = SUBJECTS[options.subject].targets
    if options.what == "prove":
        return prove(options.subject, options.inputs or PROVE_INPUTS)
    if options.what == "cover":
        from cover import cover

        return cover(options.subject, options.folder)
    if options.what not in targets:
        parser.error(f"{options.subject}: {', '.join(targets)}, prove or cover")
    return campaign(options.subject, options.what, options.inputs or targets[options.what].slice_, options.folder)


if __name__ == "__main__":
    sys.exit(main())
