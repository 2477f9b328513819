"""Where the inlet stands: brought home to sample air, and watched where the valve keeps its position without power.

Of such a valve nobody knows where it stands until it was asked: the data of what it feeds are marked from the start of
the station, and from the moment it falls silent or is found elsewhere, until it has read back sample air.
"""

from typing import Final

from agent.config import Config
from agent.gas.maintenance import Maintenance
from agent.gas.plan import marked_by, recovery_s
from agent.gas.run import GasMarks
from agent.gas.valves import SAFE_TRIES, ValveBlock, ValveError
from agent.store.log import Log
from agent.values.intake import Intake
from metrology.clock import Clock
from metrology.quality import Cause

RETRY_WALL_S: Final = 2.0
LOOK_WALL_S: Final = 3.0


class Homing:
    """One for each valve, made before the first reading comes."""

    def __init__(
        self, valve: ValveBlock, config: Config, intake: Intake, log: Log, maintenance: Maintenance, clock: Clock
    ) -> None:
        own = {name: block for name, block in config.sequences.items() if block.valve == valve.name}
        self._valve = valve
        self._log = log
        self._maintenance = maintenance
        self._clock = clock
        self._recovery_s = max((recovery_s(block) for block in own.values()), default=0.0)
        targets = sorted({target for name in own for target in marked_by(config, name)})
        self._marks = GasMarks(intake, targets, valve.name, clock)
        self._marks.origin = f"valve:{valve.name}"
        self._stays = valve.config.on_power_loss == "stays"
        if self._stays:
            self._marks.put(Cause.CALIBRATION)

    async def until_home(self, origin: str, found: str | None = None) -> bool:
        """Try until the inlet is at sample air; True where the valve, one that stays, stood elsewhere.

        A person who holds the maintenance lock has the valve; then nothing is moved, and home is where it is found so.
        What is `found` wrong, first here or by the caller, is one event.
        """
        told = self._tell(origin, found)
        elsewhere = False
        while True:
            home = False
            try:
                if self._stays:
                    home = (at := await self._valve.at()) == self._valve.config.sample
                    elsewhere |= not home
                    told = told or (not home and self._tell(origin, self._stands(at)))
                if self._maintenance.held is None:
                    moved = await self._valve.to_sample()
                    return elsewhere or (moved and not home)
            except ValveError as error:
                told = told or self._tell(origin, str(error))
            if home and self._maintenance.held is not None:
                return elsewhere
            await self._clock.sleep_wall(RETRY_WALL_S)

    def _stands(self, at: str | None) -> str:
        return f"valve {self._valve.name} stands at {at or 'no port of ours'}"

    def _tell(self, origin: str, reason: str | None) -> bool:
        if reason is not None:
            self._log.post("event", {"what": "valve-not-safe", "origin": origin, "reason": reason})
        return reason is not None

    async def recover(self, elsewhere: bool) -> None:
        """Take the marks off a valve that is home, after the recovery where it stood elsewhere."""
        if elsewhere and self._stays:
            self._marks.put(Cause.RECOVERY)
            await self._clock.sleep(self._recovery_s)
        self._marks.put(None)

    async def watch(self, held: dict[str, str]) -> None:
        """For ever, of a valve that stays: bring it home when it is found elsewhere, or comes back after a silence.

        `held` names who has each valve; meanwhile nobody watches.
        """
        name = self._valve.name
        while self._stays:
            await self._clock.sleep_wall(LOOK_WALL_S)
            if name in held or (found := await self._found()) is None or name in held:
                continue
            held[name] = "the way home to sample air"
            self._marks.put(Cause.CALIBRATION)
            await self.recover(await self.until_home(f"valve:{name}", found))
            del held[name]

    async def _found(self) -> str | None:
        """What is wrong with where it stands; None where it is at sample air."""
        said = ""
        for _ in range(SAFE_TRIES):
            try:
                at = await self._valve.at()
            except ValveError as error:
                said = str(error)
            else:
                return None if at == self._valve.config.sample else self._stands(at)
        return said
