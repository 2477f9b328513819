"""`plumeline version` and `plumeline drivers`: what is installed here, and whether it still is as it was installed."""

import argparse
import json
from dataclasses import asdict
from importlib.metadata import version as version_of
from typing import Any

from agent.cli.words import say
from agent.update.software import OURS, altered, foreign_drivers, software


def version(line: argparse.Namespace) -> int:
    """Our version, the components on demand; 1 where a file is not as it was installed."""
    told: dict[str, Any] = {"version": version_of(OURS)}
    rows = [f"{OURS} {told['version']}"]
    if line.components:
        found = software()
        told |= asdict(found)
        rows += [f"{one.name} {one.version} {one.sha256}" for one in found.components if one.name != OURS]
    if line.verify:
        told["altered"] = changed = altered()
        rows += [say("version.altered", line.lang, path=path) for path in changed]
        rows += [] if changed else [say("version.whole", line.lang)]
    print(json.dumps(told) if line.json else "\n".join(rows))
    return int(bool(told.get("altered")))


def drivers(line: argparse.Namespace) -> int:
    """Drivers that are not ours, with whose they are and the hash of the files that came with them."""
    found = foreign_drivers()
    if line.json:
        print(json.dumps([asdict(one) for one in found]))
    else:
        rows = [f"{one.name}  {one.distribution} {one.version}  sha256 {one.sha256}" for one in found]
        print("\n".join(rows) or say("drivers.none", line.lang))
    return 0
