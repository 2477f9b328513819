"""`plumeline enrol`: keys made here, a certificate had at the centre by a one-time code, the block to add printed."""

import argparse
import getpass
import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from agent.cli.words import say
from agent.config import Config
from agent.enrol import Granted, enrol, new_key, new_seed
from agent.enrol_keys import KeyCredential, KeyFile, KeyPlace, KeyPlaceError, give, place_of
from host.enrolment import EnrolError
from host.hjson import load
from host.private import PUBLIC, write_whole
from host.problems import ConfigErrors, Lang
from host.secrets import SecretError
from host.tls import certificate_of
from metrology.periods import iso
from protocols.tlog import NoteError, signer_from_seed

REFUSALS: Final = frozenset({
    "code-wrong", "code-used", "code-expired", "code-replaced", "other-station", "other-network", "other-key",
    "slow-down",
})  # fmt: skip
TLS_KEY: Final = "tls-key"


def run(line: argparse.Namespace) -> int:
    """Enrol; 1 where that is refused or cannot be, 2 where the configuration cannot be read."""
    try:
        config = load(line.config, Config, line.lang)
    except ConfigErrors as error:
        print(error, file=sys.stderr)
        return 2
    store = Path(config.store.path)
    like = next(one for one in (store, *store.absolute().parents) if one.exists())
    folder = Path(line.dir) if line.dir else store.absolute() / "tls"
    creds = Path(line.creds).absolute() if line.creds else None
    try:
        ledger = place_of(config.ledger.key, creds, like)
        tls: KeyPlace = KeyCredential(creds, TLS_KEY) if creds else KeyFile(folder / "key.pem", like)
        code = line.code or _asked(line.lang)
        signer = signer_from_seed(
            ledger.read_or_make(new_seed).decode("ascii", "replace"), f"plumeline/{config.station.id}"
        )
        who = (config.station.id, config.station.network)
        key = tls.read_or_make(new_key)
        granted = enrol(line.centre, line.ca_fingerprint, code, who, signer, key, metadata.version("plumeline"))
        _keep(folder, granted, like)
    except EnrolError as error:
        print(_sentence(error, line.lang), file=sys.stderr)
        return 1
    except (KeyPlaceError, SecretError, NoteError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    told = _told(line.centre, folder, granted, tls.ref) | {"vkey": signer.vkey}
    units = [place.unit_line for place in (ledger, tls) if isinstance(place, KeyCredential)]
    _print(line, told, units)
    return 0


def _asked(lang: Lang) -> str:
    """The code, as a person types it or another program writes it; on no command line others could read."""
    if sys.stdin.isatty():
        return getpass.getpass(say("enrol.ask", lang) + " ")
    return sys.stdin.readline().strip()


def _keep(folder: Path, granted: Granted, like: Path) -> None:
    """Files that are no secret, each whole; the certificate last: with it the station is enrolled."""
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True)
        give(folder, like)
    for name, text in (("ca.pem", granted.authority), ("certificate.pem", granted.answer.certificate)):
        write_whole(folder / name, text.encode(), PUBLIC)
        give(folder / name, like)


def _told(centre: str, folder: Path, granted: Granted, key: dict[str, str]) -> dict[str, Any]:
    answer = granted.answer
    tls = {
        "ca": str(folder / "ca.pem"), "certificate": str(folder / "certificate.pem"), "key": key, "renew": centre,
    }  # fmt: skip
    block = {"kind": "mqtt", "host": answer.host, "port": answer.port, "tls": tls}
    if answer.witness:
        block["witness"] = answer.witness
    ends = certificate_of(answer.certificate.encode()).ends
    return {"uplinks": {"centre": block}, "until": iso(ends)}


def _print(line: argparse.Namespace, told: dict[str, Any], units: list[str]) -> None:
    if line.json:
        print(json.dumps({**told, "unit": units}, ensure_ascii=False))
        return
    block = json.dumps(told["uplinks"]["centre"], ensure_ascii=False, indent=2)
    print(say("enrol.done", line.lang, until=told["until"], vkey=told["vkey"], config=line.config))
    print(f"uplinks: {{\n  centre: {block.replace(chr(10), chr(10) + '  ')}\n}}")
    if units:
        print(say("enrol.unit", line.lang), *units, sep="\n")


def _sentence(error: EnrolError, lang: Lang) -> str:
    if error.code == "refused" and error.values["why"] in REFUSALS:
        return say(f"enrol.{error.values['why']}", lang)
    return say(f"enrol.{error.code}", lang, **error.values)
