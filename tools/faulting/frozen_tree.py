"""Runs a campaign on a tree that nobody changes meanwhile: a copy of the sources in a folder of its own.

    frozen_tree.py NAME [ARGUMENTS]

Whose results are kept (`--state`) runs what is committed, so that each line of results names its commit; anything else,
the replay of a failure above all, runs the files as they stand. `PLUMELINE_FAULTS_COMMIT` says which to the campaign.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COMMIT = "PLUMELINE_FAULTS_COMMIT"
FOLDERS = ("--state", "--folder")


def git(*words: str) -> bytes:
    """What git says in this tree; empty where it is none."""
    try:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""


def copy(target: Path, committed: bool) -> str:
    """Fill the folder; gives the commit, marked where more than it is there, empty where nobody knows."""
    commit = git("rev-parse", "--short", "HEAD").decode().strip()
    if not commit:
        subprocess.run(["cp", "-a", f"{ROOT}/.", str(target)], check=True)
        return ""
    if committed:
        subprocess.run(["tar", "-x", "-C", str(target)], input=git("archive", commit), check=True)
    else:
        names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        there = b"\0".join(name for name in names.split(b"\0") if name and (ROOT / os.fsdecode(name)).exists())
        tar = ["tar", "-C", str(ROOT)]
        packed = subprocess.run([*tar, "-c", "--null", "-T", "-"], input=there, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(target)], input=packed, check=True)
    (target / ".venv").symlink_to(ROOT / ".venv")
    return commit if committed or not git("status", "--porcelain") else f"{commit}-dirty"


def run(target: Path, commit: str, name: str, arguments: list[str]) -> int:
    """The campaign's own exit code. Our end is its end."""
    environment = os.environ | {"PYTHONPATH": str(target), COMMIT: commit}
    command = [sys.executable, str(target / "tools" / "faulting" / f"{name}.py"), *arguments]
    # A child takes its packages from the folder it runs in before any other.
    child = subprocess.Popen(command, env=environment, cwd=target)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda told, _: child.send_signal(told))
    return child.wait()


def absolute(arguments: list[str]) -> list[str]:
    """Arguments whose folders mean the same in another folder."""
    found = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        option, equals, value = word.partition("=")
        if before in FOLDERS:
            word = str(Path(word).absolute())
        elif equals and option in FOLDERS:
            word = f"{option}={Path(value).absolute()}"
        found.append(word)
    return found


def main(name: str, arguments: list[str]) -> int:
    """See above."""
    committed = any(word.partition("=")[0] == "--state" for word in arguments)
    with tempfile.TemporaryDirectory(prefix="faults-tree-") as folder:
        return run(Path(folder), copy(Path(folder), committed), name, absolute(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
