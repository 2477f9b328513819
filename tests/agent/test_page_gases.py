"""The tab of standard gases: the page of a running daemon, over HTTP, in both languages."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.config import Config
from agent.daemon import Daemon
from agent.page import Page
from host.clock import RealClock
from metrology.periods import iso


@pytest.fixture
async def daemon(tmp_path: Path, config_for: Any) -> AsyncIterator[Daemon]:
    """Three gases, one of which has expired."""
    key = tmp_path / "key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o600)
    document = config_for(tmp_path, 1).model_dump(mode="json")
    document["cylinders"]["zero"] |= {"supplier": "NIM <Beijing>", "volume_L": 10}
    running = Daemon(Config.model_validate(document), RealClock(), tmp_path / "station.hjson")
    task = asyncio.create_task(running.run())
    async with asyncio.timeout(20):
        while not (Path(running.config.socket).exists() and len(running.cylinders.register.cylinders) == 3):
            await asyncio.sleep(0.02)
            assert not task.done()
    yield running
    running.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def technician(
    daemon: Daemon, tmp_path: Path, serve_page: Callable[[Any], str], visitor: Any, with_account: Callable[..., Any]
) -> Any:
    """Who has signed in."""
    with_account(tmp_path)
    guest = visitor(serve_page(Page(daemon.config.socket, tmp_path).application()))
    assert (await asyncio.to_thread(guest.get, "/gases")).headers["location"] == "/sign-in"
    await asyncio.to_thread(guest.sign_in)
    return guest


async def test_the_register_is_shown_in_both_languages(technician: Any) -> None:
    said = {"en": ("Standard gases", "Certificate ended 2025-06-30"), "zh": ("标准气", "证书已于 2025-06-30 到期")}
    for lang, words in said.items():
        await asyncio.to_thread(technician.get, f"/lang/{lang}")
        shown = (await asyncio.to_thread(technician.get, "/gases")).text
        for word in (*words, "N402", "604", 'class="here" href="/gases"'):
            assert word in shown
        one = (await asyncio.to_thread(technician.get, "/gases/cylinder?number=N402&fill=A")).text
        assert "NIM &lt;Beijing&gt;" in one
        assert "WMO CO2 X2019" in one
    assert 'href="/gases"' in (await asyncio.to_thread(technician.get, "/")).text


BY = {"number": "N402", "fill": "A", "who": "Li Wei", "reason": "weekly round"}
PAPER = {"certificate.number": "K-7", "certificate.certified": "2026-01-02", "certificate.expires": "2061-01-01",
         "row-0.measurand": "co2", "row-0.value": "402.25", "row-0.uncertainty": "0.05"}  # fmt: skip
NEW = {
    "cylinder.name": "span", "cylinder.number": "CB9", "cylinder.fill": "B", "cylinder.supplier": "中国计量院",
    "cylinder.volume_L": "8", "cylinder.pressure_bar": "130", "cylinder.certificate.number": "K-9",
    "cylinder.certificate.expires": "2061-01-01", "row-0.measurand": "co2", "row-0.value": "600.5",
    "row-0.uncertainty": "0.1", "row-0.unit": "umol/mol", "row-0.scale": "WMO CO2 X2019", "row-0.role": "span",
    "row-1.measurand": "ch4", "row-1.value": "1900", "row-1.uncertainty": "2", "row-1.unit": "nmol/mol",
    "row-1.scale": "WMO CH4 X2004A", "row-2.measurand": "n2o", "who": "Li Wei", "reason": "the old one is empty",
}  # fmt: skip


async def post(technician: Any, act: str, *forms: dict[str, str]) -> Any:
    fields = {name: one for form in forms for name, one in form.items()}
    return await asyncio.to_thread(technician.ask, "POST", f"/gases/{act}", fields)


def held(daemon: Daemon, number: str) -> Any:
    found = daemon.cylinders.register.found(number)
    assert found is not None
    return found


async def test_a_person_registers_a_pressure_and_a_certificate(technician: Any, daemon: Daemon) -> None:
    answer = await post(technician, "pressure", BY, {"pressure.value": "9.5", "pressure.unit": "MPa"})
    assert (answer.status, answer.headers["location"]) == (303, "/gases/cylinder?number=N402&fill=A")
    assert (await post(technician, "revalue", BY, PAPER)).status == 303
    one = (await asyncio.to_thread(technician.get, "/gases/cylinder?number=N402&fill=A")).text
    for word in ("95.0", "938", "402.25", "K-7", "Li Wei", "weekly round"):
        assert word in one
    assert [(row.act, row.who) for row in held(daemon, "N402").history][1:] == [("revalued", "Li Wei")]


async def test_a_cylinder_is_added_in_one_act_with_all_its_paper_says(technician: Any, daemon: Daemon) -> None:
    form = (await asyncio.to_thread(technician.get, "/gases/new")).text
    for word in ("gas.span", "N604 / A", "Register a new cylinder"):
        assert word in form
    answer = await post(technician, "add", NEW)
    assert (answer.status, answer.headers["location"]) == (303, "/gases/cylinder?number=CB9&fill=B")
    one = held(daemon, "CB9")
    assert (one.row.name, one.in_use, one.row.supplier, one.row.volume_L) == ("span", True, "中国计量院", 8)
    assert (one.measurands, one.row.roles, one.pressures[-1].bar) == (["ch4", "co2"], {"co2": "span"}, 130)
    assert [row.act for row in one.history] == ["added"]
    assert not held(daemon, "N604").in_use, "the place is taken"
    again = await post(technician, "add", NEW)
    assert again.status == 400
    assert "is in the register" in again.text
    assert 'id="wrong-cylinder.number"' in again.text


async def test_a_cylinder_changes_its_place_its_use_and_its_end(technician: Any, daemon: Daemon) -> None:
    assert (await post(technician, "install", BY, {"install.place": "span"})).status == 303
    assert (held(daemon, "N402").row.name, held(daemon, "N604").in_use) == ("span", False)
    roles = {"roles.roles.co2": "target"}
    assert (await post(technician, "roles", BY, roles)).status == 303
    assert (await post(technician, "remove", BY)).status == 303
    assert not held(daemon, "N402").in_use
    assert (await post(technician, "retire", BY)).status == 303
    one = held(daemon, "N402")
    assert [(row.act, row.who) for row in one.history][1:] == [
        (act, "Li Wei") for act in ("installed", "roles", "removed", "retired")
    ]
    assert (one.row.roles, one.row.retired is not None) == ({"co2": "target"}, True)
    for lang, words in {"en": ("roles given", "Retired"), "zh": ("指定用途", "停用")}.items():
        await asyncio.to_thread(technician.get, f"/lang/{lang}")
        shown = (await asyncio.to_thread(technician.get, "/gases/cylinder?number=N402&fill=A")).text
        assert all(word in shown for word in words)
        assert 'action="/gases/retire"' not in shown


WRONG = [
    ("pressure", {"pressure.value": "much", "pressure.unit": "bar"}, "pressure.value", '"much"', "数"),
    ("pressure", {"pressure.value": "9", "pressure.unit": "mol"}, "pressure.unit", "Write bar, MPa", "请填写 bar"),
    ("pressure", {"pressure.value": "9", "who": " "}, "who", "Write the name of the person", "请填写负责人姓名"),
    ("revalue", PAPER | {"row-0.measurand": "ch4"}, "row-0.unit", "unit and scale are needed", "须填写单位和标尺"),
    ("revalue", PAPER | {"row-0.scale": "mine"}, "row-0.scale", "&#34;mine&#34;", "mine"),
    ("revalue", PAPER | {"row-0.value": ""}, "row-0.value", "value", "value"),
    ("revalue", PAPER | {"row-0.measurand": "CO2 gas"}, "row-0.measurand", "as co2", "如 co2"),
    (
        "revalue",
        PAPER | {"row-1.measurand": "co2", "row-1.value": "1"},
        "row-1.measurand",
        "Each measurand once",
        "只填一行",
    ),
    ("revalue", PAPER | {"certificate.expires": "soon"}, "certificate.expires", "soon", "soon"),
    ("revalue", {"certificate.number": "K"}, "row-0.measurand", "at least 1", "至少"),
    ("install", {"install.place": "no place!"}, "install.place", "no place!", "no place!"),
    ("roles", {"roles.roles.co2": "king"}, "roles.roles.co2", "king", "king"),
]


@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_what_is_wrong_is_said_at_its_field_and_nothing_is_written(
    technician: Any, daemon: Daemon, lang: str
) -> None:
    await asyncio.to_thread(technician.get, f"/lang/{lang}")
    for act, form, field, *told in WRONG:
        answer = await post(technician, act, BY, {"certificate.number": "", **form})
        assert answer.status == 400, form
        said = answer.text.partition(f'id="wrong-{field}"')[2].partition("</span>")[0]
        assert told[lang == "zh"].replace('"', "&#34;") in said.replace("&amp;", "&"), (form, said)
        assert 'value="Li Wei"' in answer.text or form.get("who") == " ", "what was written stays in the form"
    assert (await asyncio.to_thread(technician.get, "/gases/cylinder?number=none")).status == 404
    assert (await post(technician, "eat", BY)).status == 404
    long = await post(technician, "pressure", BY, {"reason": "理" * 1000})
    assert (long.status, ("too long" if lang == "en" else "内容过长") in long.text) == (413, True)
    assert (len(held(daemon, "N402").history), held(daemon, "N402").pressures) == (1, ())


async def test_nobody_writes_without_a_session(daemon: Daemon, technician: Any, visitor: Any) -> None:
    stranger = visitor(technician.address)
    for act in ("pressure", "add", "retire"):
        answer = await post(stranger, act, BY, NEW, {"pressure.value": "1"})
        assert answer.headers["location"] == "/sign-in"
    assert (held(daemon, "N402").pressures, len(daemon.cylinders.register.cylinders)) == ((), 3)


async def test_a_person_takes_over_what_a_run_says_a_cylinder_is_worth(technician: Any, daemon: Daemon) -> None:
    assert (await post(technician, "add", NEW)).status == 303
    run = f"transfer-{iso(datetime.now(UTC))}"
    head = {"run": run, "sequence": "transfer", "instrument": "gas"}
    for number, fill, role, reading in (
        ("N402", "A", "zero", 402.0), ("CB9", "B", "span", 600.5), ("N452.5", "A", "unknown", 450.0),
        ("N604", "A", "span", 604.0), ("N402", "A", "zero", 402.0),
    ):  # fmt: skip
        at = iso(datetime.now(UTC))
        point = {"what": "point", **head, "series": "gas.co2", "gas": role, "role": role, "number": number,
                 "fill": fill, "mean": reading, "sd": 0.02, "n": 20, "stable": True, "unit": "umol/mol", "from": at,
                 "to": at}  # fmt: skip
        await daemon.log.append("calibration", point)
    proposal = {"number": "N452.5", "fill": "A", "series": "gas.co2", "refused": "no steady point"}
    await daemon.log.append("calibration", {"what": "assignment", **head, **proposal})
    await daemon.log.append("calibration", {"what": "run-finished", **head, "adopted": [], "refused": {},
                                            "unusable": {}})  # fmt: skip
    by = BY | {"number": "N452.5", "assignment.runs": run, "assignment.series": "gas.co2"}
    shown = (await asyncio.to_thread(technician.get, "/gases/cylinder?number=N452.5&fill=A")).text
    for word in ("What runs say it is worth", run, "no steady point", 'action="/gases/assign"'):
        assert word in shown, word
    for wrong, told in (
        ({"assignment.runs": "yesterday"}, "a run is named by"), ({"assignment.series": "gas.ch4"}, "no steady point"),
        ({"assignment.expires": "soon"}, 'id="wrong-assignment.expires"'),
    ):  # fmt: skip
        answer = await post(technician, "assign", by, {"assignment.certificate": "own 1"}, wrong)
        assert (answer.status, told in answer.text) == (400, True), answer.text
    answer = await post(
        technician, "assign", by, {"assignment.certificate": "own 1", "assignment.expires": "2061-01-01"}
    )
    assert (answer.status, answer.headers["location"]) == (303, "/gases/cylinder?number=N452.5&fill=A")
    one = held(daemon, "N452.5")
    value = one.value("co2", datetime.now(UTC).date())
    assert value is not None
    assert (value.value, one.history[-1].act, one.history[-1].who) == (
        pytest.approx(450.0, abs=0.3),
        "assigned",
        "Li Wei",
    )
    await asyncio.to_thread(technician.get, "/lang/zh")
    shown = (await asyncio.to_thread(technician.get, "/gases/cylinder?number=N452.5&fill=A")).text
    assert all(word in shown for word in ("own 1", "按比对结果定值", "比对运行给出的定值"))
