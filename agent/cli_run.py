"""`plumeline run`: the daemon in the foreground, as the service manager starts it."""

import argparse
import asyncio
import logging
import sys
from datetime import UTC, datetime

from agent.check import check_file
from agent.daemon import serve
from host.clock import clock_from


def run(line: argparse.Namespace) -> int:
    """Check the configuration and run the station until SIGTERM; errors of the configuration are said and end it."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        clock = clock_from(line.clock)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    checked = check_file(line.config, now=clock.now(), wall=datetime.now(UTC), lang=line.lang)
    for problem in checked.problems:
        print(problem, file=sys.stderr)
    # What `check` may leave open outside the service is missing for good here.
    if checked.config is None or any(problem.code == "secret-outside" for problem in checked.problems):
        return 1
    asyncio.run(serve(checked.config, clock))
    return 0
