"""`plumeline-central ca`, `enrol --code` and `revoke`: the authority, codes for stations, and what it takes back."""

import argparse
import getpass
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import apsw

from central import enrolments
from central.ca import Authority, AuthorityError, create, real_now
from central.config import SUBSCRIBER, AuthorityBlock, Config
from central.enrolment import authority_of, broker_folder
from central.store import Store
from host.hjson import load
from host.private import PUBLIC, write_whole
from host.problems import ConfigErrors, Lang, Sentences
from host.secrets import SecretError, read_secret
from metrology.periods import iso

CRL: Final = "crl.pem"
UMASK: Final = 0o077
# The broker is another user: it reads its key by the folder's group.
OF_GROUP: Final = 0o640
FAILURES: Final = (ConfigErrors, SecretError, AuthorityError, ValueError, OSError, apsw.Error)


def init(line: argparse.Namespace) -> int:
    """Make the authority and every certificate of the centre itself; 1 where one is there already."""
    try:
        block = _block(line)
        passphrase = read_secret(block.passphrase) if block.passphrase else None
        authority = create(Path(block.folder), f"Plumeline authority of {block.names[0]}", passphrase, _now())
        _own(authority, block)
        write_whole(broker_folder(block) / CRL, authority.revocations((), None, _now()), PUBLIC)
    except FAILURES as error:
        print(error, file=sys.stderr)
        return 1
    return _told(line, authority, block, "ca.made")


def renew(line: argparse.Namespace) -> int:
    """Make the centre's own certificates anew: enrolment, broker, subscriber. The authority stays."""
    try:
        block = _block(line)
        authority = authority_of(block)
        _own(authority, block)
        with _store(load(line.config, Config, line.lang)) as store:
            _write_list(authority, block, store)
    except FAILURES as error:
        print(error, file=sys.stderr)
        return 1
    return _told(line, authority, block, "ca.renewed")


def show(line: argparse.Namespace) -> int:
    """Print what stations pin."""
    try:
        block = _block(line)
        authority = authority_of(block)
    except FAILURES as error:
        print(error, file=sys.stderr)
        return 1
    return _told(line, authority, block, "ca.shown")


def code(line: argparse.Namespace, config: Config) -> int:
    """Make a one-time code for a station and say what to do with it there."""
    block = config.authority
    who, valid_s = line.who or getpass.getuser(), line.valid * 3600
    if block is None or not 0 < line.valid <= 24 * 31:
        print(_say("enrol.no-authority" if block is None else "enrol.valid", line.lang), file=sys.stderr)
        return 2
    try:
        fingerprint = authority_of(block).fingerprint
        with _store(config) as store:
            made = enrolments.make_code(store.db, line.station, who, valid_s, time.time())
    except FAILURES as error:
        print(error, file=sys.stderr)
        return 1
    told = {
        "station": line.station, "code": made, "until": iso(datetime.now(UTC) + timedelta(seconds=valid_s)),
        "centre": _address(block), "fingerprint": fingerprint,
    }  # fmt: skip
    print(json.dumps(told) if line.json else _say("enrol.code", line.lang, **told))
    return 0


def revoke(line: argparse.Namespace) -> int:
    """Take back every certificate of a station, and write the list for the broker."""
    try:
        block = _block(line)
        config = load(line.config, Config, line.lang)
        if line.station not in config.stations:
            raise ValueError(f"{line.station}: one of {', '.join(sorted(config.stations))}")
        authority = authority_of(block)
        with _store(config) as store:
            who = line.who or getpass.getuser()
            serials = enrolments.revoke(store.db, line.station, who, line.reason, time.time())
            file = _write_list(authority, block, store)
    except FAILURES as error:
        print(error, file=sys.stderr)
        return 1
    told = {"station": line.station, "serials": serials, "file": str(file)}
    if not serials and not line.json:
        print(_say("revoked-none", line.lang, station=line.station))
        return 0
    print(json.dumps(told) if line.json else _say("revoked", line.lang, **{**told, "serials": ", ".join(serials)}))
    return 0


def _block(line: argparse.Namespace) -> AuthorityBlock:
    block = load(line.config, Config, line.lang).authority
    if block is None:
        raise AuthorityError(_say("enrol.no-authority", line.lang))
    return block


@contextmanager
def _store(config: Config) -> Iterator[Store]:
    """The store beside a running centre, whose commits it waits for."""
    os.umask(UMASK)
    store = Store(config.store, config.stations, time.time)
    try:
        yield store
    finally:
        store.close()


def _own(authority: Authority, block: AuthorityBlock) -> None:
    folder, broker = Path(block.folder), broker_folder(block)
    # Who reads the broker's files is the site's affair: a folder that is there keeps its group and mode.
    broker.mkdir(mode=0o750, parents=True, exist_ok=True)
    authority.own_files(folder, "enrolment", block.names, _now())
    authority.own_files(folder, "centre", (), _now(), SUBSCRIBER)
    authority.own_files(broker, "broker", block.names, _now())
    (broker / "broker.key").chmod(OF_GROUP)
    write_whole(broker / "ca.pem", authority.pem, PUBLIC)


def _write_list(authority: Authority, block: AuthorityBlock, store: Store) -> Path:
    file = broker_folder(block) / CRL
    before = file.read_bytes() if file.exists() else None
    write_whole(file, authority.revocations(enrolments.revoked(store.db), before, _now()), PUBLIC)
    return file


def _told(line: argparse.Namespace, authority: Authority, block: AuthorityBlock, what: str) -> int:
    told = {
        "fingerprint": authority.fingerprint, "until": iso(authority.certificate.not_valid_after_utc),
        "folder": block.folder, "broker": str(broker_folder(block)), "centre": _address(block),
    }  # fmt: skip
    print(json.dumps(told) if line.json else _say(what, line.lang, **told))
    return 0


def _address(block: AuthorityBlock) -> str:
    host = f"[{block.names[0]}]" if ":" in block.names[0] else block.names[0]
    return f"https://{host}:{block.listen.port}"


def _now() -> datetime:
    return real_now(time.time())


def _say(name: str, lang: Lang, **values: object) -> str:
    return str(Sentences("central", "cli.toml").table[f"say.{name}"][lang]).format(**values)
