"""The page's tab of standard gases: the register as the daemon tells it, and forms that ask the daemon to write."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from agent.cli.status import local
from agent.page_gas_forms import EMPTY, MEMBERS, ROWS_MAX, Filled, refused, repeated, request_of
from calibration.standards.summary import rounded
from host.control import RequestError
from metrology.units import SHOWN
from web.forms import form_of
from web.shell import Shell
from web.words import Words

FACTS: Final = {
    "supplier": "gas_supplier", "lot": "gas_lot", "volume_L": "gas_volume_L",
    "filling_pressure_bar": "gas_filling_pressure_bar", "installed": "gas_installed", "removed": "gas_removed",
    "retired": "gas_retired",
}  # fmt: skip
ACTS: Final = {
    "declared": "gas_act_declared", "added": "gas_act_added", "revalued": "gas_act_revalued",
    "pressure": "gas_act_pressure", "installed": "gas_act_installed", "removed": "gas_act_removed",
    "retired": "gas_act_retired", "assigned": "gas_act_assigned", "roles": "gas_act_roles",
}  # fmt: skip
CAUTIONS: Final = {
    "expires": "caution_expires", "expired": "caution_expired", "low": "caution_low", "absent": "caution_absent",
}  # fmt: skip
ROLES: Final = {"": "role_none", "zero": "role_zero", "span": "role_span", "target": "role_target",
                "unknown": "role_unknown"}  # fmt: skip
# Empty rows of a new cylinder's certificate, and beside those of a known one.
ROWS_NEW: Final = 3
FITS: Final = {"mean": "fit_mean", "linear": "fit_linear", "quadratic": "fit_quadratic"}

Answer = dict[str, Any]
Ask = Callable[[Mapping[str, Any]], Awaitable[Answer]]


class GasPages:
    """Routes of the tab; `ask` sends one request to the daemon and raises RequestError."""

    def __init__(self, shell: Shell, ask: Ask) -> None:
        self._shell = shell
        self._ask = ask

    def routes(self) -> list[Route]:
        """The list, one cylinder, a new one, and the acts of people."""
        return [
            Route("/gases", self._list),
            Route("/gases/new", self._new),
            Route("/gases/cylinder", self._one),
            *(Route(f"/gases/{act}", self._act, methods=["POST"], name=act) for act in MEMBERS),
        ]

    async def _list(self, request: Request) -> Response:
        try:
            rows = (await self._ask({"do": "cylinders"}))["cylinders"]
        except RequestError as error:
            return self._shell.page(request, "gases.html", {"rows": [], "problem": str(error)}, 503)
        words = self._shell.words(request)
        rows = [_told(one, words) for one in sorted(rows, key=lambda one: (not one["in_use"], one["name"]))]
        return self._shell.page(request, "gases.html", {"rows": rows, "problem": ""})

    async def _new(self, request: Request) -> Response:
        return await self._asking(request, EMPTY)

    async def _asking(self, request: Request, filled: Filled) -> Response:
        """The form of a new cylinder."""
        try:
            places = (await self._ask({"do": "cylinders"}))["places"]
        except RequestError as error:
            return self._shell.page(request, "gases.html", {"rows": [], "problem": str(error)}, 503)
        values = {"filled": filled, "places": places, "rows": [{}] * ROWS_NEW, "roles": ROLES}
        return self._shell.page(request, "gas_new.html", values, 200 if filled is EMPTY else 400)

    async def _one(self, request: Request) -> Response:
        number = request.query_params.get("number", "")
        return await self._shown(request, number, request.query_params.get("fill"), "", EMPTY)

    async def _shown(self, request: Request, number: str, fill: str | None, act: str, filled: Filled) -> Response:
        """One cylinder with its forms, one of them as it was refused; where the daemon knows none of it, why."""
        words = self._shell.words(request)
        try:
            found = (await self._ask({"do": "cylinder", "name": number, "fill": fill, "lang": words.lang}))["cylinder"]
            places = (await self._ask({"do": "cylinders"}))["places"]
        except RequestError as error:
            return self._shell.page(request, "gases.html", {"rows": [], "problem": str(error)}, 404)
        one = _told(found, words)
        known = [{"measurand": name, **{key: value[key] for key in ("unit", "scale")}}
                 for name, value in one["values"].items()]  # fmt: skip
        values = {"one": one, "act": act, "filled": filled, "places": _places(places, one), "roles": ROLES,
                  "rows": [*known, {}][:ROWS_MAX]}  # fmt: skip
        return self._shell.page(request, "gas.html", values, 200 if filled is EMPTY else 400)

    async def _act(self, request: Request) -> Response:
        """Have the daemon write an act, then show what came of it; what is refused is shown at its fields."""
        act = request.url.path.rpartition("/")[2]
        form, words = await form_of(request), self._shell.words(request)
        number, fill = form.get("number", ""), form.get("fill", "")
        if not form:
            raise HTTPException(413, words("gas_form_long"))
        filled = repeated(form, words)
        if filled is None:
            try:
                written = (await self._ask(request_of(act, form, words.lang)))["cylinder"]
            except RequestError as error:
                filled = refused(form, str(error))
            else:
                where = urlencode({"number": written["number"], "fill": written["fill"]})
                return RedirectResponse(f"/gases/cylinder?{where}", 303)
        if act == "add":
            return await self._asking(request, filled)
        return await self._shown(request, number, fill, act, filled)


def _places(places: list[Answer], one: Answer) -> list[Answer]:
    """Places it may be connected to: those of the configuration, and the one it has."""
    own = {"name": one["name"], "ports": [], "roles": {}, "holds": None}
    return places if any(each["name"] == one["name"] for each in places) else [*places, own]


def _told(one: Answer, words: Words) -> Answer:
    """A cylinder with what a template cannot say by itself: places, times and cautions in words, units as shown."""
    for value in one["values"].values():
        value["shown"] = SHOWN.get(value["unit"], value["unit"])
        value["amount"], value["u"] = rounded(value["value"], value["uncertainty"])
        value["fit_text"] = _fit(value, words)
    for row in one.get("history", ()):
        row |= {"at": local(row["at"]), "word": words(ACTS[row["act"]])}
    gauge = one["pressure"]
    proposals = [_proposal(row) for row in one.get("proposals", ())]
    return {
        **one,
        "query": urlencode({"number": one["number"], "fill": one["fill"]}),
        "gauge": {"bar": f"{gauge['bar']:.1f}", "at": local(gauge["at"])} if gauge else None,
        "facts": [(words(word), one[name]) for name, word in FACTS.items() if one[name]],
        "used": {name: words(ROLES[role]) if role in ROLES else role for name, role in one["roles"].items()},
        "proposals": proposals,
        "told": [_caution(each, words) for each in one["cautions"]],
    }


def _proposal(row: Answer) -> Answer:
    """What a run said: amount and uncertainty as shown, the terms of its budget by weight, what speaks against it."""
    found = row.get("proposal")
    if not found:
        return row | {"at": local(row["t"])}
    value = found["value"]
    amount, u = rounded(value["value"], value["uncertainty"])
    shown = {"amount": amount, "u": u, "shown": SHOWN.get(value["unit"], value["unit"]), "scale": value["scale"]}
    budget = [f"{term['name']} {term['share']:.0%}" for term in found["fits"][0]["budget"]]
    return row | shown | {"at": local(row["t"]), "budget": budget, "doubts": found["doubts"]}


def _caution(each: Mapping[str, Any], words: Words) -> str:
    return words(CAUTIONS[each["kind"]], **{name: value for name, value in each.items() if name != "kind"})


def _fit(value: Mapping[str, Any], words: Words) -> str:
    fit = value["fit"]
    amount, u = rounded(fit["value"], fit["u"])
    return words(FITS[fit["model"]], per_year=f"{fit['per_year']:+.3g}", unit=value["shown"], value=amount, u=u)
