"""GCWerks result files (`.C`): one line per injection, each species followed by its flag.

Format of public AGAGE files (openghg test data): name of the site, lines of scales and units, a header
`Year yyyy mm dd hh mi ryyy rm rd rh ri Inlet Standard NF3 Flag ...`. The first stamp is that of the sample. A flag is
four signs; a letter or `*` in the first place rejects the value, the others say how it was integrated.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from drivers.recorded.gcwerks import gas_of_inlet, kept
from drivers.recorded.stamps import Reader as StampReader
from drivers.recorded.stamps import Stamp, StampError, layout
from drivers.recorded.table import Cell, Plan, Rows, spaces
from drivers.recorded.text import Line
from metrology.recorded import Refused, Row

_CLOCK: Final = ("yyyy", "mm", "dd", "hh", "mi")


def read(lines: Iterable[Line], wanted: Callable[[str], bool] = lambda name: True) -> Iterator[Row | Refused]:
    """Rows of a result file. Its lines of scales and units may come again where files were joined."""
    return Rows(lambda text: _plan(text, wanted), _beside).read(lines)


def _beside(text: str) -> bool:
    cells = spaces(text)
    return len(cells) == 1 or cells[0].lower().rstrip(":") in ("created", "scale", "unit")


def _plan(text: str, wanted: Callable[[str], bool]) -> Plan | None:
    names = [name.lower() for name in spaces(text)]
    place: dict[str, int] = {}
    for at, name in enumerate(names):
        place.setdefault(name, at)
    if not place.keys() >= set(_CLOCK):
        return None
    cells = [
        Cell(names[at - 1], at - 1, flag=at, good=kept)
        for at, name in enumerate(names)
        if name == "flag" and at and wanted(names[at - 1])
    ]
    inlet = place.get("inlet", -1)
    return Plan(
        width=len(names),
        stamp=_stamp([place[name] for name in _CLOCK], place.get("ss", -1)),
        cells=cells,
        split=spaces,
        gas=(lambda row: gas_of_inlet(row[inlet])) if inlet >= 0 else lambda row: "",
        port=inlet,
        fixed=True,
    )


def _stamp(places: Sequence[int], second: int) -> Callable[[Sequence[str]], Stamp]:
    reader = StampReader(layout("ymd"))
    year, month, day, hour, minute = places

    def stamp(cells: Sequence[str]) -> Stamp:
        seconds = f":{cells[second].zfill(2)}" if second >= 0 else ""
        if not cells[minute].isdecimal():
            raise StampError(cells[minute])
        clock = f"{cells[hour]}:{cells[minute].zfill(2)}{seconds}"
        return reader(f"{cells[year]}-{cells[month]}-{cells[day]} {clock}")

    return stamp
