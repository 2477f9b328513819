"""The centre's cosignatures at the station: each becomes a record of its own, for those who look back.

A checkpoint is recorded as cosigned once, trees only ever larger, and only a tree that this log signed: so a peer that
repeats itself or invents adds nothing to the log.
"""

from typing import Any

from agent.store.log import Log
from protocols.mqtt.messages import Witnessed, parse_message
from protocols.mqtt.payload import Refusal
from protocols.tlog import NoteError, checkpoint_text, parse_checkpoint, split_note
from protocols.tlog_cosign import WitnessKey, line_name

CHECKPOINT = frozenset({"checkpoint"})


class Cosigned:
    """One uplink's. `vkey` is the witness's, where the station knows it: then other lines are refused."""

    def __init__(self, uplink: str, log: Log, vkey: str | None) -> None:
        self._uplink = uplink
        self._log = log
        self._witness = WitnessKey.from_vkey(vkey) if vkey else None
        self._newest: dict[int, int] = {}
        self._refused = 0

    async def take(self, data: bytes) -> None:
        """Take the bytes of a `down/witness`; what is not about a checkpoint of this log is counted."""
        found = parse_message(Witnessed, data)
        if isinstance(found, Refusal):
            self._refused += 1
            return
        if found.size <= self._newest.get(found.epoch, -1):
            return
        row = await self._log.read(found.size - 1, kinds=CHECKPOINT, limit=1, before=found.size + 1, epoch=found.epoch)
        try:
            name = self._named(found, row[0].fields["note"] if row else "")
        except NoteError:
            self._refused += 1
            return
        self._newest[found.epoch] = found.size
        detail = {"epoch": found.epoch, "size": found.size, "witness": name, "cosignature": found.line}
        self._log.post("event", {"what": "cosigned", "origin": f"uplink {self._uplink}", "checkpoint": detail})

    def _named(self, found: Witnessed, note: str) -> str:
        """Who signed. Raises NoteError where it is no cosignature of this checkpoint."""
        name = line_name(found.line)
        # Of this log, whichever of its keys signed it.
        checkpoint = parse_checkpoint(split_note(note)[0])
        text = checkpoint_text(checkpoint.origin, checkpoint.size, checkpoint.root)
        if checkpoint.size != found.size or (self._witness and self._witness.seen(text, found.line) is None):
            raise NoteError("another checkpoint, or another witness")
        return name

    def status(self) -> dict[str, Any]:
        """Size of the largest tree cosigned in this run, and how many answers were refused."""
        size = self._newest.get(self._log.epoch)
        return {"cosigned": size, "refused_cosignatures": self._refused}
