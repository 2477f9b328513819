"""Who may read and write what a station lives on: configuration, secrets, store, accounts, socket."""

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agent.checks.check import secret_places
from agent.inspection.finding import Finding, Subject

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_ANY = stat.S_IRWXG | stat.S_IRWXO


def _mode(path: Path) -> int | None:
    with suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode)
    return None


def config_mode(subject: Subject) -> Iterator[Finding]:
    """Who may write the configuration decides what is measured."""
    for path in (subject.path, subject.path.absolute().parent):
        mode = _mode(path)
        if mode is not None and mode & _OTHERS_WRITE and not mode & stat.S_ISVTX:
            yield Finding("config-mode", {"path": path, "mode": f"{mode:04o}"})


def secrets(subject: Subject) -> Iterator[Finding]:
    """Secrets lie in systemd credentials, encrypted to this machine; a plain file is readable from a stolen disk."""
    for place, ref in secret_places(subject.config):
        if ref.file is None:
            continue
        mode = _mode(Path(ref.file))
        if mode is not None and mode & _OTHERS_ANY:
            yield Finding("secret-open", {"key": ".".join(map(str, place)), "path": ref.file, "mode": f"{mode:04o}"})
        yield Finding("secret-file", {"key": ".".join(map(str, place)), "path": ref.file})


def store_mode(subject: Subject) -> Iterator[Finding]:
    """Records of persons and places are for the service and its group."""
    mode = _mode(Path(subject.config.store.path))
    if mode is not None and mode & stat.S_IRWXO:
        yield Finding("store-mode", {"path": subject.config.store.path, "mode": f"{mode:04o}"})


def socket_mode(subject: Subject) -> Iterator[Finding]:
    """Who may open the socket may start a calibration."""
    path = Path(subject.config.socket)
    mode = _mode(path)
    if mode is not None and mode & stat.S_IRWXO:
        yield Finding("socket-mode", {"path": path, "mode": f"{mode:04o}"})
    mode = _mode(path.parent)
    if mode is not None and mode & stat.S_IWOTH:
        yield Finding("socket-folder", {"path": path.parent, "mode": f"{mode:04o}"})
