"""The APIs as they are described: every route, and what schemathesis makes of the description, over real HTTP.

PLUMELINE_API_EXAMPLES sets how many requests each operation gets (docs/security.md).
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from web.access import rules

EXAMPLES = int(os.environ.get("PLUMELINE_API_EXAMPLES", "12"))
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip


@pytest.fixture
def described(root: Path, site: Any) -> dict[str, Any]:
    """The description of the page under test."""
    name = site.name.removesuffix("_page")
    text = (root / "docs" / f"openapi-{name}.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text.partition("\n")[2])
    return document


def test_every_route_of_the_api_is_described_and_no_other(site: Any, described: dict[str, Any]) -> None:
    routes = {rule for rule in rules(site.app.routes) if rule.split(" ")[1].startswith(("/api/", "/healthz"))}
    told = {f"{method.upper()} {path}" for path, one in described["paths"].items() for method in one}
    assert told == routes


def modes(operation: Any) -> list[GenerationMode]:
    """What fits the description; and what does not, where there is anything to get wrong."""
    raw = operation.definition.raw
    wrong = [GenerationMode.NEGATIVE] if {"parameters", "requestBody"} & raw.keys() else []
    return [GenerationMode.POSITIVE, *wrong]


def test_no_request_breaks_the_api_or_its_description(site: Any, signed_in: Any, described: dict[str, Any]) -> None:
    person = signed_in("admin")
    schema = schemathesis.openapi.from_dict(described)
    # The station's daemon is away: its 503 is described, and is no fault of the page.
    checks = CHECKS if site.name == "centre_page" else CHECKS[1:]
    sent: list[int] = []

    def judge(case: Case) -> None:
        answer = case.call(base_url=site.address, headers={"origin": site.address}, cookies=person.cookies)
        sent.append(answer.status_code)
        case.validate_response(answer, checks=checks)

    bounded = settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=EXAMPLES < 100,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in modes(operation):
            bounded(given(case=operation.as_strategy(generation_mode=mode))(judge))()
    assert len(sent) >= len(described["paths"])
    assert 200 in sent
    assert person.get("/account").status == 200, "still there, and still signed in"
