"""One run, asked for on the standard input, its verdict given on the descriptor named on the command line."""

import faulthandler
import gc
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

import sim_kinds
import sim_world

MEMORY = Path("/dev/shm")
# Seconds of the processor after which a run is taken to be without end, and says where it is.
CPU_S_MAX, CPU_S_A_DAY = 120.0, 240.0


def main() -> None:
    """Run; the process ends without cleaning up what the dead left, whose `finally` must never run."""
    request = json.load(sys.stdin)
    seed, days, trace = request["seed"], request["days"], bool(request.get("trace"))
    logging.disable(logging.NOTSET if trace else logging.CRITICAL)
    warnings.simplefilter("ignore")
    gc.disable()
    faulthandler.register(signal.SIGPROF, all_threads=False, chain=True)
    signal.setitimer(signal.ITIMER_PROF, CPU_S_MAX + CPU_S_A_DAY * days)
    faults = sim_kinds.drawn(seed, days, request.get("a_day") or sim_kinds.A_DAY, request.get("kinds") or ())
    if request.get("list"):
        faults = [sim_kinds.Fault(number, *one, f"{seed}/{number}") for number, one in enumerate(request["list"])]
    if request.get("only") is not None:
        faults = [fault for fault in faults if fault.number in request["only"]]
    with tempfile.TemporaryDirectory(prefix="faults-simulate-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        folder = Path(name).resolve()
        os.chdir(folder)
        verdict = sim_world.play(seed, days, faults, folder, bug=request.get("bug"), trace=trace)
        answer = json.dumps({**asdict(verdict)}, default=str)
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
    with os.fdopen(int(sys.argv[1]), "w") as file:
        file.write(answer)
    sys.stdout.flush()
    os._exit(0)


main()
