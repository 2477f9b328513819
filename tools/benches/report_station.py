"""A station's past for reports, made by the code that writes real records: hours, checks with gas, cylinders, gaps.

A stack (CEMS, regulated) and an analyzer of air (CRDS, research). What went wrong is known: the SO2 analyzer drifts
until a check finds it out of control, and is adjusted a day later; runs are aborted; the station stands still for some
hours.
"""

import asyncio
import base64
import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agent.changes import config_fields
from agent.config import Config
from agent.store.index import Index
from agent.store.log import Log
from calibration.qa.rules import DEFAULT, Policy
from host.clock import ManualClock
from host.hjson import load
from metrology.periods import iso
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average, Uncertainty
from protocols.record import averages_fields
from protocols.tlog import Signer, signer_from_seed

SEED = base64.b64encode(bytes(range(32))).decode()
ROOT = Path(__file__).resolve().parent.parent.parent
HOUR = timedelta(hours=1)
COMMIT_ROWS = 400
# Series of the stack: unit, mean, daily swing, noise.
STACK = {
    "cems.so2": ("mg/m3", 24.0, 5.0, 1.0), "cems.nox": ("mg/m3", 42.0, 8.0, 1.5), "cems.o2": ("%", 6.4, 0.5, 0.1),
    "cems.co2_percent": ("%", 12.1, 0.6, 0.1), "cems.dust": ("mg/m3", 5.0, 1.0, 0.3),
    "cems.differential_pressure": ("Pa", 86.0, 10.0, 2.0), "cems.stack_temperature": ("degC", 51.0, 2.0, 0.4),
    "cems.static_pressure": ("Pa", -420.0, 30.0, 5.0), "cems.stack_humidity": ("%", 12.4, 0.4, 0.1),
    "main.stack_velocity": ("m/s", 11.2, 0.9, 0.1), "main.co2_std": ("mg/m3", 237700.0, 11000.0, 1500.0),
    "main.flow_dry": ("m3/h", 620000.0, 60000.0, 6000.0), "main.co2_rate": ("kg/h", 147000.0, 16000.0, 1500.0),
    "main.so2_rate": ("kg/h", 14.9, 3.0, 0.4), "main.nox_rate": ("kg/h", 26.0, 4.0, 0.7),
}  # fmt: skip
AIR = {"crds.co2_dry": ("umol/mol", 428.0, 8.0, 1.2), "crds.ch4_dry": ("umol/mol", 2.03, 0.04, 0.006)}
GASES = {
    "cems.so2": ("mg/m3", 100.0, 80.2), "cems.nox": ("mg/m3", 200.0, 121.0), "cems.o2": ("%", 25.0, 18.05),
}  # fmt: skip


def signer(station: str = "stack-01") -> Signer:
    """The key of the station."""
    return signer_from_seed(SEED, f"plumeline/{station}")


def configuration(folder: Path) -> Path:
    """A configuration file of a stack with its store in `folder`, and its key."""
    text = (ROOT / "config" / "emission.hjson").read_text(encoding="utf-8")
    key = folder / "key"
    key.write_text(SEED)
    key.chmod(0o600)
    text = text.replace("/var/lib/plumeline", str(folder)).replace(
        '{ credential: "station-key" }', f'{{ file: "{key}" }}'
    )
    path = folder / "station.hjson"
    path.write_text(text.replace("/run/plumeline/agent.sock", str(folder / "sock")), encoding="utf-8")
    return path


