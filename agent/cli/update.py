"""`plumeline update`: signed updates of this station's software, on trial first, rolled back by themselves."""

import argparse
import asyncio
import getpass
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from agent.cli.words import say
from agent.config import Config
from agent.update import guard as trial
from agent.update import install as installing
from agent.update.bundle import BundleError, fitting, verified
from agent.update.manifest import pinned
from agent.update.versions import Update, Versions
from host.control import RequestError, ask
from host.hjson import load
from host.problems import ConfigErrors
from protocols.tlog import NoteError

SERVICE: Final = "plumeline-agent.service"
GUARD: Final = "plumeline-update-guard.timer"


def verify(line: argparse.Namespace) -> int:
    """Look at a bundle; 1 where it is not to be installed here, 2 where no key is pinned."""
    keys = _keys(line)
    if keys is None:
        return 2
    try:
        manifest = verified(Path(line.bundle), keys)
        fitting(manifest)
    except (BundleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    told = {**asdict(manifest), "manifest": installing.digest(manifest)}
    return _print(line, told, say("update.good", line.lang, **{**told, "files": len(manifest.files)}))


def install(line: argparse.Namespace) -> int:
    """Install a bundle and take it into use; 1 where that is refused or fails: then nothing has changed."""
    keys = _keys(line)
    if keys is None:
        return 2
    versions = Versions(Path(line.root))
    # Whatever root's own mask is: the service reads what is installed.
    os.umask(0o022)
    try:
        config = load(line.config, Config, line.lang)
        wanted = installing.Wanted(
            Path(line.bundle).resolve(),
            keys,
            Path(line.config).resolve(),
            Path(config.store.path),
            _who(line),
            line.allow_downgrade,
        )
        update = installing.install(versions, wanted, lambda _, new: asyncio.run(_announced(config.socket, new)))
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    except (installing.UpdateError, BundleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    restarted = _restart()
    guarded = _systemctl("start", GUARD)
    said = say("update.trial", line.lang, **asdict(update))
    if not (restarted and guarded):
        said += "\n" + say("update.by-hand", line.lang, service=SERVICE, guard=GUARD)
    return _print(line, {**asdict(update), "restarted": restarted, "guarded": guarded}, said)


def rollback(line: argparse.Namespace) -> int:
    """Have the former version be in use again; 1 where there is none."""

    def _back(versions: Versions) -> Update:
        return versions.roll_back(f"{_who(line)}: {line.reason}")

    return _changed(line, _back)


def _changed(line: argparse.Namespace, change: Callable[[Versions], Update]) -> int:
    try:
        done = change(Versions(Path(line.root)))
    except (LookupError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    restarted = _restart()
    said = say("update.back", line.lang, **asdict(done))
    if not restarted:
        said += "\n" + say("update.by-hand", line.lang, service=SERVICE, guard=GUARD)
    return _print(line, {**asdict(done), "restarted": restarted}, said)


def status(line: argparse.Namespace) -> int:
    """Which versions lie here, which is in use, what became of the last update; 1 where nothing is installed so."""
    versions = Versions(Path(line.root))
    last = versions.update()
    current = versions.current()
    told = {"current": current, "versions": versions.names(), "last": asdict(last) if last else None}
    rows = [f"{'*' if one == current else ' '} {one}" for one in versions.names()]
    if last:
        rows.append(say(f"update.{last.phase}", line.lang, **asdict(last)))
    _print(line, told, "\n".join(rows) or say("update.none", line.lang, root=line.root))
    return int(current is None)


def guard(line: argparse.Namespace) -> int:
    """One look at a trial, by the timer of the service manager; 1 where the version was rolled back."""
    try:
        verdict = trial.look(Versions(Path(line.root)), _restart)
    except (LookupError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if verdict != "trial":
        _systemctl("stop", GUARD)
    _print(line, {"verdict": verdict}, say("update.verdict", line.lang, verdict=verdict))
    return int(verdict == "rolled-back")


def _keys(line: argparse.Namespace) -> list[str] | None:
    """Keys that are pinned; None where there are none to believe."""
    try:
        return pinned(Path(line.keys).read_text(encoding="utf-8"))
    except (OSError, UnicodeError, NoteError) as error:
        print(say("update.no-keys", line.lang, keys=line.keys, error=error), file=sys.stderr)
        return None


async def _announced(socket: str, update: Update) -> None:
    """The running daemon puts it on record, or refuses. One that does not run hinders nobody."""
    request: dict[str, Any] = {"do": "update-begin"}
    request |= {"id": update.id, "version": update.version, "manifest": update.manifest, "who": update.who}
    try:
        async for _ in ask(socket, {"do": "status"}):
            break
    except RequestError:
        return
    try:
        async for _ in ask(socket, request):
            pass
    except RequestError as error:
        raise installing.UpdateError(str(error)) from error


def _restart() -> bool:
    return _systemctl("daemon-reload") and _systemctl("restart", SERVICE)


def _systemctl(*words: str) -> bool:
    """Ask the service manager, where there is one and it is ours to ask."""
    if os.geteuid() != 0 or not Path("/run/systemd/system").is_dir():
        return False
    return subprocess.run(["systemctl", *words], check=False, stdin=subprocess.DEVNULL).returncode == 0


def _who(line: argparse.Namespace) -> str:
    return str(line.who or getpass.getuser())


def _print(line: argparse.Namespace, told: dict[str, Any], text: str) -> int:
    print(json.dumps(told, ensure_ascii=False) if line.json else text)
    return 0
