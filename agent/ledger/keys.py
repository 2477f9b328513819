"""The station's key over time: changed in order, signed by the old and the new one; or lost, which begins an epoch.

A log whose newest checkpoint bears another key than the configured one was written by a key that is lost. A new epoch
begins, whose first record names the last cosigned checkpoint of the old one. The centre believes the new key once a
person confirmed it.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import apsw

from agent.store.index import Index
from agent.store.log import Log, Record
from agent.store.packing import unpack
from agent.store.segment import Segment, segment_name, segment_numbers
from host.control import Handler, RequestError
from host.secrets import SecretError, SecretRef, read_secret
from host.sqlite import DatabaseRefusedError, open_database
from protocols.record import decode
from protocols.tlog import Frontier, NoteError, Signer, open_checkpoint, signer_from_seed, split_note
from protocols.tlog_keys import Keyring, rotation_fields

if TYPE_CHECKING:
    from agent.daemon import Daemon

EVENTS_READ: Final = 5_000
KEYS_MAX: Final = 100
VERIFIED: Final = 2_000

logger = logging.getLogger(__name__)


class StationKeys:
    """One for a station: the keyring that signs, and what a start has to say of it."""

    def __init__(self, segments: Path, signer: Signer) -> None:
        """Look at the log in `segments` before it is opened; begins an epoch where another key wrote it."""
        self.ring = Keyring(signer)
        self._lost = _prepare(segments, signer)

    async def begin(self, log: Log, index: Index | None = None) -> None:
        """The first record of an epoch that begins because a key was lost; former keys as the index has them."""
        rows = index.newest("event", "key-rotated", KEYS_MAX) if index else []
        log.vkeys += [row["former"] for row in rows if row["former"] not in log.vkeys]
        if self._lost is not None:
            await log.append("event", self._lost)
            self._lost = None

    async def rotate(self, log: Log, station_id: str, new: Signer, who: str, reason: str) -> tuple[Record, Record]:
        """Change to `new`; gives the record that says so and the checkpoint that both keys signed."""
        fields = rotation_fields(station_id, log.epoch, self.ring.signer, new, who, reason)
        said = log.post("event", {"what": "key-rotated", **fields})
        # Nothing may come between: the next checkpoint is the one of both keys.
        self.ring.rotate(new)
        log.vkey = new.vkey
        log.vkeys.insert(0, new.vkey)
        checkpoint = log.post_checkpoint()
        return await said, await checkpoint


def _prepare(segments: Path, signer: Signer) -> dict[str, Any] | None:
    """What `key-lost` says; None where the newest checkpoint bears the key, or there is none."""
    paths = sorted(segments.glob("log-*.db"), key=segment_numbers)
    with contextlib.suppress(apsw.CorruptError, apsw.NotADBError, apsw.SQLError, DatabaseRefusedError):
        # What is damaged begins an epoch by itself.
        found = _newest(paths, "checkpoint", lambda fields: True)
        if found is None:
            return None
        with contextlib.suppress(NoteError):
            open_checkpoint(found["note"], [signer.vkey])
            return None
        seen = _newest(paths, "event", lambda fields: fields.get("what") == "cosigned") or {}
        if not _begin_epoch(paths[-1]):
            return None
        return {
            "what": "key-lost", "origin": "ledger", "vkey": signer.vkey, "former": _signed_by(found["note"]),
            "of_epoch": found["epoch"], "size": found["size"], "note": found["note"],
            "cosigned": seen.get("checkpoint"),
        }  # fmt: skip
    return None


def _newest(paths: list[Path], kind: str, wanted: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any] | None:
    """Newest record of a kind that is wanted, among the last of each of the newest files."""
    for path in paths[:-4:-1]:
        db = open_database(str(path), exclusive=False, read_only=True)
        try:
            for (body,) in db.execute(
                "SELECT body FROM rec WHERE kind = ? ORDER BY seq DESC LIMIT ?", (kind, EVENTS_READ)
            ):
                fields = decode(unpack(body))
                if wanted(fields):
                    return fields
        finally:
            db.close()
    return None


def _signed_by(note: str) -> list[str]:
    return [line[2:80] for line in split_note(note)[1]]


def _begin_epoch(newest: Path) -> bool:
    """Make the first file of the next epoch, with the uplinks' places; not where the newest file is damaged."""
    segment = Segment(newest, fold=False)
    try:
        whole = segment.begun and not segment.damaged(VERIFIED)
        if whole:
            segment.fold()
            epoch = segment.epoch + 1
            logger.error("another key signed the log: epoch %d begins", epoch)
            places = segment.places().items()
            Segment.create(newest.with_name(segment_name(epoch, 0)), epoch, 0, Frontier(), places).close()
        return whole
    finally:
        segment.close()


def new_signer(fields: Mapping[str, Any], name: str) -> Signer:
    """The signer of a reference ({file} or {credential}). Raises SecretError, NoteError, ValueError."""
    return signer_from_seed(read_secret(SecretRef.model_validate(fields)).decode("ascii", "replace"), name)


def handlers(daemon: "Daemon", text: Callable[[Mapping[str, Any], str], str]) -> dict[str, Handler]:
    """`key-rotate`: the running station changes its key."""

    async def _rotate(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        who, reason = text(request, "who"), text(request, "reason")
        station = daemon.config.station.id
        try:
            new = new_signer(request.get("key") or {}, f"plumeline/{station}")
        except (SecretError, NoteError, ValueError) as error:
            raise RequestError(f"key: {error}") from error
        if new.vkey == daemon.log.vkey:
            raise RequestError("key: it is the one in force")
        said, checkpoint = await daemon.keys.rotate(daemon.log, station, new, who, reason)
        yield {"vkey": new.vkey, "record": [said.epoch, said.seq], "checkpoint": checkpoint.seq}

    return {"key-rotate": _rotate}
