"""Proofs that leave the house: in a report, and as others' programs read them."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pymerkle import InmemoryTree

from agent.history.files import FileSource
from central.history import StoreSource
from central.queries import open_reader
from host.history import History
from host.reports.proofs import fault, ledger_of
from protocols.record import decode
from protocols.tlog import leaf_hash, root_of, split_note
from protocols.tlog_proofs import prove_consistency, prove_inclusion

Machines = Callable[..., Any]


@pytest.fixture
async def station(machine: Machines) -> Any:
    """Two days' files, checkpoints in between, the last averages under none."""
    made = machine()
    for _ in range(3):
        await made.work(10)
    made.clock.step((datetime(2026, 3, 1, 16, 10, tzinfo=UTC) - made.clock.now()).total_seconds())
    for _ in range(3):
        await made.work(10)
    async with made.running() as log:
        await made.minute(log, 400.0)
    assert len(list(made.segments.glob("log-*.db"))) == 2
    return made


def averages(station: Any) -> dict[tuple[int, int], bytes]:
    return {key: body for key, body in station.bodies().items() if decode(body)["kind"] == "average"}


def report_of(history: History, wanted: dict[tuple[int, int], bytes]) -> dict[str, Any]:
    """What of a report's twin the proofs touch."""
    leaves = {f"{e}-{s}": base64.b64encode(leaf_hash(body)).decode() for (e, s), body in wanted.items()}
    return {"header": {"station": "tower-01"}, "leaves": leaves, "ledger": ledger_of(history, wanted)}


@pytest.mark.parametrize("where", ["station", "centre"])
async def test_every_record_of_a_report_is_proven_where_a_checkpoint_covers_it(
    station: Any, centre: Any, where: str
) -> None:
    wanted = averages(station)
    if where == "station":
        source: Any = FileSource(station.folder / "store", station.signer.vkey)
    else:
        centre.take(station.bodies())
        source = StoreSource(open_reader(centre.config.store), "tower-01")
    report = report_of(History(source), wanted)
    assert len(report["ledger"]["records"]) == len(wanted) - 1
    assert len(report["ledger"]["checkpoints"]) == 6
    # Neighbours share their paths.
    lengths = [len(path) for _, path in report["ledger"]["records"].values()]
    assert len(report["ledger"]["nodes"]) < sum(lengths) * 0.6
    assert fault(report, [station.signer.vkey]) == ""
    assert fault(report, []) == ""
    assert fault({**report, "ledger": None}, []) == ""


async def test_a_proof_that_does_not_hold_names_its_record(station: Any, machine: Machines) -> None:
    wanted = averages(station)
    report = report_of(History(FileSource(station.folder / "store", None)), wanted)
    ledger, vkeys = report["ledger"], [station.signer.vkey]
    name = next(iter(ledger["records"]))
    other = list(ledger["records"].values())[-1]
    leaf = base64.b64encode(b"x" * 32).decode()
    forged = {one: note.replace("400", "401") for one, note in ledger["checkpoints"].items()}
    size = next(iter(forged))
    signature = ledger["checkpoints"][size].rsplit(" ", 1)
    forged[size] = f"{signature[0]} {signature[1][:8]}AAAAAAAA{signature[1][16:]}"
    for wrong in (
        {**report, "leaves": {**report["leaves"], name: leaf}},
        {**report, "header": {"station": "tower-02"}},
        {**report, "ledger": {**ledger, "records": {**ledger["records"], name: other}}},
        {**report, "ledger": {**ledger, "nodes": [leaf, *ledger["nodes"][1:]]}},
        {**report, "ledger": {**ledger, "checkpoints": forged}},
    ):
        assert fault(wrong, vkeys) == f"ledger {name}"
    # Of another key nothing can be said: the paths hold all the same.
    assert fault(report, [machine("x", b"x").signer.vkey.replace("tower-01", "tower-01")]) == ""


async def test_a_cosignature_travels_with_the_note(machine: Machines, centre: Any) -> None:
    made = machine()
    await made.work(3)
    centre.take(made.bodies())
    size, line = centre.store.db.execute("SELECT size, line FROM cosignature").get
    async with made.running() as log:
        told = {"epoch": 1, "size": size, "witness": "centre", "cosignature": line}
        await log.append("event", {"what": "cosigned", "origin": "uplink centre", "checkpoint": told})
    source = FileSource(made.folder / "store", None)
    report = report_of(History(source), averages(made))
    assert report["ledger"]["checkpoints"] == {f"1:{size}": decode(made.bodies()[1, size])["note"] + line}
    assert fault(report, [made.signer.vkey]) == ""


async def test_programs_of_others_agree_on_roots_proofs_checkpoints_and_cosignatures(station: Any, centre: Any) -> None:
    tlog = pytest.importorskip("aics_tlog", reason="aics_tlog, a second implementation, is not installed")
    centre.take(station.bodies())
    bodies = [body for _, body in sorted(station.bodies().items())]
    leaves = [leaf_hash(body) for body in bodies]
    rows: Any = centre.store.db.execute("SELECT size, line FROM cosignature ORDER BY size").fetchall()
    assert len(rows) >= 3
    log_key, witness = tlog.parse_vkey(station.signer.vkey), tlog.parse_vkey(centre.cosigner.vkey)
    theirs, merkle = tlog.MerkleTree(bodies), InmemoryTree(algorithm="sha256")
    for body in bodies:
        merkle.append_entry(body)
    before = 0, root_of([])
    for size, line in rows:
        note = decode(bodies[size])["note"] + line
        held = tlog.verify_checkpoint(
            tlog.parse_note(note), log_key, [witness], 1, expected_origin="plumeline/tower-01/1"
        )
        root = base64.b64decode(split_note(note)[0].split("\n")[2])
        assert held.ok, held
        assert root == theirs.root(size) == merkle.get_root(size) == root_of(leaves[:size])
        for index in (0, size // 2, size - 1):
            path = prove_inclusion(index, leaves[:size])
            assert path == list(theirs.inclusion_proof(index, size))
            assert tlog.verify_leaf_inclusion(bodies[index], index, size, path, root)
            assert not tlog.verify_leaf_inclusion(bodies[index] + b" ", index, size, path, root)
        proof = prove_consistency(before[0], leaves[:size])
        assert tlog.verify_consistency(before[0], size, before[1], root, proof)
        before = size, root
