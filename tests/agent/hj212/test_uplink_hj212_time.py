"""What a platform hears, asks and sets while the station's clock is or is not known to be right."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.clock.state import ClockState
from agent.uplinks.hj212_clock import clock_setter
from host.clock import ManualClock, RealClock
from host.timesync import Reference
from protocols.hj212.commands import ExeRtn
from protocols.hj212.times import render_time

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


async def test_without_a_known_time_nothing_is_reported_and_questions_are_answered(hj: Any, platform: Any) -> None:
    held = [True]
    hj.facts["held"] = lambda: held[0]
    async with hj.sending(await platform.start()) as uplink:
        await hj.log.append("average", hj.minute(0))
        hj.measure("stack.so2", 1.0)
        told = await platform.request("1011")
        assert told.code == ExeRtn.DONE
        assert uplink.status()["held"] is True
        assert platform.uploads == []
        assert uplink.status()["backlog"] > 0
        held[0] = False
        await hj.until(lambda: platform.minutes == [0])
        assert uplink.status()["held"] is False
    await platform.stop()


async def test_a_start_in_1970_says_nothing_of_itself_until_the_time_is_known_and_then_when_it_was(hj: Any) -> None:
    hj.clock = clock = ManualClock(datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC))
    held = [True]
    hj.facts["held"] = lambda: held[0]
    platform = hj.platform()
    platform.clock = RealClock()
    platform.stations = {hj.MN: hj.identity(2025, keys=(hj.KEY,))}
    logger = {f"i2300{n}": {"value": f"X{n}"} for n in range(5, 9)}
    terms = {"edition": 2025, "key": hj.KEY, "allow": ["1014"], "info": logger, "heartbeat_s": 60}
    async with hj.sending(await platform.start(), **terms):
        await clock.advance(300)
        # A question and its answer are behind all that was sent before.
        assert (await platform.request("1011")).outcome == "done"
        assert (platform.uploads, platform.told) == ([], [])
        clock.step((NOW - clock.now()).total_seconds())
        held[0] = False
        await clock.advance(1)
        await hj.until(lambda: platform.of("2081") and platform.notices("1001"))
        [start], [hardware] = platform.of("2081"), platform.notices("1001")
        assert start.message.value("RestartTime") == render_time(NOW - timedelta(seconds=300))
        assert hardware.message.qn.startswith("2026")
    await platform.stop()


class Site:
    """A clock of its own state, and the handler of 1012 on it."""

    def __init__(self, *, synced: bool, off_s: float) -> None:
        self.clock = ManualClock(NOW - timedelta(seconds=off_s))
        self.state = ClockState(self.clock, lambda: Reference(synced, 0.001, "a server"), wait_s=None)
        self.handler = clock_setter(self.clock, 600.0, lambda: False, self.state)

    async def order(self) -> Any:
        """What 1012 with the right time is answered."""

        class Asked:
            def value(self, name: str) -> str | None:
                return render_time(NOW) if name == "SystemTime" else None

        answer = await self.handler(Asked())  # type: ignore[arg-type]
        self.clock.pass_by(2)
        self.state.look()
        return answer


@pytest.mark.parametrize("off_s", [0.0, 90.0, -90.0])
async def test_a_platform_that_sets_the_clock_or_finds_it_right_vouches_for_it(off_s: float) -> None:
    site = Site(synced=False, off_s=off_s)
    assert (site.state.state, site.state.held) == ("U", True)
    assert (await site.order()).code == ExeRtn.DONE
    if off_s:
        # The watch sees the step, which was told of; the next one nobody told of.
        site.state.stepped()
        site.state.look()
    assert (site.state.state, site.state.held, site.state.now()["source"]) == ("H", False, "platform")
    assert abs((site.clock.now() - NOW).total_seconds()) < 3
    site.state.stepped()
    site.state.look()
    assert site.state.state == "U"


async def test_a_clock_that_follows_a_server_is_not_set() -> None:
    site = Site(synced=True, off_s=90.0)
    answer = await site.order()
    assert (answer.code, answer.detail["reason"]) == (ExeRtn.CONDITION, "the clock follows a time server")
    assert site.state.state == "S"


async def test_a_step_beyond_the_bound_is_refused_and_vouches_for_nothing() -> None:
    site = Site(synced=False, off_s=601.0)
    assert (await site.order()).code == ExeRtn.CONDITION
    assert site.state.state == "U"


def test_a_start_before_the_log_is_believed_once_a_person_confirms_it() -> None:
    clock = ManualClock(NOW)
    state = ClockState(clock, lambda: None, last=NOW + timedelta(hours=2))
    assert (state.state, "mono" in state.members()) == ("R", True)
    state.was_set("li", stepped=False)
    clock.pass_by(1)
    state.look()
    assert (state.state, state.members()) == ("H", {"clk": "H"})
