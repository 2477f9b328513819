"""Sets the machine's clock for a station that may not: one bounded request on a socket, one answer, then the end.

    python -m host.clock_helper --step-max 3600

Started by systemd with the listening socket as descriptor 3 (sd_listen_fds(3)), for each request anew; who may connect
is the socket's mode and group. A request is one JSON line {"set": ISO time, "limit_s": number, "by": text}, an answer
{"old", "new"} or {"error"}. Nothing is set while the machine follows a time server.
"""

import argparse
import json
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from host.timesync import kernel, timesyncd
from metrology.periods import iso, parse_iso

LISTENING: Final = 3
REQUEST_BYTES_MAX: Final = 1024
PATIENCE_S: Final = 5.0
# No machine that runs this is right with an earlier time: from there any step is allowed, and none back to there.
BUILT: Final = datetime(2026, 1, 1, tzinfo=UTC)

Set = Callable[[datetime], None]


def set_kernel(at: datetime) -> None:
    """Set CLOCK_REALTIME (clock_settime(2)); raises PermissionError without CAP_SYS_TIME."""
    time.clock_settime(time.CLOCK_REALTIME, at.timestamp())


def is_synced() -> bool:
    """Whether a time server keeps the clock."""
    return any(one is not None and one.synced for one in (kernel(), timesyncd(datetime.now(UTC))))


def answer(request: bytes, now: datetime, step_max_s: float, synced: Callable[[], bool], put: Set) -> dict[str, Any]:
    """Judge one request and carry it out by `put`; the answer."""
    try:
        asked = json.loads(request)
        at, limit_s, by = parse_iso(asked["set"]), float(asked["limit_s"]), str(asked["by"])[:100]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        return {"error": f"no request: {type(error).__name__}"}
    step_s = (at - now).total_seconds()
    if at < BUILT:
        return {"error": f"{iso(at)} is earlier than this program"}
    for bound in (step_max_s, limit_s):
        if now >= BUILT and not abs(step_s) <= bound:
            return {"error": f"a step of {step_s:g} s is beyond {bound:g} s"}
    if synced():
        return {"error": "the clock follows a time server"}
    try:
        put(at)
    except OSError as error:
        return {"error": f"the clock was not set: {error.strerror}"}
    return {"old": iso(now), "new": iso(at), "by": by}


def serve(listening: socket.socket, step_max_s: float, synced: Callable[[], bool], put: Set) -> dict[str, Any]:
    """Take one connection and answer it; gives the answer, for the journal."""
    line, _ = listening.accept()
    with line:
        line.settimeout(PATIENCE_S)
        try:
            with line.makefile("rb") as text:
                request = text.readline(REQUEST_BYTES_MAX)
            told = answer(request, datetime.now(UTC), step_max_s, synced, put)
            line.sendall(json.dumps(told).encode() + b"\n")
        except OSError as error:
            return {"error": f"the asker went away: {error}"}
    return told


def main() -> int:
    """Serve the one request this process was started for."""
    parser = argparse.ArgumentParser(prog="plumeline-clock")
    parser.add_argument("--step-max", type=float, default=3600.0, metavar="SECONDS")
    with socket.socket(fileno=LISTENING) as listening:
        told = serve(listening, parser.parse_args().step_max, is_synced, set_kernel)
    print(json.dumps(told), flush=True)
    return int("error" in told)


if __name__ == "__main__":
    sys.exit(main())
