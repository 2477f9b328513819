"""Raw of old days goes only where it may, and leaves everything else provable; a crash at any step costs nothing."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.ledger.places import rows_of_files
from agent.ledger.walk import Finding, Walk
from agent.space import deletion as deletion_module
from agent.space.deletion import Deletion
from agent.space.proof import UnprovenError, proven
from agent.store.segment import segment_files
from host.control import RequestError
from protocols import record

Life = Any
YEAR = timedelta(days=366)


async def rows(life: Life, kinds: frozenset[str] = record.KINDS) -> list[Any]:
    found: list[Any] = []
    while page := await life.log.read(found[-1].seq if found else -1, kinds=kinds, limit=500):
        found += page
    return found


def walked(life: Life) -> tuple[list[Finding], Walk]:
    """Everything `plumeline verify` finds in the files of a stopped station."""
    walk = Walk([life.log.vkey])
    found: list[Finding] = []
    for row in rows_of_files(life.segments):
        found += [row] if isinstance(row, Finding) else walk.take(row)
    return [*found, *walk.end()], walk


async def test_raw_older_than_five_years_goes_and_all_else_stays(life: Callable[..., Life]) -> None:
    one = life()
    await one.days(3)
    before = await rows(one)
    assert await one.deletion.one(one.clock.now()) is False
    assert await one.deletion.one(one.clock.now() + 5 * YEAR + timedelta(days=1)) is True
    names = [path.name[:5] for path in segment_files(one.segments)]
    assert names == ["kept-", "log-0", "log-0", "log-0"]
    [told] = await one.told("raw-deleted")
    assert (told["first"], told["copy"]) == (0, {"at": "none"})
    one = await one.again()
    after = await rows(one)
    gone = [row for row in before if row not in after]
    assert {row.kind for row in gone} == {"scan"}
    assert [row.seq for row in gone] == [row.seq for row in before if row.kind == "scan" and row.seq <= told["last"]]
    # The next start goes on, and a walk finds nothing that the log does not tell of itself.
    one = await one.again()
    await one.days(1)
    await one.end()
    found, walk = walked(one)
    assert [finding.what for finding in found if not finding.told] == []
    assert walk.counts["gone"] == len(gone)


async def test_a_leaf_altered_in_what_was_kept_is_found(life: Callable[..., Life]) -> None:
    one = life()
    await one.days(2)
    assert await one.deletion.one(one.clock.now() + 6 * YEAR)
    await one.end()
    [kept] = one.segments.glob("kept-*.db")
    import apsw

    db = apsw.Connection(str(kept))
    db.execute("UPDATE rec SET leaf = ? WHERE seq = (SELECT min(seq) FROM rec WHERE kind = 'scan')", (bytes(32),))
    db.close()
    found, _ = walked(one)
    assert "altered" in [finding.what for finding in found if not finding.told]


async def test_a_clock_that_nobody_vouches_for_makes_nothing_old(life: Callable[..., Life]) -> None:
    one = life()
    await one.days(2)
    assert await one.deletion.one(one.clock.now() + 50 * YEAR, dated=False) is False
    assert one.deletion.blocked["no-second-copy"] > 0
    assert await one.deletion.one(one.clock.now() + 50 * YEAR) is True


async def test_younger_raw_stays_without_a_second_copy(life: Callable[..., Life]) -> None:
    one = life(keep_raw_years=1, second_copy=["medium", "centre"])
    await one.days(2)
    assert await one.deletion.one(one.clock.now() + 2 * YEAR) is False
    assert one.deletion.blocked == {"no-second-copy": 2}


async def archive(one: Life, day: Any, **change: Any) -> None:
    root = await one.deletion.days.root(day)
    checkpoint = {"size": root.checkpoint["size"], "root": root.checkpoint["root"]}
    span = {"of_epoch": day.epoch, "first": day.first, "last": day.next_seq - 1, "medium": "m1", **checkpoint}
    await one.log.append("event", {"what": "archived", "origin": "archive", **span, **change})


async def test_younger_raw_goes_where_a_medium_holds_it_under_the_signed_root(life: Callable[..., Life]) -> None:
    one = life(keep_raw_years=1, second_copy=["medium"])
    await one.days(2)
    first, second, *_ = await one.deletion.days.closed()
    await archive(one, first)
    await archive(one, second, root="AAAA")
    late = one.clock.now() + 2 * YEAR
    assert await one.deletion.one(late) is True
    assert await one.deletion.one(late) is False
    assert one.deletion.blocked == {"no-second-copy": 1}
    [told] = await one.told("raw-deleted")
    assert (told["file"], told["copy"]["medium"]) == (first.path.name, "m1")
    # What is not trusted by configuration does not count.
    one = await one.again(keep_raw_years=1, second_copy=[])
    assert await one.deletion.one(late) is False


async def test_a_day_that_is_not_as_signed_is_not_removed(life: Callable[..., Life]) -> None:
    import apsw

    one = life()
    await one.days(2)
    day = (await one.deletion.days.closed())[0]
    db = apsw.Connection(str(day.path))
    db.execute("UPDATE rec SET body = ? WHERE seq = 2", (b"{}",))
    db.close()
    late = one.clock.now() + 6 * YEAR
    assert await one.deletion.one(late)
    assert one.deletion.blocked == {"not-as-signed": 1}
    assert day.path.exists()
    with pytest.raises(UnprovenError, match="record 2"):
        proven(day.path, await one.deletion.days.root(day), [one.log.vkey])


async def test_a_hold_blocks_and_survives_a_restart(life: Callable[..., Life]) -> None:
    one = life()
    await one.days(3)
    late = one.clock.now() + 6 * YEAR
    hold = await one.deletion.holds.set("2020-03-01T05:00:00Z", "2020-03-02T05:00:00Z", "Li", "case 7")
    one = await one.again()
    assert [row.id for row in await one.deletion.holds.now()] == [hold.id]
    assert await one.deletion.one(late) is True
    assert one.deletion.blocked == {"hold": 2}
    assert [path.name[:5] for path in segment_files(one.segments)] == ["log-0", "log-0", "kept-", "log-0"]
    await one.deletion.holds.lift(hold.id, "Wang", "closed")
    one = await one.again()
    assert await one.deletion.holds.now() == []
    assert [await one.deletion.one(late) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "yesterday"])
async def test_a_hold_from_beyond_the_calendar_is_refused(life: Callable[..., Life], since: str) -> None:
    one = life()
    with pytest.raises(RequestError, match="no time"):
        await one.deletion.holds.set(since, since, "Li", "case 8")


async def test_a_hold_may_reach_from_the_first_day_to_the_last(life: Callable[..., Life]) -> None:
    one = life()
    await one.days(3)
    hold = await one.deletion.holds.set("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "Li", "case 9")
    assert (hold.since, hold.until) == ("0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z")
    one = await one.again()
    assert await one.deletion.one(one.clock.now() + 6 * YEAR) is False
    assert one.deletion.blocked["hold"] > 0


class Crashed(BaseException):
    """The process ends here."""


STEPS = ("before-kept", "half-kept", "kept", "told", "half-unlinked", "unlinked")


def crash_at(step: str, monkeypatch: pytest.MonkeyPatch, one: Life) -> None:
    """Let the deletion end at a step, as a kill would."""
    make, replace, append = deletion_module.make_kept, one.log.files.replace, one.log.append

    def kept(path: Path) -> Path:
        if step == "before-kept":
            raise Crashed
        if step == "half-kept":
            path.with_name(path.name.replace("log-", "kept-")).with_suffix(".part").write_bytes(b"half")
            raise Crashed
        made = make(path)
        if step == "kept":
            raise Crashed
        return made

    async def told(kind: str, fields: Any) -> Any:
        row = await append(kind, fields)
        if step == "told":
            raise Crashed
        return row

    def replaced(old: Path, new: Path) -> None:
        if step == "half-unlinked":
            old.with_name(old.name + "-wal").write_bytes(b"")
            raise Crashed
        replace(old, new)
        raise Crashed

    monkeypatch.setattr(deletion_module, "make_kept", kept)
    monkeypatch.setattr(one.log, "append", told)
    monkeypatch.setattr(one.log.files, "replace", replaced)


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_is_finished_or_undone(
    life: Callable[..., Life], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    one = life()
    await one.days(2)
    before = await rows(one)
    late = one.clock.now() + 6 * YEAR
    with monkeypatch.context() as patched:
        crash_at(step, patched, one)
        # In a task of its own: what ends it must not end the test.
        with pytest.raises(Crashed):
            await crashing(one.deletion, late)
    one = await one.again()
    await one.deletion.finish()
    told = await one.told("raw-deleted")
    names = [path.name[:5] for path in segment_files(one.segments)]
    parts = [*one.segments.glob("*.part*")]
    assert parts == []
    both = {path.name[-20:] for path in one.segments.glob("kept-*.db")}
    assert both.isdisjoint(path.name[-20:] for path in one.segments.glob("log-*.db"))
    after = await rows(one)
    if told:
        assert names == ["kept-", "log-0", "log-0"]
        assert {row.kind for row in before if row not in after} == {"scan"}
    else:
        assert names == ["log-0", "log-0", "log-0"]
        assert [row for row in before if row not in after] == []
    assert bool(told) == (step in ("told", "half-unlinked", "unlinked"))
    # And it goes on as if nothing had been.
    while await one.deletion.one(late):
        pass
    assert len(await one.told("raw-deleted")) == 2
    await one.end()
    assert [finding.what for finding in walked(one)[0] if not finding.told] == []


async def crashing(deletion: Deletion, late: Any) -> None:
    await asyncio.shield(deletion.one(late))
