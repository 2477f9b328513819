"""The register as a fold over records of kind calibration with what "cylinder": repeats and order make no difference.

Everything a record brings is kept under its number, and what holds is decided by the highest number; so a record that
comes twice, or late, or before an earlier one, leads to the same state, and nothing that was ever certified is lost.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any, Final, NamedTuple

from calibration.standards.cylinder import ACTS, Cylinder, Entry, Kept, Key, Row, row_of
from calibration.standards.stock import Pressure
from metrology.periods import parse_iso

WHAT: Final = "cylinder"
RecordId = tuple[int, int]
# Acts that put a cylinder in the place its name stands for, and acts that take it away.
_CLAIMS: Final = frozenset({"declared", "added", "installed"})
_LEAVES: Final = frozenset({"removed", "retired"})


@dataclass(slots=True)
class _Past:
    """All that records brought of one fill, by their numbers."""

    rows: tuple[RecordId, Row] | None = None
    certificates: dict[tuple[str, date | None], dict[RecordId, Kept]] = field(default_factory=lambda: defaultdict(dict))
    pressures: set[Pressure] = field(default_factory=set)
    history: dict[RecordId, Entry] = field(default_factory=dict)


class _Move(NamedTuple):
    """A cylinder came to a place, or left it."""

    name: str
    key: Key
    came: bool


@dataclass(slots=True)
class _Places:
    """Who stands where, and who stood there last."""

    held: dict[str, Key] = field(default_factory=dict)
    last: dict[str, Key] = field(default_factory=dict)

    def take(self, move: _Move) -> None:
        for name in [name for name, key in self.held.items() if key == move.key]:
            del self.held[name]
        if move.came:
            self.held[move.name] = self.last[move.name] = move.key


class Register:
    """The cylinders of a station. `take` records as they come."""

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self._past: dict[Key, _Past] = defaultdict(_Past)
        self._moves: dict[RecordId, _Move] = {}
        self._declared: dict[str, tuple[RecordId, Mapping[str, Any]]] = {}
        self._views: dict[Key, Cylinder] = {}
        self._places: _Places | None = None
        for fields in records:
            self.take(fields)

    def take(self, fields: Mapping[str, Any]) -> None:
        """Add a record; one of another kind, or whose row makes no sense, changes nothing."""
        if fields.get("what") != WHAT or fields.get("act") not in ACTS:
            return
        try:
            row, at = row_of(fields["row"]), parse_iso(fields["t"])
        except (KeyError, TypeError, ValueError):
            return
        number, act = (fields["epoch"], fields["seq"]), str(fields["act"])
        past = self._past[row.key]
        if past.rows is None or number > past.rows[0]:
            past.rows = number, row
        if row.pressure is not None:
            past.pressures.add(row.pressure)
        if (certificate := row.certificate) is not None:
            kept = Kept(number, certificate.certified or at.date(), certificate)
            past.certificates[certificate.number, certificate.certified][number] = kept
        if act != "pressure":
            who, reason = str(fields.get("who", "")), str(fields.get("reason", ""))
            told = certificate.number if certificate else None
            past.history[number] = Entry(number, at, act, who, reason, row.name, told)
        if act in _CLAIMS or act in _LEAVES:
            self._moves[number] = _Move(row.name, row.key, act in _CLAIMS)
        if "declared" in fields and (row.name not in self._declared or number > self._declared[row.name][0]):
            self._declared[row.name] = number, fields["declared"]
        self._views.clear()
        self._places = None

    def declared(self, name: str) -> Mapping[str, Any] | None:
        """The block that a configuration declared last under a name."""
        found = self._declared.get(name)
        return None if found is None else found[1]

    @property
    def cylinders(self) -> dict[Key, Cylinder]:
        """All fills ever known, by number and fill."""
        return {key: self.cylinder(key) for key in sorted(self._past)}

    def cylinder(self, key: Key) -> Cylinder:
        """One fill. Raises KeyError where it is not known."""
        if key not in self._views:
            self._views[key] = self._view(key)
        return self._views[key]

    def _view(self, key: Key) -> Cylinder:
        if key not in self._past:
            raise KeyError(key)
        past = self._past[key]
        assert past.rows is not None, "a past begins with a row"
        versions = [[each[number] for number in sorted(each)] for each in past.certificates.values()]
        # A certificate without a date of its own keeps the day on which it was first written down.
        now = sorted((each[-1]._replace(day=each[0].day) for each in versions), key=lambda one: (one.day, one.record))
        before = (one for each in versions for one, after in pairwise(each) if one.certificate != after.certificate)
        return Cylinder(
            past.rows[1],
            tuple(now),
            tuple(sorted(before, key=lambda one: one.record)),
            tuple(sorted(past.pressures)),
            tuple(past.history[number] for number in sorted(past.history)),
            key in self._placed().held.values(),
        )

    def _placed(self) -> _Places:
        if self._places is None:
            self._places = _Places()
            for number in sorted(self._moves):
                self._places.take(self._moves[number])
        return self._places

    def named(self, name: str) -> Cylinder | None:
        """The cylinder a name stands for; where it was taken away and none took its place, the last one that was there.

        A station runs on with what it has: that nothing stands there is for a caution to say.
        """
        places = self._placed()
        key = places.held.get(name, places.last.get(name))
        return None if key is None else self.cylinder(key)

    def found(self, text: str, fill: str | None = None) -> Cylinder | None:
        """By the station's word for it, or by its number: that fill, or the one last written of."""
        if fill is None and (held := self.named(text)) is not None:
            return held
        keys = [key for key in sorted(self._past) if key[0] == text and fill in (None, key[1])]
        return max((self.cylinder(key) for key in keys), key=_last_written, default=None)


def _last_written(one: Cylinder) -> list[RecordId]:
    return [each.record for each in one.history][-1:]
