"""Setting the station's clock on a platform's request (1012): off until allowed, bounded, never during a run."""

from collections.abc import Callable
from typing import Final

from agent.clock.state import ClockState
from agent.uplinks.hj212_requests import Answer, Handler
from metrology.clock import Clock
from metrology.periods import iso
from protocols.hj212.commands import ExeRtn
from protocols.hj212.message import Message
from protocols.hj212.times import parse_time

# SystemTime has whole seconds and was a while on its way: what is nearer than this is in step.
IN_STEP_S: Final = 1.0


def clock_setter(clock: Clock, step_max_s: float, busy: Callable[[], bool], state: ClockState | None = None) -> Handler:
    """Handler of 1012. A step beyond `step_max_s` needs a person: data would get stamps nobody can trust.

    While `busy` the clock stays: the windows of a run are cut by it. The step itself is on record as any other
    (`clock-step`). While the station follows a time server it knows better; else a platform whose time is taken, or
    agrees, is what the clock is known by (`state`).
    """

    async def handle(message: Message) -> Answer:
        if (code := message.value("PolId")) is not None:
            return _refused(f"no clock of an analyzer can be set from here (PolId {code})")
        at = parse_time(message.value("SystemTime") or "")
        offset_s = round((at - clock.now()).total_seconds(), 3)
        detail: dict[str, str | float] = {"to": iso(at), "offset_s": offset_s}
        if abs(offset_s) <= IN_STEP_S:
            _told(state, stepped=False)
            return Answer(ExeRtn.DONE, detail={**detail, "reason": "in step already"})
        if abs(offset_s) > step_max_s:
            return _refused(f"a step of {offset_s:g} s is beyond {step_max_s:g}", **detail)
        if state is not None and state.synced:
            return _refused("the clock follows a time server", **detail)
        if busy():
            return Answer(ExeRtn.BUSY, detail={**detail, "reason": "a calibration is going on"})
        if await clock.set_wall(at):
            _told(state, stepped=True)
            return Answer(ExeRtn.DONE, detail=detail)
        return Answer(ExeRtn.FAILED, detail={**detail, "reason": "the clock was not set: no helper, or it refused"})

    return handle


def _told(state: ClockState | None, *, stepped: bool) -> None:
    if state is not None:
        state.was_set("platform", stepped=stepped)


def _refused(reason: str, **detail: str | float) -> Answer:
    return Answer(ExeRtn.CONDITION, detail={**detail, "reason": reason})
