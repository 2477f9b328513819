"""A station's key changes, is lost, is stolen; its hardware dies: the centre goes on with one station."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers.commands import said

from agent.__main__ import main as station_command
from agent.store.index import Index
from agent.store.recovery import coefficients_in_force
from agent.store.segment import Place
from agent.uplinks.since import place_of
from central.__main__ import main as centre_command
from central.cosigning import newest
from central.evidence import Evidence, wrong
from protocols.tlog import signer_from_seed

Machines = Callable[..., Any]


def evidence(centre: Any) -> dict[str, Any]:
    vkey = centre.config.stations["tower-01"].vkey
    return Evidence(centre.store.db, "tower-01", vkey, "2026-03-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z").report()


async def test_a_rotated_key_is_believed_and_the_former_one_no_more(machine: Machines, centre: Any) -> None:
    a = machine()
    await a.work(5)
    async with a.running() as log:
        await a.keys.rotate(log, "tower-01", machine("new", b"b").signer, "li", "yearly")
        await a.minute(log, 401.0)
        await log.post_checkpoint()
        log._signer = a.signer  # whoever stole the former key
        await a.minute(log, 402.0)
        stolen = await log.post_checkpoint()
    bodies = a.bodies()
    # However the records come: kinds travel apart, and the key's record behind the checkpoints it explains.
    late = {key: body for key, body in bodies.items() if b"key-rotated" in body}
    centre.take({key: body for key, body in bodies.items() if key not in late and key < min(late)})
    centre.take(bodies, max(key for key in bodies if key < min(late)))
    assert centre.verdicts(1) == ["consistent", "consistent", "consistent", "bad-signature"]
    assert centre.events() == [("checkpoint-bad-signature", stolen.seq)]
    found = evidence(centre)
    assert [key["how"] for key in found["keys"]] == ["enrolled", "rotated"]
    assert [row["record"] for row in found["checkpoints_refused"]] == [[1, stolen.seq]]


async def test_a_record_refused_for_good_holds_up_no_key_behind_it(machine: Machines, centre: Any) -> None:
    """What is still on its way may hold another key; what the station says is refused for good will not come."""
    a = machine()
    await a.work(3)
    before = a.bodies()
    hole = min(key for key, body in before.items() if b'"average"' in body)
    async with a.running() as log:
        await a.keys.rotate(log, "tower-01", machine("new", b"b").signer, "li", "yearly")
        await a.minute(log, 401.0)
        newest_tree = await log.post_checkpoint()
    a.signer = machine("new", b"b").signer
    bodies = a.bodies()
    centre.take({key: body for key, body in bodies.items() if key < hole})
    centre.take(bodies, hole)
    assert "pending" in centre.verdicts(1)
    async with a.running() as log:
        record = {"epoch": hole[0], "seq": hole[1]}
        told = {"what": "uplink-set-aside", "origin": "uplink centre", "record": record, "reason": "row 1: no text"}
        await log.append("event", {**told, "cn": "2051"})
    told_before = a.bodies()
    centre.take(told_before, max(bodies))
    assert "pending" in centre.verdicts(1), "a platform that refuses a frame is another matter"
    async with a.running() as log:
        await log.append("event", told)
    centre.take(a.bodies(), max(told_before))
    assert set(centre.verdicts(1)) == {"consistent"}
    found = newest(centre.store.db, "tower-01", 1)
    assert found is not None
    assert found.size >= newest_tree.seq
    report = evidence(centre)
    assert [epoch["set_aside"] for epoch in report["epochs"]] == [[[hole[1], "row 1: no text"]]]
    assert [key["how"] for key in report["keys"]] == ["enrolled", "rotated"]
    assert wrong(report) == 1, "the hole itself"


async def test_a_key_that_the_former_one_did_not_sign_is_refused(machine: Machines, centre: Any) -> None:
    a, thief = machine(), machine("thief", b"t")
    await a.work(2)
    async with a.running() as log:
        a.keys.ring.signer = thief.signer
        told, _ = await a.keys.rotate(log, "tower-01", machine("new", b"b").signer, "li", "mine now")
    centre.take(a.bodies())
    assert centre.events() == [("checkpoint-bad-signature", told.seq + 1), ("key-refused", told.seq)]


async def test_a_lost_key_waits_for_a_person(machine: Machines, centre: Any) -> None:
    a = machine()
    await a.work(3)
    centre.take(a.bodies())
    a.signer = machine("new", b"b").signer
    await a.work(3)
    centre.take(a.bodies(), (1, 99))
    assert centre.verdicts(2) == ["unconfirmed"]
    assert centre.events() == [("key-unconfirmed", 0)]
    assert newest(centre.store.db, "tower-01", 2) is None
    line = ("key", "accept", centre.file, "--station", "tower-01", "--reason", "seed lost", "--who", "wang")
    said(centre_command, *line, "--vkey", machine("x", b"x").signer.vkey, code=1)
    said(centre_command, *line, "--vkey", a.signer.vkey)
    assert centre.verdicts(2) == ["consistent"]
    assert centre.events() == [("key-accepted", None), ("key-unconfirmed", 0)]
    await a.work(1)
    centre.take(a.bodies(), (2, 10))
    assert centre.verdicts(2) == ["consistent", "consistent"]
    assert newest(centre.store.db, "tower-01", 2) is not None
    shown = said(centre_command, "key", "list", centre.file, "--station", "tower-01")
    assert "confirmed" in shown
    assert "wang seed lost" in shown


async def test_new_hardware_goes_on_as_the_same_station(machine: Machines, centre: Any, tmp_path: Path) -> None:
    a, b = machine(), machine("b", b"b")
    await a.work(10)
    async with a.running() as log:
        cylinder = {"what": "cylinder", "act": "added", "name": "zero", "number": "N1", "fill": 1, "who": "li",
                    "reason": "", "row": {}}  # fmt: skip
        await log.append("calibration", cylinder)
        await log.append("calibration", a.coefficients("c2"))
        await log.post_checkpoint()
    centre.take(a.bodies())

    # Its disk dies. The centre writes a handover for the key that was made on the new hardware.
    file = tmp_path / "handover.json"
    vkey = said(station_command, "config", "vkey", b.file).strip()
    words = ("handover", centre.file, "--station", "tower-01", "--reason", "disk dead", "--who", "wang", "--out", file)
    nowhere = ("--out", tmp_path / "none" / "handover.json", "--vkey", vkey, "--key", tmp_path / "report.key")
    said(centre_command, *words, *nowhere, code=2)
    assert "handover" not in said(centre_command, "key", "list", centre.file, "--station", "tower-01")
    signed_by = said(centre_command, *words, "--vkey", vkey, "--key", tmp_path / "report.key").strip()
    replace = ("replace", b.file, "--handover", file, "--reason", "disk dead", "--who", "li")
    stranger = signer_from_seed("eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=", "plumeline/centre").vkey
    await asyncio.to_thread(said, station_command, *replace, "--centre", stranger, code=1)
    (tmp_path / "other.json").write_text("[]")
    other = ("replace", b.file, "--handover", tmp_path / "other.json", "--reason", "x", "--centre", signed_by)
    await asyncio.to_thread(said, station_command, *other, code=1)
    done = await asyncio.to_thread(said, station_command, *replace, "--centre", signed_by, "--json")
    assert json.loads(done) == {"epoch": 2, "former": 1, "records": 2}
    await asyncio.to_thread(said, station_command, *replace, "--centre", signed_by, code=1)

    await b.work(10)
    rows = b.bodies()
    first, gap, *restored = [json.loads(rows[2, seq]) for seq in range(4)]
    assert (first["what"], first["former"]["epoch"]) == ("station-replaced", 1)
    assert first["former"]["checkpoint"]["cosignature"] == newest(centre.store.db, "tower-01", 1).line
    assert (gap["kind"], gap["reason"], gap["of_epoch"]) == ("gap", "station replaced", 1)
    assert [(one["what"], one["restored"]["epoch"]) for one in restored] == [("cylinder", 1), ("coefficients", 1)]
    async with b.running() as log:
        index = Index(b.folder / "store" / "station.db", b.segments, log.files)
        assert coefficients_in_force(index)["gas.co2"].id == "c2"
        index.close()
    centre.take(rows)
    assert centre.verdicts(2) == ["consistent", "consistent"]
    assert [what for what, _ in centre.events()] == ["key-accepted"]
    assert newest(centre.store.db, "tower-01", 2) is not None
    found = evidence(centre)
    assert [epoch["epoch"] for epoch in found["epochs"]] == [1, 2]
    assert {one["reason"] for one in found["gaps"]} == {"station replaced"}
    assert wrong(found) == 0
    assert found["averages"]["cosigned"] == 20
    assert [key["how"] for key in found["keys"]] == ["enrolled", "handover"]
    walked = json.loads(await asyncio.to_thread(said, station_command, "verify", b.segments, "--vkey", vkey, "--json"))
    assert [(one["what"], one["told"]) for one in walked["findings"] if one["what"] != "time-back"] == [
        ("epochs-missing", True)
    ]


MN = "ABCDEF0123456789ABCDEF01"


async def test_new_hardware_begins_by_hj212_where_it_took_over_and_says_what_had_come(
    machine: Machines, centre: Any, tmp_path: Path
) -> None:
    """Nothing older is sent to a platform; what the old machine last delivered there is on record beside the gap."""
    a, b = machine(), machine("b", b"b")
    await a.work(3)
    centre.take(a.bodies())
    document = json.loads(centre.file.read_text())
    outlet = {"mn": MN, "pw": {"file": str(centre.folder / "report.key")}, "factors": {"a21026": {"series": "gas.so2"}}}
    document["stations"]["tower-01"]["outlets"] = {"o": outlet}
    centre.file.write_text(json.dumps(document))
    frame = "INSERT INTO hj212_frame VALUES(NULL, ?, ?, ?, ?, 0, ?, x'', NULL, 0, ?)"
    for minute, (cn, answered, problem) in enumerate(
        (("2051", 1, ""), ("2051", 1, ""), ("2061", 1, ""), ("2051", 0, ""), ("2051", 1, "future"), ("2011", 1, ""))
    ):
        centre.store.db.execute(frame, (MN, str(minute), cn, f"2026-03-01T04:0{minute}:00.000Z", answered, problem))
    file = tmp_path / "handover.json"
    words = ("handover", centre.file, "--station", "tower-01", "--reason", "disk dead", "--who", "wang", "--out", file)
    signed_by = said(centre_command, *words, "--vkey", b.signer.vkey, "--key", tmp_path / "report.key").strip()
    replace = ("replace", b.file, "--handover", file, "--reason", "disk dead", "--who", "li", "--centre", signed_by)
    await asyncio.to_thread(said, station_command, *replace)
    await b.work(3)
    async with b.running() as log:
        [replaced] = [row.fields for row in await log.read(-1, kinds=frozenset({"event"}), limit=1)]
        assert replaced["former"]["hj212"] == {
            MN: {"2051": "2026-03-01T04:01:00.000Z", "2061": "2026-03-01T04:02:00.000Z"}
        }
        # An uplink that is new to this log begins with it, whatever its `since` says of the old one.
        assert await place_of(log, "platform", "beginning") == Place(2, -1)
        kinds = frozenset({"average", "scan"})
        assert {row.epoch for row in await log.read(-1, kinds=kinds, limit=500)} == {2}
        assert await log.epochs() == [2]
