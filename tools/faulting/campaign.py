"""What all fault campaigns share: seeds, slices of time, one cumulative file of results, one table.

A campaign is a function `one(seed, folder, quick) -> Result`; each call begins from nothing in an empty folder and is
replayed by its seed. `DIR/results.jsonl` (`--state DIR`) gets one line for each call, so that a campaign stopped at any
moment goes on behind its last finished seed.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
FILE: Final = "results.jsonl"
SLICE_MINUTES_MAX: Final = 30.0
FAILURES_MAX: Final = 20
COUNTS: Final = ("points", "lost", "doubled", "out_of_order", "periods_missing", "left_on_gas")
HEADINGS: Final = (
    "campaign", "points", "lost", "doubled", "out of order", "periods without average or gap", "left on cylinder gas",
)  # fmt: skip


class SkippedError(Exception):
    """This machine cannot run the campaign; the text says what is missing."""


@dataclass
class Result:
    """What one seed has found. A count that a campaign cannot see is None and shown as a dash."""

    points: int = 0
    lost: int | None = 0
    doubled: int | None = 0
    out_of_order: int | None = 0
    periods_missing: int | None = None
    left_on_gas: int | None = None
    # What broke, in words that name the point; the counts above are not all that can.
    failures: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        """Whether nothing is counted and nothing broke."""
        return not self.failures and not any(getattr(self, name) for name in COUNTS[1:])


One = Callable[[int, Path, bool], Result]


@dataclass(frozen=True)
class Campaign:
    """`goal`: points asked of the whole campaign. `noun`: what a point is. `needs` raises SkippedError."""

    name: str
    noun: str
    goal: int
    one: One
    needs: Callable[[], None] = lambda: None


def lines(state: Path) -> list[dict[str, Any]]:
    """Every result so far; a last line cut by a power cut is left out."""
    found = []
    path = state / FILE
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def keep(state: Path | None, name: str, seed: int, seconds: float, result: Result) -> dict[str, Any]:
    """Give the line of one seed, and append it to the file of results."""
    line = {
        "campaign": name, "seed": seed, "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": os.environ.get("PLUMELINE_FAULTS_COMMIT", ""), "seconds": round(seconds, 1), **asdict(result),
        "failures": result.failures[:FAILURES_MAX],
        "held": result.held,
    }  # fmt: skip
    if state is not None:
        state.mkdir(parents=True, exist_ok=True)
        with (state / FILE).open("a") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return line


def totals(found: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Sums by campaign, with its seeds, dates and seconds."""
    sums: dict[str, dict[str, Any]] = {}
    for line in found:
        one = sums.setdefault(line["campaign"], {"seeds": [], "failures": [], "seconds": 0.0, "commits": []})
        one["seeds"].append(line["seed"])
        if (commit := line.get("commit") or "not told") not in one["commits"]:
            one["commits"].append(commit)
        one["at"] = line["at"]
        one["seconds"] += line["seconds"]
        one["failures"] += [f"seed {line['seed']}: {what}" for what in line["failures"]]
        for name in COUNTS:
            if line[name] is not None:
                one[name] = one.get(name, 0) + line[name]
    return sums


def table(sums: dict[str, dict[str, Any]]) -> str:
    """Markdown of the sums."""
    rows = [HEADINGS, ("---",) * len(HEADINGS)]
    for name, one in sums.items():
        rows.append((name, *(f"{one[count]:,}" if count in one else "–" for count in COUNTS)))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _options(campaign: Campaign, about: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"tools/faults {campaign.name}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="length of this slice, at most 30; it may end early")
    parser.add_argument("--state", type=Path, help="folder of the cumulative results; goes on behind its last seed")
    parser.add_argument("--goal", type=int, default=campaign.goal, help=f"{campaign.noun} in total, with those before")
    parser.add_argument("--seed", type=int, help="run this seed alone: the replay of a failure")
    parser.add_argument("--quick", action="store_true", help="one short seed")
    parser.add_argument("--folder", type=Path, help="where temporary files go")
    options = parser.parse_args()
    if not 0 < options.minutes <= SLICE_MINUTES_MAX:
        parser.error(f"--minutes: more than 0, at most {SLICE_MINUTES_MAX:g}")
    return options


def main(campaign: Campaign, about: str | None) -> int:
    """Run seeds until the goal or the end of the slice. Exit code 1 where something did not hold, 0 where skipped."""
    options = _options(campaign, about)
    try:
        campaign.needs()
    except SkippedError as error:
        print(f"{campaign.name}: skipped: {error}")
        return 0
    before = [line for line in lines(options.state) if line["campaign"] == campaign.name] if options.state else []
    seed = options.seed or max((line["seed"] for line in before), default=0) + 1
    ends, done, made = time.monotonic() + 60 * options.minutes, sum(line["points"] for line in before), []
    while not made or (not (options.seed or options.quick) and done < options.goal and time.monotonic() < ends):
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"faults-{campaign.name}-", dir=options.folder) as folder:
            result = campaign.one(seed, Path(folder), options.quick)
        line = keep(options.state, campaign.name, seed, time.monotonic() - began, result)
        made.append(line)
        done, seed = done + result.points, seed + 1
        print(f"{campaign.name} seed {line['seed']}: {line['points']} {campaign.noun} in {line['seconds']} s,",
              "held" if result.held else "BROKEN", json.dumps(line["figures"]), flush=True)  # fmt: skip
        for what in line["failures"]:
            print(f"  {what}\n  again: tools/faults {campaign.name} --seed {line['seed']}", file=sys.stderr, flush=True)
    print(table(totals(made)))
    print(f"{done} of {options.goal} {campaign.noun}")
    return 0 if all(line["held"] for line in made) else 1
