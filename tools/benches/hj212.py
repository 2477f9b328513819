"""HJ 212 measured: the codec on its own, and two thousand stations on one platform process.

    tools/bench hj212 [codec|stations] [its arguments]

Without a part both are run, each with its defaults.
"""

import runpy
import sys
from pathlib import Path

PARTS = ("codec", "stations")


def main() -> int:
    """Run the part that is named, or all."""
    name, rest = (sys.argv[1], sys.argv[2:]) if sys.argv[1:] else ("", [])
    if name and name not in PARTS:
        print(__doc__, file=sys.stderr)
        return 0 if name in ("-h", "--help") else 2
    worst = 0
    for part in [name] if name else PARTS:
        path = Path(__file__).with_name(f"hj212_{part}.py")
        sys.argv = [str(path), *rest]
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            worst = max(worst, int(end.code or 0))
    return worst


if __name__ == "__main__":
    sys.exit(main())
