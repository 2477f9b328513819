"""GCWerks minute files (`.dat`): two header lines, then `date time type port` and `C stdev N` for each species.

Format of public files of the UK DECC network (openghg test data). Times are those of the middle of the minute, as the
file has them. Species take the name of the upper header line.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from drivers.recorded.gcwerks import gas_of_type, kept
from drivers.recorded.stamps import Reader, Stamp, sniffed
from drivers.recorded.table import Cell, Plan, Rows, spaces
from drivers.recorded.text import Line
from metrology.recorded import Refused, Row

_VALUE: Final = ("c", "mean", "conc", "avg")
_SPREAD: Final = ("stdev", "sd", "std")
_COUNT: Final = ("n", "num", "count")
_FLAG: Final = ("flag", "f", "flg")
_ORDERS: Final = ("yyyymmdd", "yymmdd", "ymd")


def read(lines: Iterable[Line], wanted: Callable[[str], bool] = lambda name: True) -> Iterator[Row | Refused]:
    """Rows of a minute file; rows of another type than air say so."""
    header = _Header(wanted)
    return Rows(header.plan, header.beside).read(lines)


class _Header:
    """Two lines make a header: the species, and what each of their columns is."""

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        self._wanted = wanted
        self._above: list[str] = []

    def beside(self, text: str) -> bool:
        """The upper header line and the line of the creation, met again where files were joined."""
        cells = spaces(text.lstrip("#"))
        if cells[:1] == ["-"]:
            self._above = cells
            return True
        return bool(cells) and cells[0].lower().startswith("created")

    def plan(self, text: str) -> Plan | None:
        """Plan of the lower header line."""
        below = [name.lower() for name in spaces(text.lstrip("#"))]
        if "date" not in below or "time" not in below:
            self.beside(text)
            return None
        if len(self._above) != len(below):
            return None
        place = {name: at for at, (above, name) in enumerate(zip(self._above, below, strict=True)) if above == "-"}
        if not place.keys() >= {"date", "time"}:
            return None
        found: dict[str, dict[str, int]] = {}
        for at, (above, name) in enumerate(zip(self._above, below, strict=True)):
            if above != "-":
                found.setdefault(above.lower(), {})[_role(name)] = at
        cells = [
            Cell(name, at["value"], at.get("n", -1), at.get("sd", -1), at.get("flag", -1), kept)
            for name, at in found.items()
            if "value" in at and self._wanted(name)
        ]
        kind = place.get("type", -1)
        return Plan(
            width=len(below),
            stamp=_stamp(place["date"], place["time"]),
            cells=cells,
            split=spaces,
            gas=(lambda row: gas_of_type(row[kind])) if kind >= 0 else lambda row: None,
            port=place.get("port", -1),
            fixed=True,
        )


def _role(name: str) -> str:
    for role, names in (("value", _VALUE), ("sd", _SPREAD), ("n", _COUNT), ("flag", _FLAG)):
        if name in names:
            return role
    return name


def _stamp(day: int, clock: int) -> Callable[[Sequence[str]], Stamp]:
    reader: Reader | None = None

    def stamp(cells: Sequence[str]) -> Stamp:
        nonlocal reader
        # Leading zeros of a time of day are lost in some exports.
        own = cells[clock]
        text = f"{cells[day]} {own if ':' in own else own.zfill(4 if len(own) <= 4 else 6)}"
        if reader is None:
            reader = sniffed(text, _ORDERS)
        return reader(text)

    return stamp
