"""One fault after another on a running line, then its accounts."""

import random
import time
from collections.abc import Callable
from pathlib import Path

from campaign import Result
from line import Line, Shape, StartError, last_words
from line_units import REGISTERS
from line_verdict import account

Fault = Callable[[Line, random.Random], None]


def storm(fault: Fault, seed: int, folder: Path, faults: int, shape: Shape, calm_s: tuple[float, float]) -> Result:
    """So many faults with a random calm before each. What does not come up again is a failure of its own."""
    dice = random.Random(seed)
    result = Result(periods_missing=0)
    try:
        with Line(folder / "line", shape) as line:
            began = time.monotonic()
            try:
                for _ in range(faults):
                    time.sleep(dice.uniform(*calm_s))
                    fault(line, dice)
                    result.points += 1
                took = time.monotonic() - began
                line.settle()
            except StartError as error:
                result.failures += [str(error), *last_words(line)]
            else:
                account(line, result)
                # Over the whole storm, with the time in which nobody asked.
                result.figures["storm_s"] = round(took, 1)
                result.figures["readings_per_s"] = round(REGISTERS * result.figures["answers"] / took)
    except StartError as error:
        result.failures.append(f"the line did not start: {error}")
    return result
