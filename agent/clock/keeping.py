"""The parts of a station that keep its time, put together."""

from agent.clock.state import ClockState
from agent.clock.turns import Turns
from agent.config import Config
from agent.store.index import Index
from agent.store.log import Log
from agent.store.recovery import last_known
from agent.values.averaging import Averager
from agent.values.intake import Intake
from agent.values.periods import ClockWatch
from host.timesync import reference_of
from metrology.clock import Clock


def timekeeping(
    config: Config, clock: Clock, log: Log, index: Index, averager: Averager, intake: Intake, day_offset_s: int
) -> tuple[ClockState, Turns, ClockWatch]:
    """What is believed of the clock, what a jump does to averages, and who watches; before the log runs.

    The reference is the machine's own, or none but the world's where that is simulated.
    """
    reference = reference_of(clock, trusted=config.clock.trusted or config.station.simulated)
    wait_s = None if config.clock.wait_min is None else config.clock.wait_min * 60
    state = ClockState(clock, reference, last_known(log, index), wait_s)
    log.about_clock = state.members
    intake.clock = state
    turns = Turns(log, index, averager, intake, clock, state, day_offset_s)
    return state, turns, ClockWatch(clock, log, averager, state, turns)