class MadeStation:
    """Writes the past of `days` days that end before `until`, hour by hour; with `minutes` also every minute."""

    def __init__(self, folder: Path, begin: datetime, days: int, *, minutes: bool = False) -> None:
        self.folder, self.begin, self.days, self.minutes = folder, begin, days, minutes
        self.path = configuration(folder)
        self.config = load(str(self.path), Config, "en")
        self.clock = ManualClock(begin)
        self.random = random.Random(5)
        self._index: Index | None = None
        self.log = Log(
            folder / "segments", self.clock, station_id=self.config.station.id, signer=signer(), commit_s=0,
            on_commit=lambda rows: self._index.add(rows) if self._index else None,
        )  # fmt: skip
        self._index = Index(folder / "station.db", folder / "segments", self.log.files)
        self._unwritten: list[Any] = []
        self.slope, self.zero, self.coefficients = 1.0, 0.0, 0

    @property
    def index(self) -> Index:
        """The station database."""
        assert self._index is not None
        return self._index

    async def write(self) -> None:
        """Everything, then stop."""
        task = asyncio.create_task(self.log.run())
        self.put("config", **config_fields(self.config, 1.0, former=None, origin="start", by=None))
        self._cylinders()
        for number in range(self.days * 24):
            at = self.begin + number * HOUR
            if self.days * 24 // 3 <= number < self.days * 24 // 3 + 5:
                await self.clock.advance(3600)
                continue
            if number == self.days * 24 // 3 + 5:
                self.put("gap", **{"from": iso(at - 5 * HOUR), "to": iso(at), "reason": "not running"})
            if number % 24 == 18:
                await self._daily(number // 24)
            await self.clock.advance((at + HOUR - self.clock.now()).total_seconds())
            self.put("average", **averages_fields(self._averages(at, 3600)))
            if self.minutes:
                for minute in range(60):
                    start = at + timedelta(minutes=minute)
                    self.put("average", **averages_fields(self._averages(start, 60)))
            await self._commit(COMMIT_ROWS)
        await self.log.post_checkpoint()
        await self._commit(0)
        task.cancel()
        await asyncio.wait([task])
        self.index.close()

    def put(self, kind: str, **members: Any) -> None:
        """Queue a record."""
        self._unwritten.append(self.log.post(kind, members))

    async def _commit(self, most: int) -> None:
        if len(self._unwritten) > most:
            await asyncio.gather(*self._unwritten)
            self._unwritten.clear()

    def drift(self, day: int) -> float:
        """How far SO2 is off, percent of full scale: rising to 60 % of the period, then adjusted."""
        turn = round(self.days * 0.6)
        return 11.5 * day / turn if day <= turn else 0.4 * (day - turn) / self.days

    def _out(self, at: datetime) -> bool:
        turn = self.begin + timedelta(days=round(self.days * 0.6), hours=18)
        return turn < at <= turn + timedelta(hours=24)

    def _averages(self, at: datetime, period_s: int) -> Iterator[Average]:
        hours = (at - self.begin) / HOUR
        stopped = 0.8 * self.days * 24 <= hours < 0.8 * self.days * 24 + 30
        swing = math.sin(hours / 24 * 2 * math.pi)
        for series, (unit, mean, daily, noise) in {**STACK, **AIR}.items():
            value = mean + daily * swing + self.random.gauss(0, noise)
            causes: list[Cause] = []
            if stopped and series not in AIR:
                causes.append(Cause.STOPPED)
            elif self._out(at) and series in ("cems.so2", "main.so2_rate"):
                causes.append(Cause.OUT_OF_CONTROL)
            elif self.random.random() < 0.01:
                causes.append(self.random.choice([Cause.COMMUNICATION, Cause.FAULT, Cause.MAINTENANCE]))
            yield self._average(series, unit, at, period_s, value, causes)

    def _average(
        self, series: str, unit: str, at: datetime, period_s: int, value: float, causes: list[Cause]
    ) -> Average:
        marks = [Mark(cause, "made", at) for cause in causes]
        if marks:
            quality = Quality.of(*marks, Mark(Cause.INCOMPLETE, "averaging", at))
            return Average(series, unit, at, period_s, 0, 0.0, None, None, None, None, "hj-stack", quality)
        rate = unit in ("kg/h", "m3/h")
        unc = Uncertainty(0.006 * value, 0.018 * value, 0.017 * value) if rate and period_s == 3600 else None
        return Average(
            series, unit, at, period_s, 58, 58 / 60, value, value * 0.97, value * 1.03, abs(value) * 0.01, "hj-stack",
            sum=value * period_s / 3600 if rate else None, uncertainty=unc,
            calibrations=("made.crds",) if series in AIR else (),
        )  # fmt: skip

    async def _daily(self, day: int) -> None:
        run = f"daily-{iso(self.clock.now())}"
        head = {"run": run, "sequence": "daily", "instrument": "cems"}
        gases = [{"gas": "zero", "number": "N2-24-0117"}, {"gas": "span", "number": "MX-24-0532"}]
        self.put("calibration", what="run-started", **head, who="schedule", purpose="calibration", valve="gas",
                 gases=gases, planned_s=960, marked=["cems.so2"])  # fmt: skip
        await self.clock.advance(300)
        if day % 11 == 7:
            self.put("calibration", what="run-aborted", **head, reason="guard: inlet pressure low")
            return
        for series, (unit, scale, assigned) in GASES.items():
            for role, value in (("zero", 0.0), ("span", assigned)):
                off = (self.drift(day) if series == "cems.so2" and role == "span" else 0.3) * scale / 100
                self._point(head, series, role, value, value + off + self.random.gauss(0, 0.003 * scale), scale, unit)
        await self.clock.advance(600)
        self._points_done(head)
        if day == round(self.days * 0.6):
            self.put("calibration", what="adjustment", series="cems.so2", who="Li Na", reason="span adjusted")
        self._air(day)

    def _points_done(self, head: dict[str, str]) -> None:
        self.put("calibration", what="run-finished", **head, adopted=[], refused={}, unusable={})

    def _point(
        self, head: dict[str, str], series: str, role: str, assigned: float, reading: float, scale: float, unit: str,
        policy: Policy = DEFAULT["regulated"],
    ) -> None:  # fmt: skip
        at, gas = self.clock.now(), role
        self.put(
            "calibration", what="point", **head, series=series, role=role, gas=gas, n=58, mean=reading,
            sd=0.002 * scale, slope_per_min=0.0001 * scale, stdev_max=0.01 * scale, stable=True, assigned=assigned,
            uncertainty=0.01 * (assigned or 1.0), scale="GBW(E) 060000", unit=unit, flush_s=180.0, counted=True, loop=0,
            **{"from": iso(at), "to": iso(at + timedelta(seconds=60))},
        )  # fmt: skip
        rules = policy.judgement(series.partition(".")[2], role, scale, assigned, unit)  # type: ignore[arg-type]
        members: dict[str, Any] = {"rules": rules.fields()} if rules else {}
        if role == "target":
            verdict = rules.verdict(reading - assigned) if rules else "unjudged"
            self.put("calibration", what="target", **head, series=series, gas=gas, reading=reading, corrected=reading,
                     assigned=assigned, deviation=reading - assigned, unit=unit, span=scale, stable=True,
                     calibration="made", verdict=verdict, **members)  # fmt: skip
            return
        verdict = rules.verdict(reading - assigned) if rules else "unjudged"
        self.put("calibration", what="drift", **head, series=series, role=role, gas=gas, reading=reading,
                 corrected=reading, assigned=assigned, span=scale, drift_percent=(reading - assigned) / scale * 100,
                 unit=unit, stable=True, verdict=verdict, limit_percent=2.5,
                 limit_verified=False, **members)  # fmt: skip

    def _air(self, day: int) -> None:
        """The research analyzer: span gases give coefficients, a target gas checks them."""
        run = f"air-{iso(self.clock.now())}"
        head = {"run": run, "sequence": "air", "instrument": "crds"}
        self.put("calibration", what="run-started", **head, who="schedule", purpose="calibration", valve="air",
                 gases=[], planned_s=1500, marked=["crds"])  # fmt: skip
        for series, scale, target, noise in (
            ("crds.co2_dry", 1000.0, 421.63, 0.04),
            ("crds.ch4_dry", 10.0, 1.98712, 0.0006),
        ):
            unit = "umol/mol"
            self._point(head, series, "span", target * 1.1, target * 1.1 + self.random.gauss(0, noise), scale, unit,
                        DEFAULT["research"])  # fmt: skip
            before = f"made-{self.coefficients}.{series}" if self.coefficients else None
            self.put("calibration", what="coefficients", **head, id=f"made-{day + 1}.{series}", series=series,
                     zero=0.01 * math.sin(day / 9), slope=1.0 + 0.0004 * math.sin(day / 7), replaces=before,
                     **{"from": iso(self.clock.now())})  # fmt: skip
            bias = noise * (0.8 + 1.2 * math.sin(day / 13))
            self._point(head, series, "target", target, target + bias + self.random.gauss(0, noise), scale, unit,
                        DEFAULT["research"])  # fmt: skip
        self.coefficients = day + 1
        self.put("calibration", what="run-finished", **head, adopted=[f"made-{day + 1}"], refused={}, unusable={})

    def _cylinders(self) -> None:
        for name, number, assigned in (("zero", "N2-24-0117", 0.0), ("span", "MX-24-0532", 80.2)):
            values = {"so2": {"value": assigned, "unit": "mg/m3", "uncertainty": 0.8, "scale": "GBW(E) 060000"}}
            certificate = {"number": f"GBW(E) 060000-{number}", "certified": "2025-11-02", "expires": "2026-07-15",
                           "assigned": values}  # fmt: skip
            for act, weeks in (("added", 0), *(("pressure", week) for week in range(1, 5))):
                row = {
                    "name": name,
                    "number": number,
                    "fill": "A",
                    "roles": {"so2": name},
                    "installed": "2026-01-04",
                    "volume_L": 8.0,
                    "certificate": certificate,
                    "pressure": {"at": iso(self.begin + timedelta(days=6 * weeks)), "bar": 118.0 - 9 * weeks},
                }
                self.put("calibration", what="cylinder", act=act, who="Li Na", reason="delivery", row=row)  # fmt: skip


def make(folder: Path, begin: datetime, days: int, *, minutes: bool = False) -> MadeStation:
    """Write a station's past below `folder`."""

    async def written() -> MadeStation:
        # The log begins tasks of its own: it is made where they can run.
        station = MadeStation(folder, begin, days, minutes=minutes)
        await station.write()
        return station

    return asyncio.run(written())
