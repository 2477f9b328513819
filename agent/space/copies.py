"""Where a closed day lies a second time, verified by root hash: at the centre, or on a removable medium."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from agent.config import Config, MqttUplink
from agent.space.days import Day, Days
from agent.space.proof import Root
from agent.store.index import Index
from agent.store.log import Log
from metrology.periods import iso
from protocols.tlog import NoteError, checkpoint_text, open_checkpoint
from protocols.tlog_cosign import WitnessKey

# A centre that was away is given so long to cosign a day after its end; a checkpoint later than that proves it no more.
COSIGNED_WITHIN: Final = timedelta(days=60)
COSIGNED_ROWS: Final = 200
ARCHIVED_MAX: Final = 100_000


class Copies:
    """Asked for each day that is to be deleted."""

    def __init__(self, config: Config, log: Log, index: Index, days: Days) -> None:
        self._config = config
        self._log = log
        self._index = index
        self._days = days
        self._media: dict[tuple[int, int, int], list[Mapping[str, Any]]] = {}

    async def look(self) -> None:
        """Read once for all days that are asked for next what lies on media."""
        self._media = defaultdict(list)
        for row in await self.archived():
            self._media[row["of_epoch"], row["first"], row["last"]].append(row)

    async def of(self, day: Day) -> tuple[dict[str, Any], Root] | None:
        """What is told of the second copy in the record of a deletion, and the root it was verified by."""
        trusted = self._config.store.second_copy
        found = await self._at_the_centre(day) if "centre" in trusted else None
        if found is None and "medium" in trusted:
            found = await self._on_a_medium(day)
        return found

    async def archived(self) -> list[Mapping[str, Any]]:
        """`archived` records, newest first."""
        return [*await self._log.look_up(self._index.newest, "event", "archived", ARCHIVED_MAX)]

    async def _on_a_medium(self, day: Day) -> tuple[dict[str, Any], Root] | None:
        for row in self._media.get((day.epoch, day.first, day.next_seq - 1), ()):
            root = await self._days.root(day, row["size"])
            if root is not None and root.checkpoint["root"] == row["root"]:
                told = {"at": "medium", "medium": row["medium"], "size": row["size"], "root": row["root"]}
                return {**told, "record": [row["epoch"], row["seq"]]}, root
        return None

    async def _at_the_centre(self, day: Day) -> tuple[dict[str, Any], Root] | None:
        """The centre acknowledged all of it, and cosigned a tree over it with the key we know it by."""
        for name, uplink in self._config.uplinks.items():
            if not isinstance(uplink, MqttUplink) or uplink.witness is None or "scan" not in uplink.kinds:
                continue
            place = self._log.places.get(name)
            if place is None or (place.epoch, place.through) < (day.epoch, day.next_seq - 1):
                continue
            found = await self._cosigned(day, f"uplink {name}", WitnessKey.from_vkey(uplink.witness))
            if found is not None:
                size, record, root = found
                told = {"at": "centre", "uplink": name, "size": size, "root": root.checkpoint["root"]}
                return {**told, "record": record}, root
        return None

    async def _cosigned(self, day: Day, origin: str, witness: WitnessKey) -> tuple[int, list[int], Root] | None:
        until = iso(day.until + COSIGNED_WITHIN)
        rows = await self._log.look_up(
            self._index.told, "event", ["cosigned"], iso(day.until - timedelta(minutes=1)), until, COSIGNED_ROWS
        )
        told = [
            (row["checkpoint"]["size"], row)
            for row in rows
            if row["origin"] == origin
            and row["checkpoint"]["epoch"] == day.epoch
            and row["checkpoint"]["size"] >= day.next_seq
        ]
        for size, row in sorted(told, key=lambda one: one[0])[:1]:
            root = await self._days.root(day, size)
            if root is not None and self._believed(root, row["checkpoint"]["cosignature"], witness):
                return size, [row["epoch"], row["seq"]], root
        return None

    def _believed(self, root: Root, line: str, witness: WitnessKey) -> bool:
        try:
            signed = open_checkpoint(str(root.checkpoint["note"]), self._log.vkeys)
            return witness.seen(checkpoint_text(signed.origin, signed.size, signed.root), line) is not None
        except NoteError:
            return False
