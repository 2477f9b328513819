"""`plumeline replace`: this machine becomes the new hardware of a station whose old one is gone.

By the centre's signed handover the log begins with the next epoch. Its first records name the predecessor, the span
nobody kept, and bring back coefficients and cylinders, each with the number it had there.
"""

import argparse
import asyncio
import getpass
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import apsw

from agent.cli.words import say
from agent.config import Config
from agent.store.log import Log
from agent.store.segment import Segment, segment_name
from host.clock import clock_from
from host.hjson import load
from host.problems import ConfigErrors
from host.secrets import SecretError, read_secret
from metrology.periods import HOUR_S, iso
from protocols.record import RecordError, encode
from protocols.tlog import Frontier, NoteError, Signer, Verifier, open_note, signer_from_seed

HEADER: Final = "plumeline/handover/v1"
OWN: Final = frozenset({"v", "epoch", "seq", "kind", "t", "sim"})


def replace(line: argparse.Namespace) -> int:
    """Begin the epoch; 1 where the handover is refused or a log is here already, 2 where something cannot be read."""
    try:
        given = json.loads(Path(line.handover).read_bytes())
        document = _believed(given, line.centre)
    except (KeyError, TypeError):
        print(f"{line.handover}: no handover as plumeline-central handover writes it", file=sys.stderr)
        return 1
    except (OSError, ValueError, RecordError) as error:
        print(f"{line.handover}: {error}", file=sys.stderr)
        return 1
    if not Path(line.config).exists() and document["config"]:
        Path(line.config).write_text(json.dumps(document["config"], ensure_ascii=False, indent=2), encoding="utf-8")
        print(say("replace.config", line.lang, config=line.config), file=sys.stderr)
        return 1
    try:
        config = load(line.config, Config, line.lang)
        seed = read_secret(config.ledger.key).decode("ascii", "replace")
        signer = signer_from_seed(seed, f"plumeline/{config.station.id}")
    except (ConfigErrors, SecretError, NoteError) as error:
        print(error, file=sys.stderr)
        return 2
    if refusal := _refusal(config, document, signer):
        print(say(f"replace.{refusal}", line.lang, station=document["station"], vkey=signer.vkey), file=sys.stderr)
        return 1
    who = line.who or getpass.getuser()
    try:
        count = asyncio.run(_begun(config, document, given["note"], signer, (who, line.reason)))
    except (apsw.Error, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    told = {"epoch": document["epoch"] + 1, "former": document["epoch"], "records": count}
    print(json.dumps(told) if line.json else say("replaced", line.lang, **told))
    return 0


def _believed(given: Mapping[str, Any], vkey: str) -> dict[str, Any]:
    """The document, where the centre signed it. Raises NoteError, KeyError, TypeError, ValueError."""
    document: dict[str, Any] = given["document"]
    text, _ = open_note(given["note"], [Verifier.from_vkey(vkey)])
    digest = hashlib.sha256(encode(document)).hexdigest()
    if text != f"{HEADER}\n{document['station']}\n{document['epoch']}\n{digest}\n":
        raise NoteError("what the centre signed is another handover")
    return document


def _refusal(config: Config, document: Mapping[str, Any], signer: Signer) -> str:
    if document["station"] != config.station.id:
        return "other-station"
    if document["vkey"] not in (None, signer.vkey):
        return "other-key"
    if any((Path(config.store.path) / "segments").glob("log-*.db")):
        return "log-here"
    return ""


async def _begun(config: Config, document: Mapping[str, Any], note: str, signer: Signer, by: tuple[str, str]) -> int:
    station, segments = config.station, Path(config.store.path) / "segments"
    segments.mkdir(parents=True, exist_ok=True)
    epoch = document["epoch"] + 1
    Segment.create(segments / segment_name(epoch, 0), epoch, 0, Frontier(), ()).close()
    clock = clock_from(None)
    log = Log(
        segments, clock, station_id=station.id, signer=signer, simulated=station.simulated,
        day_offset_s=int(station.day_start_utc_offset_h * HOUR_S),
    )  # fmt: skip
    running = asyncio.create_task(log.run())
    try:
        former = {name: document[name] for name in ("epoch", "last_seq", "last_t", "checkpoint")}
        former |= {"vkey": document["former"], "hj212": document.get("hj212", {})}
        who, reason = by
        said = {"what": "station-replaced", "origin": who, "who": who, "reason": reason, "vkey": signer.vkey}
        await log.append("event", {**said, "former": former, "handover": note})
        gap = {"from": document["last_t"], "to": iso(clock.now()), "reason": "station replaced"}
        await log.append("gap", {**gap, "of_epoch": document["epoch"]})
        for fields in document["records"]:
            origin = {"epoch": fields["epoch"], "seq": fields["seq"], "t": fields["t"]}
            members = {name: value for name, value in fields.items() if name not in OWN}
            await log.append("calibration", {**members, "restored": origin})
        await log.post_checkpoint()
        return len(document["records"])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
