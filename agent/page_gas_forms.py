"""Forms of the register: fields as members of a request to the daemon, and refusals back to the fields they concern.

A field is named as the member it becomes (`cylinder.volume_L`); values of a certificate stand in rows
(`row-0.measurand`), for their member bears a name that the person writes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from web.words import Words

Form = Mapping[str, str]
Answer = dict[str, Any]
ROWS_MAX: Final = 8
VALUES: Final = ("value", "uncertainty", "unit", "scale")
_NUMBERS: Final = frozenset({"value", "uncertainty", "volume_L", "filling_pressure_bar", "pressure_bar"})
_PLAIN: Final = ("name", "number", "fill", "supplier", "lot", "volume_L", "filling_pressure_bar", "pressure_bar")
_PAPER: Final = ("number", "certified", "expires")


class Filled(NamedTuple):
    """A form as it was sent back: its fields, what is wrong with each, and what is wrong with no single one."""

    values: Form
    problems: Mapping[str, str]
    said: tuple[str, ...]


EMPTY: Final = Filled({}, {}, ())


def _member(name: str, text: str) -> str | float:
    """A number where one is meant; text that is none goes as it is, and the daemon says so."""
    if name not in _NUMBERS:
        return text
    try:
        return float(text)
    except ValueError:
        return text


def _block(form: Form, prefix: str, names: tuple[str, ...]) -> Answer:
    """Members of a block that the form gives; an empty field is none."""
    given = ((name, form.get(f"{prefix}.{name}", "").strip()) for name in names)
    return {name: _member(name, text) for name, text in given if text}


def _rows(form: Form) -> dict[str, str]:
    """Measurands by the rows that hold a value or its uncertainty; what else stands there was offered by the page."""
    return {
        f"row-{at}": form.get(f"row-{at}.measurand", "").strip()
        for at in range(ROWS_MAX)
        if any(form.get(f"row-{at}.{name}", "").strip() for name in ("value", "uncertainty"))
    }


def _certificate(form: Form, prefix: str) -> Answer | None:
    paper = _block(form, prefix, _PAPER)
    rows = {measurand: _block(form, row, VALUES) for row, measurand in _rows(form).items()}
    return {**paper, "assigned": rows} if paper or rows else None


def _cylinder(form: Form) -> Answer:
    found = _block(form, "cylinder", _PLAIN)
    named = {row: measurand for row, measurand in _rows(form).items() if form.get(f"{row}.role")}
    if named:
        found["roles"] = {measurand: form[f"{row}.role"] for row, measurand in named.items()}
    paper = _certificate(form, "cylinder.certificate")
    return found if paper is None else {**found, "certificate": paper}


def _roles(form: Form) -> Answer:
    head = "roles.roles."
    return {"roles": {name.removeprefix(head): role for name, role in form.items() if name.startswith(head) and role}}


def _assignment(form: Form) -> Answer:
    """Runs stand in one field, apart by commas or spaces."""
    runs = form.get("assignment.runs", "").replace(",", " ").split()
    return {"assignment": {"runs": runs, **_block(form, "assignment", ("series", "certificate", "expires"))}}


MEMBERS: Final[Mapping[str, Callable[[Form], Answer]]] = {
    "add": lambda form: {"cylinder": _cylinder(form)},
    "revalue": lambda form: {"certificate": _certificate(form, "certificate")},
    "pressure": lambda form: {"pressure": _block(form, "pressure", ("value", "unit"))},
    "install": lambda form: {"place": form.get("install.place", "")},
    "remove": lambda form: {},
    "retire": lambda form: {},
    "roles": lambda form: {"roles": _roles(form)},
    "assign": _assignment,
}


def request_of(act: str, form: Form, lang: str) -> Answer:
    """The request that a form asks for."""
    head = {"do": f"cylinder-{act}", "name": form.get("number", ""), "fill": form.get("fill", ""), "lang": lang}
    return {**head, "who": form.get("who", "").strip(), "reason": form.get("reason", "").strip(), **MEMBERS[act](form)}


def repeated(form: Form, words: Words) -> Filled | None:
    """The form where one measurand stands in two rows, which no request could say."""
    rows = _rows(form)
    twice = {row for row, one in rows.items() if list(rows.values()).count(one) > 1}
    return Filled(form, {f"{row}.measurand": words("gas_twice") for row in twice}, ()) if twice else None


def refused(form: Form, said: str) -> Filled:
    """A form with the daemon's refusal, line by line, at the fields it concerns."""
    problems: dict[str, str] = {}
    others = []
    for line in said.splitlines():
        member, _, sentence = line.partition(": ")
        field = _field(form, member)
        if field is None or field in problems:
            others.append(line)
        else:
            problems[field] = sentence
    return Filled(form, problems, tuple(others))


def _field(form: Form, member: str) -> str | None:
    """The field that became a member of the request; None where no field of the form did."""
    if member in form and member not in ("number", "fill"):
        return member
    _, found, rest = member.partition("assigned")
    if not found:
        role = member.removeprefix("cylinder.roles.")
        return next((f"{row}.role" for row, one in _rows(form).items() if member != role and one == role), None)
    for row, measurand in _rows(form).items():
        if rest.startswith(f".{measurand}"):
            name = rest.removeprefix(f".{measurand}").removeprefix(".")
            return f"{row}.{name or 'measurand'}"
    return "row-0.measurand"
