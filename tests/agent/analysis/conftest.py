"""A station with a past: its real log, index, intake and averages on a clock that moves by hand."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.changes import config_fields
from agent.config import Config
from agent.history.daemon import handlers
from agent.store.index import Index
from agent.store.log import Log
from agent.store.recovery import coefficients_in_force, replay, restored_averager
from agent.values.budgets import Budgets
from agent.values.intake import Intake
from agent.values.live import Live
from agent.values.periods import ClockWatch, PeriodWriter
from agent.values.series import ranges_of, series_of, stacks_of
from calibration.correction import coefficients_of
from host.clock import ManualClock
from host.control import Control
from metrology.quality import Mark
from metrology.reading import Reading, Scan
from protocols.tlog import signer_from_seed

BEGIN = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
OFFSET_S = 8 * 3600
SEED = base64.b64encode(bytes(range(32))).decode()
GASES = (("zero", "N1", 402.0), ("span", "N2", 604.0))


def air(n: int) -> float:
    return 420.0 + 0.01 * (n % 37)


class Quick(ManualClock):
    """Nothing here sleeps on the clock, so that nobody has to be let run between two instants."""

    @staticmethod
    async def _settle() -> None:
        await asyncio.sleep(0)


class Past:
    """One NDIR, read every ten seconds; what the daemon does with each scan is done here by the same parts."""

    def __init__(self, config: Config, begin: datetime = BEGIN) -> None:
        self.config = config
        self.clock = Quick(begin)
        self.folder = Path(config.store.path)
        self.tasks: list[asyncio.Task[None]] = []
        self.open()

    def open(self) -> None:
        signer = signer_from_seed(SEED, f"plumeline/{self.config.station.id}")
        index: Index | None = None
        self.index = index
        self.log = Log(
            self.folder / "segments", self.clock, station_id=self.config.station.id, signer=signer, commit_s=0,
            on_commit=lambda rows: self.index.add(rows) if self.index else None,
        )  # fmt: skip
        self.index = Index(self.folder / "station.db", self.folder / "segments", self.log.files)
        self.specs = series_of(self.config)
        self.averager = restored_averager(self.index, self.specs, self.clock.now(), OFFSET_S)
        self.live = Live()
        stacks = stacks_of(self.config)
        self.intake = Intake(self.log, self.live, self.averager, ranges_of(self.config), stacks)
        self.intake.coefficients.update(coefficients_in_force(self.index))
        self.watch = ClockWatch(self.clock, self.log, self.averager)
        self.budgets = Budgets(self.log, self.index, self.intake.coefficients)
        self.writer = PeriodWriter(
            self.averager, self.log, self.clock, self.intake.watermarks, 1, self.watch, stacks, self.budgets
        )
        self.tasks = [asyncio.create_task(self.log.run())]

    async def begin(self, origin: str = "start") -> None:
        await replay(self.log, self.intake, self.averager.closed_until)
        former = next((row.get("document") for row in self.index.newest("config", None, 1)), None)
        by = {"file": "station.hjson"}
        await self.log.append("config", config_fields(self.config, 1.0, former=former, origin=origin, by=by))

    async def run(
        self, minutes: float, value: Callable[[int], float | None] = lambda n: 420.0 + 0.01 * (n % 37)
    ) -> None:
        await self.budgets.look()
        for n in range(round(minutes * 6)):
            await self.scan(value(n))
            await self.clock.advance(10)
            self.writer.write_due()
        await self.settled()

    async def scan(self, value: float | None, at: datetime | None = None, *marks: Mark) -> None:
        at = at or self.clock.now()
        reading = Reading("ndir", "co2", value, "umol/mol", at)
        if marks:
            reading = Reading("ndir", "co2", value, "umol/mol", at, reading.quality.plus(marks))
        await self.intake.take(Scan("ndir", at, (reading,)))

    async def feed(
        self, minutes: float, instrument: str, values: Callable[[int], dict[str, tuple[float, str]]]
    ) -> None:
        """Scans of another instrument, twelve a minute."""
        await self.budgets.look()
        for n in range(round(minutes * 12)):
            at = self.clock.now()
            readings = [Reading(instrument, name, value, unit, at) for name, (value, unit) in values(n).items()]
            await self.intake.take(Scan(instrument, at, tuple(readings)))
            await self.clock.advance(5)
            self.writer.write_due()
        await self.settled()

    async def settled(self) -> None:
        while self.log.pending:
            await asyncio.sleep(0)

    async def calibrate(self, name: str, zero: float, slope: float, *cautions: str) -> str:
        """The records of a run with two gases, and its coefficients in force; `cautions` against the span gas."""
        run = f"daily-{name}"
        head = {"run": run, "sequence": "daily", "instrument": "ndir"}
        gases = [{"gas": gas, "number": number, "certificate": f"C-{number}", "expired": False, "port": gas}
                 for gas, number, _ in GASES]  # fmt: skip
        await self.log.append(
            "calibration", {"what": "run-started", **head, "who": "Li Na", "purpose": "calibration", "gases": gases}
        )
        now = self.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for gas, _, assigned in GASES:
            point = {"what": "point", **head, "series": "ndir.co2", "role": gas, "gas": gas, "n": 12, "sd": 0.2,
                     "mean": assigned / slope + zero, "stable": True, "assigned": assigned, "uncertainty": 0.1,
                     "scale": "WMO CO2 X2019", "unit": "umol/mol", "from": now, "to": now}  # fmt: skip
            await self.log.append("calibration", point)
        known = self.intake.coefficients.get("ndir.co2")
        fields = {"what": "coefficients", **head, "id": f"{run}.ndir.co2", "series": "ndir.co2", "zero": zero,
                  "slope": slope, "from": now, "replaces": known.id if known else None,
                  "gases": [{"gas": gas, "number": number, "cautions": list(cautions) if gas == "span" else []}
                            for gas, number, _ in GASES]}  # fmt: skip
        future = self.log.post("calibration", fields)
        self.intake.coefficients["ndir.co2"] = replace(coefficients_of(fields), previous=known)
        await future
        await self.log.append("calibration", {"what": "run-finished", **head, "adopted": [fields["id"]],
                                              "refused": {}, "unusable": {}})  # fmt: skip
        return str(fields["id"])

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
            await asyncio.wait([task])
        self.tasks = []
        assert self.index
        self.index.close()

    async def served(self, path: Path) -> None:
        """Answer what looks back over a socket."""
        self.tasks.insert(0, asyncio.create_task(Control(path, handlers(self)).run()))
        while not path.exists():
            await asyncio.sleep(0.002)


MakePast = Callable[..., Awaitable[Past]]


@pytest.fixture
async def past(tmp_path: Path, config_for: Callable[..., Config]) -> AsyncIterator[MakePast]:
    """`await past(kind=..., begin=...)`: a station that began then."""
    made: list[Past] = []

    async def make(
        kind: str = "research", begin: datetime = BEGIN, folder: str = ".", config: Config | None = None
    ) -> Past:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "key").write_text(SEED)
        one = Past(config or config_for(tmp_path / folder, 1, kind), begin)
        made.append(one)
        await one.begin()
        return one

    yield make
    for one in made:
        if one.tasks:
            await one.stop()
