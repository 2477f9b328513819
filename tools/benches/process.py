"""How fast recorded files are processed: a day of a Picarro at 1 Hz and a year of GCWerks minutes, rows per second.

Usage: tools/bench process [--minutes 525600] [--seconds 86400] [--json]
"""

import argparse
import datetime
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# A bench beside this one has the name of a package that is measured: this folder must not come first.
sys.path = [one for one in sys.path if Path(one or ".").resolve() != Path(__file__).resolve().parent]

from agent.recorded.rules import Rules  # noqa: E402
from agent.recorded.run import Task, results  # noqa: E402
from agent.recorded.summary import Summary  # noqa: E402
from metrology.recorded import HOUR  # noqa: E402

BEGIN = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
PICARRO = (
    "DATE TIME FRAC_DAYS_SINCE_JAN1 FRAC_HRS_SINCE_JAN1 JULIAN_DAYS EPOCH_TIME ALARM_STATUS INST_STATUS species "
    "MPVPosition solenoid_valves CH4 CH4_dry CO2 CO2_dry H2O h2o_reported"
)
MINUTES = (
    "Created: 1 Jan 25 00:00 GMT\n     -      -         -    -       ch4     ch4   ch4       co2     co2   co2\n"
    "  date   time      type port         C   stdev     N         C   stdev     N\n"
)


def picarro(rows: int) -> Iterator[str]:
    """Lines of a user log that renews one species a second."""
    rng = random.Random(1)
    yield "".join(name.ljust(26) for name in PICARRO.split()) + "\r\n"
    values = [1.9, 1.95, 400.0, 410.0, 1.2, 1.5]
    renewed = ((2,), (0,), (1, 3, 4, 5))
    for at in range(rows):
        for place in renewed[at % 3]:
            values[place] += rng.gauss(0, 0.0005)
        when = BEGIN + datetime.timedelta(seconds=at)
        head = [f"{when:%Y-%m-%d}", f"{when:%H:%M:%S}.000", "0", "0", "0", f"{when.timestamp():.3f}", "0", "963"]
        cells = [*head, f"{at % 3 + 1:.10E}", "1.0", "0.0", *(f"{value:.10E}" for value in values)]
        yield "".join(cell.ljust(26) for cell in cells) + "\r\n"


def minutes(rows: int) -> Iterator[str]:
    """Lines of a minute file, two species, forty minutes of a tank each day."""
    rng = random.Random(2)
    yield MINUTES
    for at in range(rows):
        when = BEGIN + datetime.timedelta(minutes=at, seconds=30)
        kind = "std" if at % 1440 < 40 else "air"
        yield (
            f"{when:%y%m%d %H%M%S}       {kind}   10   {rng.gauss(1900, 1):7.2f}   {rng.gauss(0.5, 0.1):5.3f}    19    "
            f"{rng.gauss(410, 0.1):6.2f}   0.109    19\n"
        )


def main() -> None:
    """Print one line for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=525600)
    parser.add_argument("--seconds", type=int, default=86400)
    parser.add_argument("--json", action="store_true")
    line = parser.parse_args()
    for form, lines in (("picarro-log", picarro(line.seconds)), ("gcwerks-minutes", minutes(line.minutes))):
        with tempfile.NamedTemporaryFile("w", suffix=".dat", newline="") as file:
            file.writelines(lines)
            file.flush()
            begun, worked = time.perf_counter(), time.process_time()
            summary = Summary()
            made = sum(1 for _ in results(Task([file.name], form, HOUR, Rules()), summary, plateaus=True))
            took, work = time.perf_counter() - begun, time.process_time() - worked
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        one = {
            "format": form,
            "rows": summary.rows,
            "results": made,
            "seconds": round(took, 2),
            "cpu_s": round(work, 2),
            "rows_per_s": round(summary.rows / took),
            "memory_MB": round(memory),
        }
        print(json.dumps(one) if line.json else "  ".join(f"{name} {value}" for name, value in one.items()), flush=True)


if __name__ == "__main__":
    main()
