"""The page's tab of standard gases: the register as the daemon tells it, and forms that ask the daemon to write."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from agent.cli.status import local
from calibration.standards.summary import rounded
from host.control import RequestError
from metrology.units import SHOWN
from web.shell import Shell, form_of
from web.words import Words

FACTS: Final = {
    "supplier": "gas_supplier", "lot": "gas_lot", "volume_L": "gas_volume_L",
    "filling_pressure_bar": "gas_filling_pressure_bar", "installed": "gas_installed", "removed": "gas_removed",
    "retired": "gas_retired",
}  # fmt: skip
ACTS: Final = {
    "declared": "gas_act_declared", "added": "gas_act_added", "revalued": "gas_act_revalued",
    "pressure": "gas_act_pressure", "installed": "gas_act_installed", "removed": "gas_act_removed",
    "retired": "gas_act_retired", "assigned": "gas_act_assigned",
}  # fmt: skip
CAUTIONS: Final = {
    "expires": "caution_expires", "expired": "caution_expired", "low": "caution_low", "absent": "caution_absent",
}  # fmt: skip
FITS: Final = {"mean": "fit_mean", "linear": "fit_linear", "quadratic": "fit_quadratic"}

Answer = dict[str, Any]
Ask = Callable[[Mapping[str, Any]], Awaitable[Answer]]


class GasPages:
    """Routes of the tab; `ask` sends one request to the daemon and raises RequestError."""

    def __init__(self, shell: Shell, ask: Ask) -> None:
        self._shell = shell
        self._ask = ask

    def routes(self) -> list[Route]:
        """The list, one cylinder, and the two forms."""
        return [
            Route("/gases", self._list),
            Route("/gases/cylinder", self._one),
            Route("/gases/pressure", self._pressure, methods=["POST"]),
            Route("/gases/revalue", self._revalue, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        try:
            rows = (await self._ask({"do": "cylinders"}))["cylinders"]
        except RequestError as error:
            return self._shell.page(request, "gases.html", {"rows": [], "problem": str(error)}, 503)
        words = self._shell.words(request)
        rows = [_told(one, words) for one in sorted(rows, key=lambda one: (not one["in_use"], one["name"]))]
        return self._shell.page(request, "gases.html", {"rows": rows, "problem": ""})

    async def _one(self, request: Request) -> Response:
        return await self._shown(request, request.query_params.get("number", ""), request.query_params.get("fill"))

    async def _shown(
        self, request: Request, number: str, fill: str | None, problem: str = "", status: int = 200
    ) -> Response:
        """One cylinder; where the daemon knows none of it, or does not answer, the reason instead."""
        try:
            found = (await self._ask({"do": "cylinder", "name": number, "fill": fill}))["cylinder"]
        except RequestError as error:
            return self._shell.page(request, "gases.html", {"rows": [], "problem": str(error)}, 404)
        one = _told(found, self._shell.words(request))
        return self._shell.page(request, "gas.html", {"one": one, "problem": problem}, status)

    async def _pressure(self, request: Request) -> Response:
        form = await form_of(request)
        return await self._written(request, form, "pressure", lambda: {
            "pressure": {"value": _number(form, "value"), "unit": form.get("unit", "bar")}
        })  # fmt: skip

    async def _revalue(self, request: Request) -> Response:
        form = await form_of(request)
        return await self._written(request, form, "revalue", lambda: {"certificate": _certificate(form)})

    async def _written(
        self, request: Request, form: Mapping[str, str], act: str, members: Callable[[], Mapping[str, Any]]
    ) -> Response:
        """Have the daemon write an act, then show what came of it; what is refused is shown beside the cylinder."""
        number, fill = form.get("number", ""), form.get("fill", "")
        head = {"do": f"cylinder-{act}", "name": number, "fill": fill, "who": form.get("who", "").strip(),
                "reason": form.get("reason", "").strip()}  # fmt: skip
        try:
            await self._ask({**head, **members()})
        except (RequestError, ValueError) as error:
            return await self._shown(request, number, fill, str(error), 400)
        return RedirectResponse(f"/gases/cylinder?{urlencode({'number': number, 'fill': fill})}", 303)


def _number(form: Mapping[str, str], name: str) -> float:
    text = form.get(name, "")
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name}: {text or '-'}") from None


def _certificate(form: Mapping[str, str]) -> Answer:
    """What the form says of a new certificate; an empty date is none. Raises ValueError for what is no number."""
    value = {"value": _number(form, "value"), "uncertainty": _number(form, "uncertainty")}
    more = {name: form[name] for name in ("unit", "scale") if form.get(name)}
    days = {name: form[name] for name in ("certified", "expires") if form.get(name)}
    assigned = {form.get("measurand", ""): {**value, **more}}
    return {"number": form.get("certificate", ""), **days, "assigned": assigned}


def _told(one: Answer, words: Words) -> Answer:
    """A cylinder with what a template cannot say by itself: places, times and cautions in words, units as shown."""
    for value in one["values"].values():
        value["shown"] = SHOWN.get(value["unit"], value["unit"])
        value["amount"], value["u"] = rounded(value["value"], value["uncertainty"])
        value["fit_text"] = _fit(value, words)
    for row in one.get("history", ()):
        row |= {"at": local(row["at"]), "word": words(ACTS[row["act"]])}
    gauge = one["pressure"]
    return {
        **one,
        "query": urlencode({"number": one["number"], "fill": one["fill"]}),
        "gauge": {"bar": f"{gauge['bar']:.1f}", "at": local(gauge["at"])} if gauge else None,
        "facts": [(words(word), one[name]) for name, word in FACTS.items() if one[name]],
        "told": [_caution(each, words) for each in one["cautions"]],
    }


def _caution(each: Mapping[str, Any], words: Words) -> str:
    return words(CAUTIONS[each["kind"]], **{name: value for name, value in each.items() if name != "kind"})


def _fit(value: Mapping[str, Any], words: Words) -> str:
    fit = value["fit"]
    amount, u = rounded(fit["value"], fit["u"])
    return words(FITS[fit["model"]], per_year=f"{fit['per_year']:+.3g}", unit=value["shown"], value=amount, u=u)
