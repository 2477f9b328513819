"""Who may read and write what a station lives on: configuration, secrets, store, accounts, socket."""

import itertools
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agent.checks.check import secret_places
from agent.inspection.finding import Finding, Subject

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_ANY = stat.S_IRWXG | stat.S_IRWXO
# Five years of days, with their companions.
_LOOKED_AT_MAX = 10_000


def _mode(path: Path) -> int | None:
    with suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode)
    return None


def owners(subject: Subject) -> Iterator[Finding]:
    """What belongs to a third user that user can change, whatever its mode."""
    store = Path(subject.config.store.path)
    trusted = {0}
    with suppress(OSError):
        trusted.add(store.stat().st_uid)
    files = [Path(ref.file) for _, ref in secret_places(subject.config) if ref.file is not None]
    for path in dict.fromkeys(
        [subject.path, _update_keys(subject), *files, *(one.absolute().parent for one in [subject.path, *files])]
    ):
        with suppress(OSError):
            if (uid := path.stat().st_uid) not in trusted:
                yield Finding("owner-other", {"path": path, "user": _name(uid)})


def _name(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def _update_keys(subject: Subject) -> Path:
    return subject.path.absolute().parent / "update.vkey"


def update_keys(subject: Subject) -> Iterator[Finding]:
    """Who may write the pinned keys installs what program they like."""
    path = _update_keys(subject)
    mode = _mode(path)
    if mode is not None and mode & _OTHERS_WRITE:
        yield Finding("update-keys-mode", {"path": path, "mode": f"{mode:04o}"})


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
        key, folder = ".".join(map(str, place)), Path(ref.file).absolute().parent
        mode = _mode(Path(ref.file))
        if mode is not None and mode & _OTHERS_ANY:
            yield Finding("secret-open", {"key": key, "path": ref.file, "mode": f"{mode:04o}"})
        mode = _mode(folder)
        if mode is not None and mode & _OTHERS_WRITE and not mode & stat.S_ISVTX:
            yield Finding("secret-folder", {"key": key, "path": folder, "mode": f"{mode:04o}"})
        yield Finding("secret-file", {"key": key, "path": ref.file})


def store_mode(subject: Subject) -> Iterator[Finding]:
    """Records of persons and places are for the service and its group, and nobody else writes them."""
    store = Path(subject.config.store.path)
    mode = _mode(store)
    if mode is not None and mode & stat.S_IRWXO:
        yield Finding("store-mode", {"path": store, "mode": f"{mode:04o}"})
    inside = itertools.chain([store], store.glob("*"), store.glob("segments/*"))
    open_ones = []
    for path in itertools.islice(inside, _LOOKED_AT_MAX):
        with suppress(OSError):
            found = path.lstat().st_mode
            if found & _OTHERS_WRITE and not stat.S_ISSOCK(found) and not stat.S_ISLNK(found):
                open_ones.append((path, stat.S_IMODE(found)))
    if open_ones:
        path, mode = open_ones[0]
        yield Finding("store-writable", {"path": path, "mode": f"{mode:04o}", "count": len(open_ones)})


def socket_mode(subject: Subject) -> Iterator[Finding]:
    """Who may open the socket may start a calibration."""
    path = Path(subject.config.socket)
    mode = _mode(path)
    if mode is not None and mode & stat.S_IRWXO:
        yield Finding("socket-mode", {"path": path, "mode": f"{mode:04o}"})
    mode = _mode(path.parent)
    if mode is not None and mode & stat.S_IWOTH:
        yield Finding("socket-folder", {"path": path.parent, "mode": f"{mode:04o}"})
