"""`plumeline run`: the daemon in the foreground, as the service manager starts it."""

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.words import say
from host.clock import RealClock, clock_from
from host.hardening import keep_memory_private
from metrology.clock import Clock

if TYPE_CHECKING:
    from agent.config import Config


def run(line: argparse.Namespace) -> int:
    """Check the configuration and run the station until SIGTERM; errors of the configuration are said and end it."""
    keep_memory_private()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        clock = clock_from(line.clock)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if code := _checked_apart(line, clock):
        return code
    from agent.config import Config
    from host.hjson import read, validate

    # The document is not kept: a station runs for years, its file's own form is needed no more.
    config = validate(read(line.config, line.lang)[0], Config)
    if isinstance(clock, RealClock):
        clock.helper = config.clock.helper
    from agent.store.held import StoreHeldError, held

    with contextlib.ExitStack() as until_the_end:
        try:
            until_the_end.enter_context(held(Path(config.store.path)))
        except StoreHeldError as error:
            said = say("store-held", line.lang, store=config.store.path, process=error.holder)
            print(said, file=sys.stderr)
            return 1
        except OSError as error:
            print(error, file=sys.stderr)
            return 1
        return _serve(line, config, clock)


def _serve(line: argparse.Namespace, config: "Config", clock: Clock) -> int:
    from agent.daemon import serve

    if line.record is None:
        asyncio.run(serve(config, clock, Path(line.config)))
        return 0
    from agent.wires.recording import Recorder

    try:
        recorder = Recorder(Path(line.record), config, clock)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    with contextlib.closing(recorder):
        asyncio.run(serve(config, clock, Path(line.config), recorder.wire))
    return 0


def _checked_apart(line: argparse.Namespace, clock: Clock) -> int:
    """Check in a process of its own: the libraries that only a check needs end with it, and the daemon stays small."""
    child = os.fork()
    if not child:
        code = _check(line, clock)
        sys.stderr.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _check(line: argparse.Namespace, clock: Clock) -> int:
    from agent.checks.check import check_file

    checked = check_file(line.config, now=clock.now(), wall=datetime.now(UTC), lang=line.lang)
    for problem in checked.problems:
        print(problem, file=sys.stderr)
    if checked.config and clock.rate != 1 and not checked.config.station.simulated:
        print(say("real-key", line.lang, config=line.config), file=sys.stderr)
        return 1
    # What `check` may leave open outside the service is missing for good here.
    outside = any(problem.code == "secret-outside" for problem in checked.problems)
    return int(checked.config is None or outside)
