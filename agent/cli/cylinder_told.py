"""Standard gases in words of two languages for a terminal."""

from collections.abc import Iterator
from typing import Any

from agent.cli.status import NOTHING, local
from agent.cli.words import say
from calibration.standards.summary import rounded
from host.problems import Lang
from host.table import table
from metrology.units import SHOWN

Answer = dict[str, Any]


def register_text(answer: Answer, lang: Lang) -> str:
    """The list: one line for each cylinder."""
    if not answer["cylinders"]:
        return say("no-cylinders", lang)
    rows = [_line(one, lang) for one in answer["cylinders"]]
    head = ("place", "number", "fill", "assigned", "expires", "bar", "weeks", "cautions")
    return table([say(f"head.{word}", lang) for word in head], rows, (5, 6))


def _line(one: Answer, lang: Lang) -> tuple[str, ...]:
    values = "; ".join(f"{m} {rounded(v['value'], v['uncertainty'])[0]} {_unit(v)}" for m, v in one["values"].items())
    bar, weeks = (one["pressure"] or {}).get("bar"), one["stock"]["weeks_left"]
    place = one["name"] if one["in_use"] else say("not-in-place", lang, name=one["name"])
    return (
        place, one["number"], one["fill"], values or NOTHING, one["expires"] or NOTHING,
        NOTHING if bar is None else f"{bar:.1f}", NOTHING if weeks is None else f"{weeks:.1f}",
        "; ".join(caution_text(each, lang) for each in one["cautions"]),
    )  # fmt: skip


def caution_text(one: Answer, lang: Lang) -> str:
    """A caution in words."""
    return say(f"caution.{one['kind']}", lang, **{name: value for name, value in one.items() if name != "kind"})


def _unit(value: Answer) -> str:
    return SHOWN.get(value["unit"]) or str(value["unit"])


def whole_text(one: Answer, lang: Lang) -> str:
    """One cylinder with its past."""
    return "\n".join(_whole(one, lang))


def _whole(one: Answer, lang: Lang) -> Iterator[str]:
    place = one["name"] if one["in_use"] else say("not-in-place", lang, name=one["name"])
    yield say("cylinder", lang, name=place, number=one["number"], fill=one["fill"])
    for name in ("supplier", "lot", "volume_L", "filling_pressure_bar", "installed", "removed", "retired"):
        if one[name]:
            yield f"  {say(f'cylinder.{name}', lang)}: {one[name]}"
    for measurand, value in one["values"].items():
        yield "  " + say(
            f"value.{value['by']}", lang, measurand=measurand, value=f"{value['value']:.9g}", unit=_unit(value),
            u=f"{value['uncertainty']:.3g}", scale=value["scale"], certificate=value["certificate"],
        )  # fmt: skip
        fit = value["fit"]
        yield "    " + say(
            f"fit.{fit['model']}", lang, value=f"{fit['value']:.9g}", u=f"{fit['u']:.3g}", unit=_unit(value),
            per_year=f"{fit['per_year']:+.3g}", sd=f"{fit['residual_sd']:.3g}", dof=fit["dof"],
        )  # fmt: skip
    yield from _stock(one, lang)
    yield from (f"  {caution_text(each, lang)}" for each in one["cautions"])
    yield say("certificates", lang)
    for kept in one["certificates"]:
        values = "; ".join(f"{m} {v['value']:.9g} +- {v['uncertainty']:.3g} {_unit(v)} ({v['scale']})"
                           for m, v in kept["assigned"].items())  # fmt: skip
        yield f"  {kept['day']}  {kept['number']}  {values}  {say('valid-until', lang, day=kept['expires'] or NOTHING)}"
    yield say("history", lang)
    for row in one["history"]:
        yield f"  {local(row['at'])}  {say('act.' + row['act'], lang)}  {row['who']}: {row['reason']}"


def _stock(one: Answer, lang: Lang) -> Iterator[str]:
    stock, gauge = one["stock"], one["pressure"]
    if gauge is None:
        return
    yield "  " + say("gauge", lang, bar=f"{gauge['bar']:.1f}", at=local(gauge["at"]))
    if stock["litres"] is not None:
        litres, usable = f"{stock['litres']:.0f}", f"{stock['usable_litres']:.0f}"
        yield "  " + say("gas-left", lang, litres=litres, usable=usable, bar=f"{one['low_bar']:g}")
    if stock["bar_per_day"] is not None:
        weeks = NOTHING if stock["weeks_left"] is None else f"{stock['weeks_left']:.1f}"
        yield "  " + say("use", lang, per_day=f"{stock['bar_per_day']:.2f}", weeks=weeks)


def proposal_text(answer: Answer, lang: Lang) -> str:
    """A value that runs propose, with its budget and what speaks against it."""
    found = answer["proposal"]
    value = found["value"]
    unit = _unit(value)
    lines = [
        say("proposal", lang, number=found["number"], fill=found["fill"], measurand=found["measurand"],
            value=f"{value['value']:.9g}", u=f"{value['uncertainty']:.3g}", unit=unit, scale=value["scale"])
    ]  # fmt: skip
    for run, fit in zip(found["runs"], found["fits"], strict=True):
        lines.append(f"  {run}: {fit['value']:.9g} +- {fit['u']:.3g} {unit}")
        lines += [f"    {term['share']:6.1%}  {term['u']:.3g}  {term['name']}" for term in fit["budget"]]
    lines += [f"  ! {doubt}" for doubt in found["doubts"]]
    written = "cylinder" in answer
    lines.append(say("assigned" if written else "not-assigned-yet", lang))
    return "\n".join(lines)
