"""Who may do what: every route of both pages stands in its table, and every role meets what the table says."""

import re
from typing import Any

import pytest

from web.access import OPEN, SHELL_ACCESS, allowed, rules
from web.accounts import ROLES


def path_of(rule: str) -> tuple[str, str]:
    """A request that leads to a route: places filled with what is there."""
    method, path = rule.split(" ", 1)
    filled = re.sub(r"\{mn\}", "A000000000000000000000ZZ", re.sub(r"\{station\}", "tower", path))
    return method, re.sub(r"\{\w+\}", "x", filled)


def test_every_route_stands_in_a_table_and_every_row_has_its_route(site: Any) -> None:
    needed = rules(site.app.routes)
    assert needed - OPEN - SHELL_ACCESS.keys() - site.access.keys() == set(), "add them to the page's table"
    assert site.access.keys() - needed == set()
    assert (OPEN | SHELL_ACCESS.keys()) - needed == set()


def test_strangers_reach_nothing_that_is_not_open(site: Any, visitor: Any) -> None:
    for rule in sorted(rules(site.app.routes) - OPEN):
        method, path = path_of(rule)
        answer = visitor(site.address).ask(method, path)
        told = (answer.status, answer.headers.get("location"))
        assert told in {(401, None), (303, "/sign-in")}, rule


@pytest.mark.parametrize("role", ROLES)
def test_each_role_meets_what_the_table_says(site: Any, signed_in: Any, role: str) -> None:
    person = signed_in(role)
    for rule in sorted(rules(site.app.routes) - OPEN - {"POST /sign-out"}):
        method, path = path_of(rule)
        answer = person.ask(method, path, None if method == "GET" else {})
        refused = answer.status == 403 and "Your role does not allow this" in answer.text
        assert refused == (role not in allowed(rule, site.access)), rule
        assert answer.status != 401, rule
    assert person.post("/sign-out").status == 303


def test_an_auditor_changes_nothing_but_the_own_password(site: Any) -> None:
    changing = {rule for rule in site.access if not rule.startswith("GET ")}
    assert changing
    assert {rule for rule in changing if "auditor" in allowed(rule, site.access)} == set()


def test_what_no_table_names_is_for_administrators() -> None:
    assert allowed("POST /new-thing", {}) == {"admin"}


def test_a_refused_act_is_on_record(site: Any, signed_in: Any) -> None:
    rule = next(rule for rule in sorted(site.access) if rule.startswith("POST "))
    method, path = path_of(rule)
    assert signed_in("auditor").ask(method, path, {}).status == 403
    act = site.acts()[-1]
    assert (act["do"], act["outcome"], act["who"], act["role"]) == (
        f"{method} {path}", "refused: role", "auditor", "auditor"
    )  # fmt: skip
    assert act["address"] == "127.0.0.1"
