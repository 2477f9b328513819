"""Whether a station's configuration can run: its shape, its places, and what must agree between its parts.

Errors keep the daemon from starting, warnings never do: a station that once started always starts (design, 13.6).
"""

import base64
import binascii
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.checks.acts import check_guards, check_startable
from agent.checks.density import check_density
from agent.checks.findings import Findings
from agent.checks.firmware import check_firmware
from agent.checks.gas import check_gas
from agent.checks.instruments import check_instruments, infos, used
from agent.checks.page import check_page
from agent.checks.qa import check_qa
from agent.checks.space import check_space
from agent.checks.stacks import check_stacks
from agent.checks.uplinks import check_uplinks
from agent.checks.wires import check_wires
from agent.config import Config
from agent.config_hj212 import Hj212Uplink
from agent.config_wires import MqttWire
from host.hjson import read, validate
from host.problems import ConfigErrors, Lang, Problem
from host.secrets import SecretError, SecretRef, read_secret
from protocols.hj212.session import PW_FORM

KEY_BYTES: Final = 32
SM4_KEY_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration, None where it has errors; and all problems, by place."""

    config: Config | None
    problems: list[Problem]


def check_file(path: str | Path, *, now: datetime, wall: datetime | None = None, lang: Lang = "en") -> Checked:
    """Read and check a station's file, as its service would see the machine. Never raises for what is in it.

    `now` (aware UTC) is world time, by which cylinders expire; `wall` real time where that is another.
    """
    try:
        document, problems = read(path, lang)
        config = validate(document, Config)
    except ConfigErrors as errors:
        return Checked(None, errors.problems)
    find = Findings(document)
    known = infos(config, find)
    check_wires(config, wall or now, find)
    check_instruments(config, known, find)
    series = used(config, known)
    series |= check_stacks(config, series, now, find)
    check_gas(config, series, now, find)
    check_guards(config, series, find)
    check_qa(config, series, find)
    check_density(config, series, find)
    check_uplinks(config, series, wall or now, find)
    check_startable(config, find)
    check_firmware(config, find)
    check_page(config, wall or now, find)
    _secrets(config, find)
    _store(config, find)
    check_space(config, known, series, find)
    problems = sorted(problems + find.problems)
    return Checked(None if any(problem.severity == "error" for problem in problems) else config, problems)


def secret_places(config: Config) -> Iterator[tuple[tuple[str | int, ...], SecretRef]]:
    """Every secret of a configuration: where it is named, and where it lies."""
    yield ("ledger", "key"), config.ledger.key
    if config.page and config.page.tls:
        yield ("page", "tls", "key"), config.page.tls.key
    for name, bus in config.buses.items():
        if isinstance(bus.wire, MqttWire) and bus.wire.password:
            yield ("buses", name, "wire", "password"), bus.wire.password
    for name, uplink in config.uplinks.items():
        if isinstance(uplink, Hj212Uplink):
            yield ("uplinks", name, "pw"), uplink.pw
            if uplink.sm4_key:
                yield ("uplinks", name, "sm4_key"), uplink.sm4_key
            continue
        if uplink.tls:
            yield ("uplinks", name, "tls", "key"), uplink.tls.key
        for number, broker in enumerate(uplink.brokers):
            if broker.tls:
                yield ("uplinks", name, "brokers", number, "tls", "key"), broker.tls.key


def _secrets(config: Config, find: Findings) -> None:
    for path, ref in secret_places(config):
        place = (*path, "file" if ref.file is not None else "credential")
        try:
            secret = read_secret(ref)
        except SecretError as error:
            note = find.warn if error.code == "outside" else find.error
            note(f"secret-{error.code}", *place, place=error.place)
            continue
        if path == ("ledger", "key") and not _is_key(secret):
            find.error("key-form", *place, bytes=KEY_BYTES)
        # The secret itself is never part of a message.
        if path[-1] == "pw" and not re.fullmatch(PW_FORM, secret.decode("latin-1")):
            find.error("pw-form", *place)
        if path[-1] == "sm4_key" and len(secret) != SM4_KEY_BYTES:
            find.error("sm4-form", *place, bytes=SM4_KEY_BYTES)


def _is_key(secret: bytes) -> bool:
    try:
        return len(base64.b64decode(secret, validate=True)) == KEY_BYTES
    except binascii.Error:
        return False


def _store(config: Config, find: Findings) -> None:
    """The store is a folder that can be written, or can be made."""
    path = Path(config.store.path)
    # Not Path.exists, which raises where a folder on the way is closed.
    there = next(one for one in (path, *path.absolute().parents) if os.path.exists(one))
    if not there.is_dir():
        find.error("store-file", "store", "path", place=there)
    elif not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        find.error("store-closed", "store", "path", place=there, store=path)
