"""Whether a sequence may start now, and if not, why: for people, platforms, schedules and those waiting."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from agent.config import Config
from agent.gas.guards import Guards, guards_of
from agent.gas.maintenance import Maintenance
from agent.gas.outcome import RefusalKind
from agent.values.live import Live
from metrology.clock import Clock
from metrology.periods import iso


class OnInstrument(Protocol):
    """A run on an instrument."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def instrument(self) -> str:
        """What it is on."""
        ...


class Admission:
    """`held` names who has each valve and changes under it; `runs` gives those going on."""

    def __init__(
        self,
        config: Config,
        maintenance: Maintenance,
        live: Live,
        clock: Clock,
        held: Mapping[str, str],
        runs: Callable[[], Iterable[OnInstrument]],
    ) -> None:
        self._config = config
        self._maintenance = maintenance
        self._live = live
        self._clock = clock
        self._held = held
        self._runs = runs

    def guards(self, name: str) -> Guards:
        """Those of the station and of a sequence."""
        return guards_of(self._config, name, self._live, self._clock)

    def refusal(self, name: str) -> tuple[str, RefusalKind] | None:
        """Why a sequence may not start now; the guards last, when nothing else stands in its way."""
        declared = self._config.sequences.get(name)
        if declared is None:
            known = ", ".join(sorted(self._config.sequences)) or "none"
            return f"no sequence {name}; known: {known}", "condition"
        if declared.valve is None:
            return f"sequence {name} is started by the instrument itself", "condition"
        if (lock := self._maintenance.held) is not None:
            return f"maintenance lock of {lock.owner} since {iso(lock.since)}: {lock.reason}", "condition"
        if declared.valve in self._held:
            return f"valve {declared.valve} is held by {self._held[declared.valve]}", "busy"
        for run in self._runs():
            if run.instrument == declared.instrument:
                return f"instrument {declared.instrument} is in run {run.id}", "busy"
        tripped = self.guards(name).tripped()
        return None if tripped is None else (tripped, "condition")

    def held_back(self) -> dict[str, str]:
        """Which sequences a guard would refuse now, and why."""
        found = {name: self.guards(name).tripped() for name in self._config.sequences}
        return {name: reason for name, reason in found.items() if reason is not None}
