"""From a number back to its cylinder: everything behind an average is told, and what was altered is found."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from agent.__main__ import main
from agent.analysis.nodes import page, text
from agent.analysis.trace import NoAverageError, Question, Tracer
from agent.analysis.tree import tree
from agent.history.daemon import DaemonSource
from agent.history.files import FileSource
from agent.store.packing import pack, unpack
from metrology.quality import Cause, Mark
from protocols.tlog import signer_from_seed
from protocols.tlog_keys import rotation_fields

SERIES = "ndir.co2"


async def calibrated(past: Any) -> Any:
    """Two hours: a calibration within the first, faults, a late scan and a repeat in it, checkpoints behind."""
    one = await past()
    await one.run(20)
    await one.calibrate("a", 3.0, 1.02)
    begin = one.clock.now()
    for _ in range(6):
        await one.scan(421.0, None, Mark(Cause.FAULT, "analyzer", begin))
        await one.clock.advance(10)
        one.writer.write_due()
    await one.scan(9999.0, begin - timedelta(minutes=10))
    await one.scan(421.0, None, Mark(Cause.STALE, "analyzer", begin))
    await one.run(110)
    await one.log.post_checkpoint()
    await one.run(5)
    return one


def ask(source: Any, begin: Any, period_s: int = 3600) -> dict[str, Any]:
    return Tracer(source).trace(Question(SERIES, begin + timedelta(minutes=30), period_s))


async def test_an_hour_is_told_down_to_its_cylinders_and_comes_out_the_same(past: Any) -> None:
    one = await calibrated(past)
    begin = one.clock.now().replace(hour=0, minute=0)
    await one.stop()
    found = ask(FileSource(one.folder), begin)
    assert found["agrees"] is True
    assert found["differences"] == []
    assert len(found["parts"]) == 60
    excluded = {(row["cause"], row["origin"]): row["count"] for row in found["scans"]["excluded"]}
    assert excluded == {("fault", "analyzer"): 6, ("stale", "analyzer"): 1, ("late", "averaging"): 1}
    assert found["scans"]["count"] == found["scans"]["used"] + 8
    [correction] = found["corrections"]
    points = correction["run"]["points"]
    assert [(row["cylinder"]["number"], row["cylinder"]["certificate"], row["assigned"]) for row in points] == [
        ("N1", "C-N1", 402), ("N2", "C-N2", 604),
    ]  # fmt: skip
    assert {row["uncertainty"] for row in points} == {0.1}
    assert correction["run"]["who"] == "Li Na"
    assert found["configuration"]["keys"]["instruments.ndir"]["poll_s"] == 5
    assert found["configuration"]["software"]
    assert found["ledger"]["included"] is True
    assert found["ledger"]["checkpoint"]["signature"] is None
    assert found["seal"] == "kept"


@pytest.mark.parametrize("period_s", [60, 3600])
async def test_the_daemon_tells_what_its_files_tell(past: Any, tmp_path: Path, period_s: int) -> None:
    one = await calibrated(past)
    begin = one.clock.now().replace(hour=0, minute=0)
    await one.served(tmp_path / "sock")
    asked = await asyncio.to_thread(lambda: ask(DaemonSource(str(tmp_path / "sock")), begin, period_s))
    vkey = one.log.vkey
    await one.stop()
    assert asked["agrees"] is True
    assert asked["ledger"]["checkpoint"]["signature"] is True
    assert json.loads(json.dumps(ask(FileSource(one.folder, vkey), begin, period_s))) == json.loads(json.dumps(asked))


async def test_a_day_is_made_again_of_its_scans(past: Any) -> None:
    one = await past(begin=datetime(2026, 3, 1, 15, 30, tzinfo=UTC))
    await one.run(60)
    await one.calibrate("a", 3.0, 1.02)
    await one.stop()
    # Off over midnight in UTC+8, and on again: the day is closed without the hours of the stop.
    await one.clock.advance(7200)
    one.open()
    await one.begin()
    await one.run(20)
    await one.stop()
    found = Tracer(FileSource(one.folder)).trace(Question(SERIES, datetime(2026, 3, 1, 15, 45, tzinfo=UTC), 86400))
    assert found["agrees"] is True
    assert found["parts"]
    assert {row["agrees"] for row in found["parts"]} == {True}


async def test_a_restart_within_a_minute_and_a_clock_that_stepped_are_made_again_too(past: Any) -> None:
    one = await past()
    await one.run(10.5)
    await one.stop()
    await one.clock.advance(5)
    one.open()
    await one.begin()
    await one.run(5)
    one.clock.step(3.0)
    await one.run(50)
    await one.stop()
    found = ask(FileSource(one.folder), one.clock.now().replace(hour=0, minute=0))
    assert found["differences"] == []
    assert found["agrees"] is True
    assert [row["cause"] for row in found["marks"]] == ["clock_doubtful"]
    assert [row["what"] for row in found["marks"][0]["behind"]] == ["clock-step"]


def alter(folder: Path, kind: str, before: bytes, after: bytes, nth: int = 0) -> int:
    """Change the body of a record in the files, as somebody with access to the disk might."""
    for path in sorted((folder / "segments").glob("log-*.db")):
        db = apsw.Connection(str(path))
        bodies = [(seq, unpack(body)) for seq, body in db.execute("SELECT seq, body FROM rec WHERE kind = ?", (kind,))]
        rows = [row for row in bodies if before in row[1]]
        if len(rows) > nth:
            seq, body = rows[nth]
            db.execute("UPDATE rec SET body = ? WHERE seq = ?", (pack(body.replace(before, after)), seq))
            return int(seq)
    raise AssertionError("nothing to alter")


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("scan", b'"x":420.21', b'"x":420.22'),
        ("average", b'"period_s":3600', b'"period_s":3600,"note":1'),
        ("calibration", b'"assigned":402,', b'"assigned":403,'),
    ],
)
async def test_a_body_that_was_altered_is_found(past: Any, kind: str, before: bytes, after: bytes) -> None:
    one = await calibrated(past)
    begin = one.clock.now().replace(hour=0, minute=0)
    await one.stop()
    seq = alter(one.folder, kind, before, after)
    found = ask(FileSource(one.folder), begin)
    told = text(tree(found, "en"))
    (one.folder / "station.hjson").write_text(json.dumps(one.config.model_dump(mode="json")))
    line = ["trace", SERIES, "2026-03-01T08:30", "--config", str(one.folder / "station.hjson"), "--json"]
    assert main(line) == 1
    assert "altered" in told or "not the one the ledger has" in told
    if kind == "scan":
        assert [1, seq] in found["scans"]["altered"]
        assert found["agrees"] is False
    elif kind == "average":
        assert found["seal"] == "altered"
        assert found["ledger"]["included"] is False
    else:
        assert found["corrections"][0]["run"]["points"][0]["seal"] == "altered"


async def test_regulated_values_are_said_to_be_uncorrected_and_an_absent_average_is_named(past: Any) -> None:
    one = await past(kind="regulated")
    await one.run(62)
    begin = one.clock.now().replace(hour=0, minute=0)
    await one.stop()
    found = ask(FileSource(one.folder), begin)
    assert (found["agrees"], found["regulated"], found["corrections"]) == (True, True, [])
    assert found["ledger"]["checkpoint"] is None
    with pytest.raises(NoAverageError, match="none"):
        Tracer(FileSource(one.folder)).trace(Question(SERIES, begin + timedelta(days=3), 3600))


@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_the_command_prints_a_tree_and_writes_a_page(
    past: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], lang: str
) -> None:
    one = await calibrated(past)
    await one.stop()
    config = tmp_path / "station.hjson"
    config.write_text(json.dumps(one.config.model_dump(mode="json")))
    line = ["--lang", lang, "trace", SERIES, "2026-03-01T08:30", "--config", str(config)]
    assert main([*line, "--html", str(tmp_path / "t.html")]) == 0
    told = capsys.readouterr().out
    assert "C-N1" in told
    assert ("同" in told or "一致" in told) == (lang == "zh")
    written = (tmp_path / "t.html").read_text()
    assert [part for part in ("src=", "href=", "url(", "<script") if part in written] == []
    assert "C-N1" in written
    alter(one.folder, "scan", b'"x":420.21', b'"x":420.99')
    assert main([*line, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["agrees"] is False
    assert main(["trace", SERIES, "2027-03-01T08:30", "--config", str(config)]) == 1


async def test_what_stands_in_a_text_is_no_markup(past: Any) -> None:
    one = await past()
    await one.scan(None, None, Mark(Cause.FAULT, "<script>alert(1)</script>\x1b[2J", one.clock.now()))
    await one.run(62)
    await one.stop()
    found = ask(FileSource(one.folder), one.clock.now().replace(hour=0, minute=0))
    assert "<script>" not in page(tree(found, "en"), "en")
    assert "\x1b" not in text(tree(found, "en"))


async def test_what_a_former_key_signed_is_as_good_as_what_the_key_of_today_did(past: Any) -> None:
    one = await calibrated(past)
    begin = one.clock.now().replace(hour=0, minute=0)
    old, new, stranger = (
        signer_from_seed(base64.b64encode(seed).decode(), f"plumeline/{one.config.station.id}")
        for seed in (bytes(range(32)), b"n" * 32, b"s" * 32)
    )
    await one.log.append(
        "event",
        {"what": "key-rotated", **rotation_fields(one.config.station.id, one.log.epoch, old, new, "li", "yearly")},
    )
    await one.stop()
    for vkey, signed in ((new.vkey, True), (old.vkey, True), (stranger.vkey, False), (None, None)):
        assert ask(FileSource(one.folder, vkey), begin)["ledger"]["checkpoint"]["signature"] is signed, vkey
