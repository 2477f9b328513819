"""The centre as a second copy, and what a running station answers about holds and archives."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from peers.stations import StationProcess, bare

from agent.store.log import Place
from protocols.tlog import checkpoint_text, open_checkpoint
from protocols.tlog_cosign import cosigner_from_seed

Life = Any
YEAR = timedelta(days=366)
CENTRE = cosigner_from_seed("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=", "centre.example")
OTHER = cosigner_from_seed("YUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=", "centre.example")


def uplink(**change: Any) -> dict[str, Any]:
    return {"centre": {"kind": "mqtt", "host": "h", "port": 1883, "witness": CENTRE.vkey, **change}}


async def cosigned(one: Life, cosigner: Any = CENTRE) -> None:
    """The newest checkpoint, cosigned and recorded as the uplink does."""
    row = (await one.log.post_checkpoint()).fields
    signed = open_checkpoint(row["note"], [one.log.vkey])
    line = cosigner.cosign(checkpoint_text(signed.origin, signed.size, signed.root), 1)
    told = {"epoch": one.log.epoch, "size": signed.size, "witness": "centre.example", "cosignature": line}
    await one.log.append("event", {"what": "cosigned", "origin": "uplink centre", "checkpoint": told})


@pytest.mark.parametrize(
    ("through", "cosigner", "kinds", "goes"),
    [
        (10_000, CENTRE, None, True),
        (2, CENTRE, None, False),
        (10_000, OTHER, None, False),
        (10_000, CENTRE, ["average"], False),
    ],
    ids=["delivered-and-cosigned", "not-delivered", "cosigned-by-another", "raw-is-not-sent"],
)
async def test_the_centre_counts_when_it_has_all_and_cosigned_it(
    life: Callable[..., Life], through: int, cosigner: Any, kinds: list[str] | None, goes: bool
) -> None:
    one = life(keep_raw_years=1, second_copy=["centre"], uplinks=uplink(**({} if kinds is None else {"kinds": kinds})))
    await one.days(1)
    await cosigned(one, cosigner)
    await one.log.save_place("centre", Place(1, through))
    assert await one.deletion.one(one.clock.now() + 2 * YEAR) is goes
    if goes:
        [told] = await one.told("raw-deleted")
        assert (told["copy"]["at"], told["copy"]["uplink"]) == ("centre", "centre")
    else:
        assert one.deletion.blocked == {"no-second-copy": 1}


@pytest.fixture
async def station(tmp_path: Path, root: Path) -> AsyncIterator[StationProcess]:
    one = StationProcess(tmp_path, root, bare())
    yield one
    await one.put_away()


async def test_holds_and_archives_of_a_running_station(
    station: StationProcess, life: Callable[..., Life], tmp_path: Path
) -> None:
    # Two days are there before the daemon starts.
    past = life(tmp_path / "store", "test-01")
    await past.days(2)
    await past.end()
    station.write()
    file, medium = str(station.file), str(tmp_path / "medium")
    async with station.running():
        await station.until(lambda status: status["space"]["percent"] is not None)
        words = ("--from", "2020-03-01", "--to", "2020-03-02T08:00:00Z", "--who", "Li", "--reason", "case 7", "--json")
        hold = json.loads(await station.said("hold", "set", file, *words))
        assert [one["id"] for one in json.loads(await station.said("hold", "list", file, "--json"))["holds"]] == [
            hold["id"]
        ]
        await station.said("hold", "lift", file, "9.9", "--who", "Li", "--reason", "x", code=1)
        # The third day was live until this start, and can be copied once the start's checkpoint has signed its end.
        copied = 0
        async with asyncio.timeout(30):
            while copied < 3:
                told = json.loads(await station.said("archive", "copy", file, medium, "--who", "Li", "--json"))
                assert told["refused"] == 0
                copied += told["copied"]
        again = json.loads(await station.said("archive", "copy", file, medium, "--who", "Li", "--json"))
        assert (again["copied"], again["there"]) == (0, 3)
        assert "days left" in await station.command("status")
    assert "each under its signed root" in await station.said("archive", "verify", medium)
    # The stopped station tells them too.
    holds = json.loads(await station.said("hold", "list", file, "--json"))["holds"]
    assert [(one["who"], one["reason"]) for one in holds] == [("Li", "case 7")]
    await station.said("hold", "lift", file, hold["id"], "--who", "Li", "--reason", "x", code=1)
