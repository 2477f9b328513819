"""Signed checkpoints on their way to a platform: lines of the logger's log, few enough not to crowd out values."""

from datetime import datetime
from typing import Final

from agent.store.log import Record
from metrology.periods import EPOCH, parse_iso
from protocols.hj212.information import information_items, log_text
from protocols.hj212.message import Item
from protocols.tlog_carried import carried_text

CODE: Final = "i21001"
# Spans of which it is remembered which checkpoint stands for them; older ones are sent again at most once.
SPANS_MAX: Final = 2_000


class CarriedCheckpoints:
    """Of each span of `every_s` the first checkpoint that is offered, and that one again where it is offered again."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._chosen: dict[int, tuple[int, int]] = {}

    def uploads(self, record: Record) -> list[tuple[str, datetime, tuple[Item, ...]]]:
        """3020 of a checkpoint, nothing for one too many."""
        fields = record.fields
        at = parse_iso(fields["t"])
        span = int((at - EPOCH).total_seconds() // self._every_s)
        if self._chosen.setdefault(span, (record.epoch, record.seq)) != (record.epoch, record.seq):
            return []
        while len(self._chosen) > SPANS_MAX:
            self._chosen.pop(min(self._chosen))
        return [("3020", at, information_items({CODE: log_text(carried_text(fields["note"]))}))]
