"""A new version is put beside the old one, tried, and taken into use; what goes wrong on the way changes nothing."""

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.update.bundle import fitting, verified
from agent.update.manifest import REQUIREMENTS, Manifest, order
from agent.update.versions import Update, Versions

SELF_TEST_WALL_S: Final = 300


class UpdateError(Exception):
    """An update that is refused or did not succeed; nothing is in use that was not before."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be installed: a bundle, by pinned keys, for the station of a configuration and its store, by whom."""

    bundle: Path
    vkeys: list[str]
    config: Path
    store: Path
    who: str
    downgrade: bool = False


def install(versions: Versions, wanted: Wanted, before: Callable[[Manifest, Update], None]) -> Update:
    """Install and take into use. `before` is called when all but the switch is done and may raise UpdateError.

    Raises UpdateError, BundleError, OSError.
    """
    manifest = verified(wanted.bundle, wanted.vkeys)
    fitting(manifest)
    former = versions.current()
    if (last := versions.update()) and last.phase == "trial":
        raise UpdateError(f"{last.version} is on trial: wait for the end of it, or roll it back")
    if former and not wanted.downgrade and order(manifest.version) < order(former):
        raise UpdateError(f"{manifest.version} is older than {former}: --allow-downgrade")
    try:
        folder = versions.begin(manifest.version)
    except FileExistsError as error:
        raise UpdateError(str(error)) from error
    with ExitStack() as unless_whole:
        unless_whole.callback(shutil.rmtree, folder)
        _filled(folder, wanted)
        _self_test(folder, manifest.version, wanted.config)
        update = Update(secrets.token_hex(8), manifest.version, former, digest(manifest), wanted.who, str(wanted.store))
        before(manifest, update)
        os.sync()
        versions.whole(manifest.version)
        unless_whole.pop_all()
    # The state first: a power cut between the two leaves a trial of a version that is not in use, which its guard ends.
    versions.note(update)
    versions.use(manifest.version)
    versions.tidy()
    return update


def digest(manifest: Manifest) -> str:
    """Hash of what was signed, hexadecimal: with it the bundle is named in the log."""
    return hashlib.sha256(manifest.text().encode()).hexdigest()


def _filled(folder: Path, wanted: Wanted) -> None:
    """An environment of the bundle's wheels and nothing else, each looked at twice: by the manifest, and by pip."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        # Verified as it is unpacked: what was looked at before may have been exchanged since.
        verified(wanted.bundle, wanted.vkeys, Path(scratch))
        _run([sys.executable, "-m", "venv", str(folder)], "no environment could be made")
        pip = [str(folder / "bin" / "python"), "-I", "-m", "pip", "--isolated", "install"]
        how = [
            "-q",
            "--disable-pip-version-check",
            "--no-index",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--require-hashes",
        ]
        where = ["--find-links", f"{scratch}/wheels", "-r", f"{scratch}/{REQUIREMENTS}"]
        _run([*pip, *how, *where], "the wheels could not be installed")


def _self_test(folder: Path, version: str, config: Path) -> None:
    """The new version says its number, and takes the station's configuration for good."""
    program = str(folder / "bin" / "plumeline")
    said = _run([program, "--lang", "en", "version"], "it does not start")
    if version not in said.split():
        raise UpdateError(f"self-test: it calls itself {said.strip()[:100]!r}, not {version}")
    _run([program, "--lang", "en", "check", str(config)], "it refuses the station's configuration")


def _run(words: list[str], failing: str) -> str:
    try:
        ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=SELF_TEST_WALL_S, cwd="/")
    except (subprocess.TimeoutExpired, OSError) as error:
        raise UpdateError(f"{failing}: {error}") from error
    if ended.returncode:
        raise UpdateError(f"{failing}: {(ended.stderr or ended.stdout).strip()[-2000:]}")
    return ended.stdout
