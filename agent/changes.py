"""What differs between two configurations, what of it a running station takes over, and who wrote the file."""

import hashlib
import json
import pwd
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from agent.config import Config
from metrology.periods import iso

# Keys of an instrument's block that are taken over while the station runs. Driver, bus, kind, rule and the set of its
# series decide what others do with its values: uplinks, averages, sequences.
RELOADED: Final = frozenset(
    {"options", "unit", "poll_s", "expected_per_minute", "serial_number", "declared", "position", "series"}
)
# A record is bounded (256 KiB): a document longer than this is told by its sum alone, and no more changes than these.
DOCUMENT_BYTES_MAX: Final = 128 * 1024
CHANGES_MAX: Final = 500
CHANGES_BYTES_MAX: Final = 64 * 1024
VERSION: Final = 1
# What the kernel gives as the login of a process nobody logged in for (audit_loginuid unset).
NO_LOGIN: Final = 0xFFFFFFFF

Changes = Mapping[str, list[Any]]


def document_of(config: Config) -> dict[str, Any]:
    """The whole configuration with its defaults as JSON has it. Secrets are named by their place alone."""
    return config.model_dump(mode="json")


def fingerprint(config: Config) -> str:
    """SHA-256 of the document's canonical text, the same for files that mean the same."""
    text = json.dumps(document_of(config), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[Any]]:
    """`{dotted key: [before, after]}` of every value that differs; null where a document lacks the key."""
    before, after = dict(_values(old, "")), dict(_values(new, ""))
    keys = [*before, *(key for key in after if key not in before)]
    return {key: [before.get(key), after.get(key)] for key in keys if before.get(key) != after.get(key)}


def _values(document: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from _values(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def changed_instruments(old: Config, new: Config) -> list[str]:
    """Instruments of both whose blocks differ."""
    return [name for name, block in new.instruments.items() if old.instruments.get(name, block) != block]


def needs_restart(old: Config, new: Config) -> list[str]:
    """Changed keys that a running station does not take over, a whole block that came or went by its own name."""
    found = dict.fromkeys(_refused(key, old, new) for key in difference(document_of(old), document_of(new)))
    return [key for key in found if key]


def _refused(key: str, old: Config, new: Config) -> str:
    """The key to name where a changed one needs a restart, else nothing."""
    section, *rest = key.split(".")
    before, after = getattr(old, section), getattr(new, section)
    if isinstance(before, dict):
        if not rest:
            return ""  # empty before or after: its blocks are named one by one
        if (rest[0] in before) != (rest[0] in after):
            return f"{section}.{rest[0]}"
    if section != "instruments":
        return key
    name, part = rest[0], rest[1]
    if part == "series" and old.instruments[name].series.keys() != new.instruments[name].series.keys():
        return f"{section}.{name}.series"
    return "" if part in RELOADED else key


def author(path: Path) -> dict[str, Any]:
    """Who stands behind a configuration: the file, its owner and time of change, and the person logged in, if any."""
    found: dict[str, Any] = {"file": str(path)}
    with suppress(OSError):
        status = path.stat()
        found |= {"owner": _user(status.st_uid), "modified": iso(datetime.fromtimestamp(status.st_mtime, UTC))}
    with suppress(OSError, ValueError):
        login = int(Path("/proc/self/loginuid").read_text())
        if login != NO_LOGIN:
            found["login"] = _user(login)
    return found


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def config_fields(
    config: Config, rate: float, *, former: Mapping[str, Any] | None, origin: str, by: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Members of a `config` record. `former` is the document in force before, None where there was none."""
    document = document_of(config)
    fields: dict[str, Any] = {
        "sha256": fingerprint(config),
        "version": VERSION,
        "software": metadata.version("plumeline"),
        "rate": rate,
        "origin": origin,
    }
    if len(json.dumps(document)) <= DOCUMENT_BYTES_MAX:
        fields["document"] = document
    if by is not None:
        fields["by"] = dict(by)
    if former is not None:
        changes = difference(former, document)
        fields["changes"] = told = dict(_bounded(changes))
        if len(changes) > len(told):
            fields["changes_left_out"] = len(changes) - len(told)
    return fields


def _bounded(changes: Changes) -> Iterator[tuple[str, list[Any]]]:
    """The first changes, as many as a record holds."""
    size = 0
    for key, change in list(changes.items())[:CHANGES_MAX]:
        size += len(json.dumps([key, change]))
        if size <= CHANGES_BYTES_MAX:
            yield key, change
