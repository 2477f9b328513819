"""What is installed here: our files, components they need, drivers of others; each with what proves it is the same."""

import base64
import hashlib
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import Any, Final

OURS: Final = "plumeline"
DRIVERS: Final = "plumeline.drivers"
# Parts of an installation that may be left out; what builders need is no part of any.
EXTRAS: Final = frozenset({"page", "reports", "firmware"})
COMPONENTS_MAX: Final = 200
_REQUIRES: Final = re.compile(r"([A-Za-z0-9._-]+)[^;]*(?:;(.*))?")
_EXTRA: Final = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")


@dataclass(frozen=True, slots=True)
class Component:
    """One distribution. `sha256` is of the list of its files' hashes, as it was installed."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver that is not ours: who brings it, and the hash of the files that came with it, as they are now."""

    name: str
    distribution: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Software:
    """All of it. `sha256` is of our own files as they are now, by name and content."""

    version: str
    python: str
    files: int
    sha256: str
    components: tuple[Component, ...]
    drivers: tuple[Driver, ...]

    def fields(self) -> dict[str, Any]:
        """Members of the `software` event."""
        listed = "\n".join(f"{one.name} {one.version} {one.sha256}" for one in self.components)
        return {
            "version": self.version, "python": self.python, "files": self.files, "sha256": self.sha256,
            "components": {one.name: one.version for one in self.components},
            "components_sha256": hashlib.sha256(listed.encode()).hexdigest(),
            "drivers": [
                {"name": one.name, "distribution": one.distribution, "version": one.version, "sha256": one.sha256}
                for one in self.drivers
            ],
        }  # fmt: skip


@cache
def software() -> Software:
    """Look once in the life of a process: some 500 files of ours are read."""
    own = distribution(OURS)
    files = list(_own_files())
    versions = own.version, platform.python_version()
    return Software(*versions, len(files), _digest(files), tuple(components()), tuple(foreign_drivers()))


def components() -> list[Component]:
    """What our distribution needs, and what that needs, by name; what is not installed is left out."""
    found: dict[str, Component] = {}
    waiting = [OURS]
    while waiting and len(found) < COMPONENTS_MAX:
        name = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            one = distribution(name)
        except PackageNotFoundError:
            continue
        found[key] = Component(key, one.version, _listed(one))
        waiting += _required(one)
    return [found[key] for key in sorted(found)]


def foreign_drivers() -> list[Driver]:
    """Drivers that other distributions bring. They run in the daemon, with its limits and no others."""
    rows = []
    for point in entry_points(group=DRIVERS):
        dist = point.dist
        if dist is not None and dist.name.lower() != OURS:
            rows.append(Driver(point.name, dist.name, dist.version, _digest(files_of(dist))))
    return sorted(rows, key=lambda one: one.name)


def altered() -> list[str]:
    """Files that are not as they were installed, of ours, of components and of drivers; absent ones too."""
    names = {one.name for one in components()} | {one.distribution for one in foreign_drivers()}
    return sorted(path for name in names for path in _altered(distribution(name)))


def _altered(dist: Distribution) -> Iterator[str]:
    for file in dist.files or ():
        if file.hash is None or file.hash.mode != "sha256":
            continue
        place = Path(str(dist.locate_file(file)))
        try:
            with place.open("rb") as opened:
                now = hashlib.file_digest(opened, "sha256").digest()
        except OSError:
            now = b""
        if now != _decoded(file.hash.value):
            yield str(place)


def _decoded(value: str) -> bytes:
    """A hash as RECORD writes it: base64 for URLs without its padding."""
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def _required(dist: Distribution) -> list[str]:
    names = []
    for line in dist.requires or ():
        found = _REQUIRES.match(line)
        extra = _EXTRA.search(line)
        ours = dist.name.lower() == OURS
        if found and (extra is None or (ours and extra[1] in EXTRAS)):
            names.append(found[1])
    return names


def _listed(dist: Distribution) -> str:
    """Hash of the list of files and hashes that the installer wrote."""
    return hashlib.sha256((dist.read_text("RECORD") or "").encode()).hexdigest()


def files_of(dist: Distribution) -> list[tuple[str, Path]]:
    """Name and place of each file of a distribution, but for what Python makes of them."""
    files = [(str(file), Path(str(dist.locate_file(file)))) for file in dist.files or ()]
    return sorted((name, place) for name, place in files if "__pycache__" not in name and place.is_file())


def _own_files() -> Iterator[tuple[str, Path]]:
    """Our folders as they lie there: an installation from a tree lists none of them."""
    top = Path(__file__).resolve().parent.parent.parent
    for folder in ("agent", "calibration", "drivers", "firmware_bridge", "host", "metrology", "protocols", "web"):
        for path in sorted((top / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(top).as_posix(), path


def _digest(files: list[tuple[str, Path]]) -> str:
    whole = hashlib.sha256()
    for name, path in files:
        with path.open("rb") as file:
            whole.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()} {name}\n".encode())
    return whole.hexdigest()
