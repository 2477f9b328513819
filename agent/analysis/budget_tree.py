"""A budget in words, the heaviest term first."""

from collections.abc import Mapping
from typing import Any

from agent.analysis.nodes import Node, known, word
from agent.analysis.tree import PERIODS, local, unit
from host.problems import Lang

Fields = Mapping[str, Any]


def budget_tree(found: Fields, lang: Lang) -> Node:
    """The budget with its value at the root."""
    shown = unit(found["unit"])
    value = "-" if found["value"] is None else f"{found['value']:.7g}"
    title = word(
        "budget.title", lang, series=found["series"], period=PERIODS.get(found["period_s"], found["period_s"]),
        start=local(found["start"]), value=value, unit=shown, rev=found["rev"],
    )  # fmt: skip
    under = []
    if found["u"] is not None:
        under.append(Node(word("budget.total", lang, u=f"{found['u']:.4g}", U=f"{found['U']:.4g}", unit=shown)))
        parts = {name: f"{found[name]:.4g}" for name in ("independent", "slow", "common")}
        under.append(Node(word("budget.parts", lang, **parts, unit=shown)))
    under += [_term(term, shown, lang) for term in found["terms"]]
    under += [Node(word("budget.missing", lang, name=known(f"budget.no.{one}", lang)), bad=True)
              for one in found["missing"]]  # fmt: skip
    return Node(title, under)


def _term(term: Fields, shown: str, lang: Lang) -> Node:
    time = known(f"budget.{term['over_time']}", lang)
    name = known(f"budget.term.{term['name']}", lang)
    text = word("budget.term", lang, share=f"{100 * term['share']:5.1f}", name=name, u=f"{term['u']:.4g}", unit=shown,
                over_time=time, source=term["source"])  # fmt: skip
    return Node(text if term["verified"] else f"{text} {word('budget.unverified', lang)}")
