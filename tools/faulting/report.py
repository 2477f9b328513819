"""Prints what the campaigns have found so far, as docs/reliability.md has it, and every failure with its replay.

tools/faults report --state DIR
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from campaign import COUNTS, lines, table, totals


def seeds(numbers: list[int]) -> str:
    """A range where it is one."""
    whole = len(set(numbers)) == max(numbers) - min(numbers) + 1
    return f"{min(numbers)} to {max(numbers)}" if whole else f"{len(set(numbers))} of {min(numbers)} to {max(numbers)}"


def dates(sums: dict[str, dict[str, Any]]) -> str:
    """Campaign, seeds, time and date."""
    rows = ["| campaign | seeds | minutes | commits | last run |", "| --- | --- | --- | --- | --- |"]
    for name, one in sums.items():
        spent, commits = f"{one['seconds'] / 60:.1f}", ", ".join(one["commits"])
        rows.append(f"| {name} | {seeds(one['seeds'])} | {spent} | {commits} | {one['at'][:16]}Z |")
    return "\n".join(rows)


def main() -> int:
    """Exit code 1 where anything is counted."""
    parser = argparse.ArgumentParser(
        prog="tools/faults report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", type=Path, required=True)
    found = lines(parser.parse_args().state)
    if not found:
        print("no results yet")
        return 0
    sums = totals(found)
    print(table(sums), dates(sums), sep="\n\n")
    for name, one in sums.items():
        for what in one["failures"]:
            print(f"{name}: {what}")
    bad = any(one["failures"] or any(one.get(count) for count in COUNTS[1:]) for one in sums.values())
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
