"""What every page of the shell carries: headers, languages, files, refusals."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from metrology.quality import Cause
from web.accounts import Accounts
from web.shell import Shell
from web.words import language, table


@pytest.fixture
def guest(tmp_path: Path, serve_page: Callable[[Any], str], visitor: Any, recorded: Any) -> Any:
    """A visitor of a page without routes of its own."""
    (tmp_path / "secret.txt").write_text("not for the world")
    return visitor(serve_page(Shell("central", Accounts(tmp_path), {}, recorded).application([])))


@pytest.mark.parametrize("path", ["/set-up", "/sign-in", "/nowhere", "/static/shell.css", "/static/none", "/api/x"])
def test_every_answer_forbids_foreign_content(guest: Any, path: str) -> None:
    headers = guest.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy.replace("http-equiv", "")
    assert "script-src" not in policy, "scripts come from here alone, as default-src says"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../words.toml",
        "/static/%2e%2e/words.toml",
        "/static/..%2fwords.toml",
        "/static/vendor/../../words.toml",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/..\\words.toml",
        "/static/%00",
    ],
)
def test_static_files_end_at_their_folder(guest: Any, path: str) -> None:
    answer = guest.get(path)
    assert answer.status in (400, 404)
    assert "root:" not in answer.text
    assert "[sign_in]" not in answer.text


def test_static_files_need_no_session(guest: Any) -> None:
    assert guest.get("/static/vendor/leaflet/leaflet.js").status == 200
    assert "uPlot" in guest.get("/static/vendor/uplot/uPlot.iife.min.js").text
    assert guest.get("/healthz").json == {"ok": True}


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/events", "/events"),
        ("/station/a?series=b.c", "/station/a?series=b.c"),
        ("//evil.example", "/"),
        ("/%5Cevil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\r\nset-cookie: a=b", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_the_language_switch_leads_nowhere_else(guest: Any, target: str, location: str) -> None:
    from urllib.parse import quote

    answer = guest.get(f"/lang/zh?next={quote(target, safe='%')}")
    assert (answer.status, answer.headers["location"]) == (303, location)
    (cookie,) = answer.headers.get_all("set-cookie")
    assert "SameSite=strict" in cookie


def test_a_language_that_is_not_spoken_changes_nothing(guest: Any) -> None:
    assert guest.get("/lang/fr?next=/events").headers.get_all("set-cookie") is None


def test_the_chosen_language_beats_the_browsers(guest: Any) -> None:
    assert '<html lang="en">' in guest.get("/set-up").text
    guest.get("/lang/zh")
    answer = guest.get("/set-up")
    assert '<html lang="zh-CN">' in answer.text
    assert "首次启动" in answer.text
    assert guest.get("/api/nothing").json == {"error": "请先登录。"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("fr-FR,fr;q=0.9,zh;q=0.5", "zh"), ("de", "en"), ("", "en"), (";;,", "en")],
)
def test_a_visitor_is_met_in_the_browsers_language(accept: str, expected: str) -> None:
    assert language({}, accept) == expected
    assert language({"lang": "elvish"}, accept) == expected


@pytest.mark.parametrize("package", ["web", "central", "agent"])
def test_every_word_stands_in_both_languages_with_the_same_places(package: str) -> None:
    for key, texts in table(package).items():
        assert set(texts) == {"en", "zh"}, key
        places = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in texts.values()]
        assert places[0] == places[1], key


def test_every_cause_of_quality_has_words() -> None:
    assert {f"cause_{cause}" for cause in Cause} <= set(table("web"))


def test_pages_ask_only_for_words_that_are_there(root: Path) -> None:
    import re

    for package in ("web", "central", "agent"):
        known = set(table(package))
        used = set()
        for file in (root / package / "templates").glob("*.html"):
            used |= set(re.findall(r"w\(['\"](\w+)['\"]", file.read_text(encoding="utf-8")))
        for file in (root / package / "static").glob("*.js"):
            used |= set(re.findall(r"texts\.(\w+)", file.read_text(encoding="utf-8")))
        assert used - known == set(), package


def test_no_word_is_left_over(root: Path) -> None:
    """A word nobody shows is one more to translate."""
    text = "".join(
        path.read_text(encoding="utf-8")
        for package in ("web", "central", "agent")
        for path in (root / package).rglob("*")
        if path.suffix in {".html", ".js", ".py"} and "vendor" not in path.parts
    )
    computed = ("cause_", "event_", "kind_", "verdict_", "cell_", "outcome_", "role_", "room_", "clock_")
    for package in ("web", "central", "agent"):
        own = tomllib.loads((root / package / "words.toml").read_text(encoding="utf-8"))
        left = [key for key in own if not key.startswith(computed) and not (
            f"'{key}'" in text or f'"{key}"' in text or f"texts.{key}" in text)]  # fmt: skip
        assert left == [], package


def test_pages_name_no_other_host(root: Path) -> None:
    """No script, style or template of ours points at an address elsewhere."""
    for package in ("web", "central", "agent"):
        for path in (root / package).rglob("*"):
            if path.suffix in {".html", ".js", ".css"} and "vendor" not in path.parts:
                assert "://" not in path.read_text(encoding="utf-8"), path
