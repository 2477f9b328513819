"""The trace on the station page: in both languages, behind the sign-in, and nothing a visitor writes is a command."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
async def guest(
    past: Any, tmp_path: Path, serve_page: Callable[[Any], str], visitor: Any, with_account: Callable[..., Any]
) -> Any:
    """A visitor with a session, of the page of a station that ran for an hour."""
    from agent.page import Page

    one = await past()
    await one.run(20)
    await one.calibrate("a", 3.0, 1.02)
    await one.run(42)
    await one.served(tmp_path / "sock")
    with_account(tmp_path)
    found = visitor(serve_page(Page(str(tmp_path / "sock"), tmp_path).application()))
    await asyncio.to_thread(found.sign_in)
    return found


async def test_a_value_is_told_down_to_its_certificate(guest: Any) -> None:
    for lang, word in (("en", "to the last digit"), ("zh", "完全一致")):
        await asyncio.to_thread(guest.get, f"/lang/{lang}")
        answer = await asyncio.to_thread(guest.get, "/trace?series=ndir.co2&at=2026-03-01T00:30:00.000Z&period=1h")
        assert answer.status == 200
        assert "C-N1" in answer.text
        assert word in answer.text


@pytest.mark.parametrize(
    "query",
    ["series=none.co2&at=2026-03-01T00:30:00Z", "series=ndir.co2&at=--html", "series=--html&at=x&period=2h", ""],
)
async def test_what_cannot_be_told_is_said(guest: Any, query: str) -> None:
    answer = await asyncio.to_thread(guest.get, f"/trace?{query}")
    assert answer.status == 404
    assert 'class="problem"' in answer.text
