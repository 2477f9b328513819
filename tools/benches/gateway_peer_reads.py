"""When a peer polls: its reads of each unit by the simulator's clock, as one JSON list for each unit.

    gateway_peer_reads.py BENCH PEER UNITS SECONDS WORK

Run by the side-by-side bench's own interpreter, for it uses that bench's test bed as it is. Only reads of the last
SECONDS are told.
"""

import argparse
import importlib
import json
import sys
import time
from typing import Any

WARM_S = 8.0


def reads(bench: Any, peer: str, units: int, seconds: float, work: str) -> list[list[float]]:
    """Start the peer, let it settle, look."""
    options = argparse.Namespace(
        scenario="late", work=work, units=units, registers=20, hold=0.5, poll_ms=1000, start_timeout=45.0, mode=None
    )
    bed = bench.Bed(peer, None, options, bench.topology(peer, None, options), log_reads=True)
    try:
        bed.start()
        bed.wait_first()
        bed.sleep(WARM_S)
        began = time.time()
        bed.sleep(seconds)
        return [[at for at in unit if at > began] for unit in bed.sim.ask("reads")["reads"]]
    finally:
        bed.close()


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    print(
        json.dumps(
            reads(importlib.import_module("run"), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
        )
    )
