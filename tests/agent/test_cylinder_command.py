"""`plumeline cylinder` against a running daemon and against the files of a stopped one."""

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli.cylinder_csv import CertificateFileError, cylinders_in
from agent.config import Config
from agent.daemon import Daemon
from host.clock import RealClock

SCALE = "WMO CO2 X2019"


@contextlib.asynccontextmanager
async def running(document: dict[str, Any]) -> AsyncIterator[Daemon]:
    daemon = Daemon(Config.model_validate(document), RealClock(), Path("station.hjson"))
    task = asyncio.create_task(daemon.run())
    try:
        async with asyncio.timeout(20):
            while not (Path(document["socket"]).exists() and daemon.cylinders.register.cylinders):
                await asyncio.sleep(0.02)
                assert not task.done()
        yield daemon
    finally:
        daemon.stop()
        await task


@pytest.fixture
def document(tmp_path: Path, config_for: Any) -> dict[str, Any]:
    """A station with three gases and no instrument that answers."""
    key = tmp_path / "key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o600)
    return dict(config_for(tmp_path, 1).model_dump(mode="json"))


async def plumeline(*line: str, lang: str = "en") -> tuple[int, str, str]:
    """A command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "--lang", lang, "cylinder", *line,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_technician_keeps_the_register(tmp_path: Path, document: dict[str, Any]) -> None:
    async with running(document):
        at = ("--socket", document["socket"])
        by = ("--who", "Li Wei", "--reason", "certificate 2026", *at)
        code, out, err = await plumeline("list", *at)
        assert (code, err) == (1, ""), "one of them has expired"
        rows = {line.split()[0]: line for line in out.splitlines()}
        assert "certificate ended 2025-06-30" in rows["span"]
        assert "402.00 ppm" in rows["zero"]

        value = f"co2=431.25,0.03,umol/mol,{SCALE}"
        paper = ("--certificate", "K1", "--expires", "2060-01-01", "--value", value)
        code, out, err = await plumeline(
            "add", "air", "--number", "CB9", "--volume", "10", "--pressure", "120", *paper, *by
        )
        assert (code, err) == (0, "")
        assert out.splitlines()[0] == "air: cylinder CB9, fill A"
        assert "1184 L left, 987 L of them above 20 bar" in out
        code, out, _ = await plumeline(
            "revalue", "air", "--certificate", "K2", "--value", "co2=431.4,0.02", *by, lang="zh"
        )
        assert code == 0
        assert "依据证书 K2" in out
        code, out, _ = await plumeline("pressure", "CB9", "9", "--unit", "MPa", *by, "--json")
        assert json.loads(out)["cylinder"]["pressure"]["bar"] == 90
        assert (await plumeline("remove", "air", *by))[0] == 0
        code, out, _ = await plumeline("list", *at, "--json")
        air = next(one for one in json.loads(out)["cylinders"] if one["number"] == "CB9")
        assert (air["in_use"], [one["kind"] for one in air["cautions"]]) == (False, ["absent"])
        code, _, err = await plumeline("show", "helium", *at)
        assert (code, "no cylinder helium; known: air (CB9)" in err) == (1, True)
        code, _, err = await plumeline("retire", "air", "--reason", "empty", *at)
        assert (code, "--who" in err) == (2, True)
        assert (await plumeline("add", "x", "--number", "1", "--value", "co2:1", *by))[0] == 2

    config = tmp_path / "station.hjson"
    config.write_text(json.dumps(document))
    code, out, err = await plumeline("show", "CB9", "--config", str(config), "--json")
    assert (code, err) == (0, ""), "the daemon is down: its files tell the same"
    told = json.loads(out)["cylinder"]
    assert [row["act"] for row in told["history"]] == ["added", "revalued", "removed"]
    assert [row["who"] for row in told["history"]] == ["Li Wei"] * 3
    assert (await plumeline("list", "--config", str(config)))[0] == 1
    assert (await plumeline("show", "none", "--config", str(config)))[::2] == (2, "no cylinder none is registered\n")


HEAD = "name,number,certificate,certified,expires,measurand,value,uncertainty,unit,scale,u_measurement\n"


async def test_certificates_come_from_a_file(tmp_path: Path, document: dict[str, Any]) -> None:
    paper = tmp_path / "certificates.csv"
    lines = [
        f"target,CB5,NOAA-1,2020-01-01,2050-01-01,co2,410.00,0.01,umol/mol,{SCALE},0.005",
        "target,CB5,NOAA-1,2020-01-01,2050-01-01,ch4,1.9,0.001,umol/mol,WMO CH4 X2004A,",
        f"target,CB5,NOAA-2,2022-01-01,2050-01-01,co2,410.06,0.01,umol/mol,{SCALE},0.005",
        f"target,CB5,NOAA-3,2024-01-01,2050-01-01,co2,410.12,0.01,umol/mol,{SCALE},0.005",
        f"target,CB5,NOAA-4,2025-06-01,2050-01-01,co2,410.17,0.01,umol/mol,{SCALE},0.005",
    ]
    paper.write_text(HEAD + "\n".join(lines), encoding="gb18030")
    async with running(document):
        by = ("--who", "li", "--reason", "sent by the laboratory", "--socket", document["socket"])
        code, _, err = await plumeline("import", str(paper), *by)
        assert (code, err) == (0, "")
        _, out, _ = await plumeline("show", "target", "--socket", document["socket"], "--json")
        told = json.loads(out)["cylinder"]
        assert (told["number"], [row["act"] for row in told["history"]]) == ("CB5", ["added", *["revalued"] * 3])
        assert told["values"]["ch4"]["value"] == 1.9, "a later certificate that does not tell of it leaves it"
        co2 = told["values"]["co2"]
        assert (co2["by"], co2["fit"]["model"], co2["fit"]["dof"]) == ("fit", "linear", 2)
        assert co2["fit"]["per_year"] == pytest.approx(0.031, abs=0.001)
        paper.write_text(HEAD + lines[0].replace("410.00", "much"))
        code, _, err = await plumeline("import", str(paper), *by)
        assert (code, err.strip()) == (2, f"{paper}:2: value: much is no number")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name,number\n", "1: no column certificate; no column measurand"),
        (HEAD.replace("value", "amount") + "a\n", "1: unknown column amount; no column value"),
        (HEAD, "no line below the head"),
        (HEAD + "a,1,C,,,co2,1\n", "2: not as many fields"),
        (HEAD + "a,,C,,,co2,1,1,umol/mol,X2019,\n", "2: number: nothing there"),
        (HEAD + 2 * "a,1,C,,,co2,1,1,umol/mol,X2019,\n", "3: co2 of 1 stands there twice"),
    ],
)
def test_a_file_that_is_wrong_says_where(text: str, told: str, tmp_path: Path) -> None:
    paper = tmp_path / "c.csv"
    paper.write_text(text)
    with pytest.raises(CertificateFileError) as caught:
        cylinders_in(paper)
    assert told in str(caught.value)
    assert str(paper) in str(caught.value)
