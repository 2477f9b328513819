"""Other gateways under the same load, run by the side-by-side bench itself where they are installed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gateway_load import folder

INSTALLED = {"modpoll": "modpoll", "thingsboard-sqlite": "thingsboard", "node-red": "nodered"}
RUN_S = 900.0


def installed() -> dict[str, Path]:
    """Peers that are there, with their folders; they lie in PEERS, or beside the bench's `run.py`."""
    place = Path(os.environ.get("PEERS", folder() / "peers"))
    return {name: place / part for name, part in INSTALLED.items() if (place / part).is_dir()}


def peers(seconds: float) -> dict[str, dict[str, Any]]:
    """The same figures for each peer; nothing for those that are not installed."""
    found: dict[str, dict[str, Any]] = {}
    for name, place in installed().items():
        calm, dead = (_row(scenario, name, place.parent, seconds) for scenario in ("steady", "dead"))
        found[name] = {
            "cpu_percent": calm.get("cpu_pct"),
            "rss_mb": calm.get("rss_mb_max"),
            "age_p95_ms": (calm.get("age_ms") or {}).get("p95"),
            "requests_per_s": calm.get("modbus_req_s"),
            "healthy_share_3_dead": dead.get("pct_of_healthy"),
            "error": calm.get("error") or dead.get("error"),
        }
    return found


def _row(scenario: str, name: str, place: Path, seconds: float) -> dict[str, Any]:
    python = place / "bench" / "bin" / "python"
    command = [python, folder() / "run.py", scenario, "--candidates", name, "--seconds", f"{seconds:g}", "--json"]
    env = {**os.environ, "PEERS": str(place)}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=RUN_S, env=env, check=False
    )
    print(done.stderr, file=sys.stderr)
    lines = done.stdout.splitlines()
    row: dict[str, Any] = json.loads(lines[-1]) if lines else {"error": f"run.py ended with {done.returncode}"}
    return row
