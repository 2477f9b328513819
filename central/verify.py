"""`plumeline-central verify`: evidence for an interval, as canonical JSON and as a signed text that names its hash."""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from central.config import Config
from central.evidence import Evidence, Place, wrong
from central.queries import open_reader
from central.reports import OFFSET_H, signer_of
from host.hjson import load
from host.problems import ConfigErrors, Lang, Sentences
from host.reports.make import now
from host.reports.spans import interval
from host.secrets import SecretError, read_secret
from metrology.periods import iso
from protocols.record import encode
from protocols.tlog import NoteError
from protocols.tlog_cosign import cosigner_from_seed

# Events and ranges that the readable text shows; the JSON has them all.
SHOWN_MAX: Final = 20
SHOWN_CHARACTERS: Final = 300
# All numbers that a record can have (below 2^53) and canonical JSON can say.
DIGITS_MAX: Final = 15


def verify(line: argparse.Namespace) -> int:
    """Write the evidence; 1 where something speaks against the data or nothing is held; 2 for a wrong request."""
    try:
        config = load(line.config, Config, line.lang)
        since, until = interval(line.since, line.until, OFFSET_H)
        station = config.stations[line.station]
        wanted = [_place(text) for text in line.record]
        signer = signer_of(config, line.key)
        witness = _witness(config)
        db = open_reader(config.store)
    except KeyError:
        print(f"--station {line.station}: one of {', '.join(sorted(config.stations))}", file=sys.stderr)
        return 2
    except (ConfigErrors, SecretError, NoteError, ValueError, OSError, apsw.Error) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        found = Evidence(db, line.station, station.vkey, iso(since), iso(until)).report(wanted)
    except apsw.Error as error:
        print(error, file=sys.stderr)
        return 2
    report = {"v": 1, "made": iso(now()), "witness": witness, **found}
    document = encode(report)
    text = "\n".join(_text(report, hashlib.sha256(document).hexdigest(), line.lang)) + "\n"
    note = signer.sign(text) if signer else f"{text}\n{_words().table['unsigned'][line.lang]}\n"
    if found["unproven"]:
        told = ", ".join(f"{epoch}:{seq}" for epoch, seq in found["unproven"])
        print(f"--record {told}: not held, or under no checkpoint that is believed", file=sys.stderr)
    if line.out:
        try:
            Path(line.out).write_bytes(document)
            Path(line.out).with_suffix(".txt").write_text(note, encoding="utf-8")
        except OSError as error:
            print(f"--out {line.out}: {error.strerror}", file=sys.stderr)
            return 2
    print(document.decode() if line.json else note, end="\n" if line.json else "")
    return int(wrong(report) > 0 or not report["records"])


def _place(text: str) -> Place:
    epoch, _, seq = text.partition(":")
    if not (epoch.isdecimal() and seq.isdecimal() and max(len(epoch), len(seq)) <= DIGITS_MAX):
        raise ValueError(f"--record {text}: write EPOCH:NUMBER, each of at most {DIGITS_MAX} digits")
    return int(epoch), int(seq)


def _witness(config: Config) -> str | None:
    """The key of the centre's own cosignatures, where it has one. Raises SecretError, NoteError."""
    if config.witness is None:
        return None
    return cosigner_from_seed(read_secret(config.witness.key).decode("ascii", "replace"), config.witness.name).vkey


def _words() -> Sentences:
    return Sentences("central", "evidence.toml")


def _text(report: dict[str, Any], digest: str, lang: Lang) -> Iterator[str]:
    table = _words().table

    def say(name: str, **values: Any) -> str:
        return str(table[name][lang]).format(**values)

    yield say("title", station=report["station"])
    yield say("interval", since=report["from"], until=report["to"], made=report["made"])
    yield say("key", vkey=report["vkey"])
    if report["witness"]:
        yield say("witness", vkey=report["witness"])
    for epoch in report["epochs"]:
        shown = ", ".join(f"{low}-{high}" for low, high in epoch["holes"][:SHOWN_MAX])
        yield say(
            "epoch", epoch=epoch["epoch"], first=epoch["first"], last=epoch["end"] - 1, holes=epoch["holes_count"],
            list=f": {shown}" if shown else "",
        )  # fmt: skip
        if epoch["witnessed_from"]:
            yield say("begins", epoch=epoch["epoch"], first=epoch["witnessed_from"])
        for seq, reason in epoch["set_aside"][:SHOWN_MAX]:
            yield say("set_aside", epoch=epoch["epoch"], seq=seq, reason=reason[:SHOWN_CHARACTERS])
    if not report["records"]:
        yield say("empty")
    yield say("records", kinds=_counts(report["records"]))
    yield say("checkpoints", verdicts=_counts(report["checkpoints"]), refused=len(report["checkpoints_refused"]))
    yield say("challenges", verdicts=_counts(report["challenges"]["verdicts"]))
    averages = report["averages"]
    yield say(
        "averages", held=averages["held"], included=averages["included"], cosigned=averages["cosigned"],
        altered=len(averages["altered"]), open=averages["not_included_count"],
    )  # fmt: skip
    yield say("gaps", count=len(report["gaps"]))
    for event in report["events"][:SHOWN_MAX]:
        detail = json.dumps(event["detail"], ensure_ascii=False)[:SHOWN_CHARACTERS]
        yield say("event", at=event["at"], what=event["what"], detail=detail)
    for proof in report["proofs"]:
        epoch, seq = proof["record"]
        yield say("proof", epoch=epoch, seq=seq, size=proof["size"], included=say("yes" if proof["included"] else "no"))
    for epoch, seq in report["unproven"]:
        yield say("unproven", epoch=epoch, seq=seq)
    yield say("verdict", count=wrong(report))
    yield say("digest", digest=digest)


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items())) or "0"
