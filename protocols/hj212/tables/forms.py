"""Layouts of data areas, read from the notation of the command table, and messages held against them.

`A:1;B:?` are two items; then how often: `1` once, `?` at most once, `+` once or more, `*` any number.
`(x:1,y:?):+` is one item of sub-values joined by commas, the item repeated, once for each code. `{PolId}` and the like
stand for a code. Items may come in any order and in one item or several; names in any case of letters.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from protocols.hj212.message import Area, Item, SubValue
from protocols.hj212.tables.fields import Field

Times = Literal["1", "?", "+", "*"]
Values = Mapping[str, str | Sequence[str]]

_SLOT: Final = re.compile(r"\(([^)]*)\):([1?+*])|([^;,()]+):([1?+*])")
_PLACEHOLDER: Final = re.compile(r"(.*)\{(\w+)\}(.*)")


@dataclass(frozen=True, slots=True)
class Part:
    """One sub-value of a layout: `before`, a code (where `code` names its placeholder) and `after`, in lower case."""

    name: str
    times: Times
    before: str
    code: str
    after: str

    def code_of(self, name: str) -> str | None:
        """The code in a name of this part, empty where it has none; None where the name is of another part."""
        if not self.code:
            return "" if name == self.before else None
        if not (name.startswith(self.before) and name.endswith(self.after)):
            return None
        code = name[len(self.before) : len(name) - len(self.after)]
        return code if _is_code(self.code, code) else None


@dataclass(frozen=True, slots=True)
class Group:
    """One item of a layout. A part that stands alone is a group of itself."""

    parts: tuple[Part, ...]
    times: Times

    @property
    def coded(self) -> bool:
        """True where one item holds several sub-values of one code."""
        return len(self.parts) > 1 and bool(self.parts[0].code)


def layout(notation: str) -> tuple[Group, ...]:
    """Groups of a layout in the notation of the module's head."""
    groups = []
    for inner, outer, name, times in _SLOT.findall(notation):
        if inner:
            parts = tuple(_part(*text.rsplit(":", 1)) for text in inner.split(","))
            groups.append(Group(parts, cast(Times, outer)))
        else:
            groups.append(Group((_part(name, times),), cast(Times, times)))
    return tuple(groups)


def _part(name: str, times: str) -> Part:
    found = _PLACEHOLDER.fullmatch(name)
    before, code, after = found.groups() if found else (name, "", "")
    return Part(name, cast(Times, times), before.casefold(), code, after.casefold())


def _is_code(placeholder: str, code: str) -> bool:
    if placeholder == "n":
        return code.isdecimal() and len(code) <= 3
    if placeholder == "FurnaceId":
        return code.startswith("a019") and code.isalnum() and len(code) == 6
    return code.isascii() and code.isalnum()


def problem(groups: Sequence[Group], fields: Mapping[str, Field], area: Area) -> str | None:
    """What in a data area is not as the layout and the fields say, and what to do; None where all is well."""
    parts = [part for group in groups for part in group.parts]
    # Sub-values of another kind of code in an item of one code: each item may repeat them.
    loose = {part for group in groups if group.coded for part in group.parts if part.code != group.parts[0].code}
    seen: Counter[tuple[str, int]] = Counter()
    for place, name, value in ((place, *pair) for place, item in enumerate(area) for pair in item):
        part = _owner(parts, name)
        if part is None:
            allowed = ", ".join(one.name for one in parts) or "none, the data area is empty"
            return f"field {name} does not belong here: allowed are {allowed}"
        key = (name.casefold(), place if part in loose else -1)
        seen[key] += 1
        if seen[key] > 1 and (part.code or part.times in "1?"):
            return f"field {name} occurs twice: send it once"
        field = _field(part, fields)
        if not field.accepts(value):
            return f"field {name} has the value {value!r}: write {field.wanted}"
    return next((found for group in groups if (found := _missing(group, area))), None)


def _field(part: Part, fields: Mapping[str, Field]) -> Field:
    """Field of a part; one that names a code, or codes of some kind alone, goes by the general name of its suffix."""
    suffix = part.name.partition("-")[2].casefold()
    names = (part.name.casefold(), f"{{polid}}-{suffix}", f"{{infoid}}-{suffix}")
    return next(fields[name] for name in names if name in fields)


def _owner(parts: Iterable[Part], name: str) -> Part | None:
    return next((part for part in parts if part.code_of(name.casefold()) is not None), None)


def _missing(group: Group, area: Area) -> str | None:
    """What a group lacks or has too often."""
    if group.coded:
        return _missing_in_items(group, area)
    for part in group.parts:
        times = part.times if group.times in "1+" else {"1": "?", "+": "*"}.get(part.times, part.times)
        count = sum(part.code_of(name.casefold()) is not None for item in area for name, _ in item)
        if times in "1+" and not count:
            return f"field {part.name} is missing: add it"
        if times in "1?" and count > 1:
            return f"field {part.name} occurs {count} times: send it once"
    return None


def _missing_in_items(group: Group, area: Area) -> str | None:
    """The same for a group that is one item for each code."""
    items = 0
    for item in area:
        codes = dict.fromkeys(_codes(group, item))
        if len(codes) > 1:
            return f"item of {' and '.join(codes)} together: give each code an item of its own, behind a semicolon"
        for code in codes:
            items += 1
            present = [part for name, _ in item for part in [_owner(group.parts, name)] if part]
            for part in group.parts:
                if part.times in "1+" and part not in present:
                    return f"field {part.name.replace('{' + part.code + '}', code)} is missing: add it to its item"
    if group.times in "1+" and not items:
        return f"no {' or '.join(part.name for part in group.parts)}: at least one is wanted"
    return None


def _codes(group: Group, item: Item) -> Iterator[str]:
    """Codes in an item that stand for the placeholder of the group's first part, as they are written."""
    placeholder = group.parts[0].code
    for name, _ in item:
        part = _owner(group.parts, name)
        if part and part.code == placeholder:
            yield name[len(part.before) : len(name) - len(part.after)]


def fill(groups: Sequence[Group], values: Values) -> Area:
    """Data area of values by name, in the order of the layout; what the layout does not know comes last."""
    left = {name: [value] if isinstance(value, str) else list(value) for name, value in values.items()}
    items: list[Item] = []
    for group in groups:
        made: dict[str, list[SubValue]] = {}
        for part in group.parts:
            for name in [name for name in left if part.code_of(name.casefold()) is not None]:
                pairs = [(name, value) for value in left.pop(name)]
                made.setdefault(_code_of_item(group, part, name, made), []).extend(pairs)
        items += [tuple(pairs) for pairs in made.values()] if len(group.parts) > 1 else _alone(made)
    return (*items, *(((name, value),) for name, texts in left.items() for value in texts))


def _code_of_item(group: Group, part: Part, name: str, made: Mapping[str, object]) -> str:
    """Which item a sub-value joins: that of its code; where it has another kind of code, the first."""
    if not group.coded:
        return ""
    return part.code_of(name.casefold()) or "" if part.code == group.parts[0].code else next(iter(made), "")


def _alone(made: Mapping[str, Sequence[SubValue]]) -> list[Item]:
    return [(pair,) for pairs in made.values() for pair in pairs]


def likeness(groups: Sequence[Group], area: Area) -> tuple[int, int]:
    """How many names of a data area a layout knows, and, less than none, how many it wants that are not there."""
    parts = [part for group in groups for part in group.parts]
    names = [name.casefold() for item in area for name, _ in item]
    lacking = sum(all(part.code_of(name) is None for name in names) for part in parts if part.times in "1+")
    return sum(_owner(parts, name) is not None for name in names), -lacking
