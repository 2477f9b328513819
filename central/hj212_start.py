"""What a station is told when it has come (HJ 212-2017 6.3 and appendix B), and its new key when it asks for one."""

from collections.abc import Iterator
from typing import Final

from central.config import StartUp
from central.hj212_desk import Desk
from central.hj212_keys import Keys
from metrology.clock import Clock
from metrology.periods import iso
from protocols.hj212.message import Area
from protocols.hj212.times import render_time

WHO: Final = "start-up"
ROTATION: Final = "key rotation"


def orders(start_up: StartUp, clock: Clock) -> Iterator[tuple[str, Area]]:
    """Commands of a start-up in the standard's order; the time is that of its sending."""
    if start_up.clock:
        yield "1012", ((("SystemTime", render_time(clock.now())),),)
    if start_up.overtime_s is not None:
        yield "1000", ((("OverTime", str(start_up.overtime_s)),), (("ReCount", str(start_up.recount)),))
    for cn, name, value in (
        ("1062", "RtdInterval", start_up.realtime_s),
        ("1064", "MinInterval", start_up.minute_min),
    ):
        if value is not None:
            yield cn, (((name, str(value)),),)
    for on, off, wanted in (("2011", "2012", start_up.realtime), ("2021", "2022", start_up.status)):
        if wanted is not None:
            yield (on if wanted else off), ()


async def start_up(desk: Desk, mn: str, clock: Clock) -> None:
    """Give a station its orders, one after the other; one that leaves an order unanswered gets no more."""
    settings = desk.routes[mn].outlet.start_up
    for cn, area in orders(settings, clock) if settings is not None else ():
        outcome = await desk.order(mn, cn, area, WHO)
        if outcome["outcome"] in ("lost", "unanswered"):
            return


async def set_clock(desk: Desk, mn: str, clock: Clock) -> None:
    """Answer a station that asks for the time (1013)."""
    await desk.order(mn, "1012", ((("SystemTime", render_time(clock.now())),),), WHO)


async def deliver_key(desk: Desk, mn: str, keys: Keys, new: str, clock: Clock) -> None:
    """Send a key that is kept already; the ones before it stay until a frame under it has been read."""
    at = clock.now()
    area: Area = ((("SKCreateTime", render_time(at)),), (("NewSK", new),))
    outcome = await desk.order(mn, "1014", area, ROTATION)
    detail = {"mn": mn, "outcome": outcome["outcome"], "keys": len(keys.keys)}
    await desk.record("hj212-key-sent", desk.routes[mn].station_id, f"hj212/{mn}/key/{iso(at)}", iso(at), detail)
