"""The trace through a run that valves, gases and the calibrator themselves made."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from agent.analysis.trace import Question, Tracer
from agent.analysis.weigh import uncertainty
from agent.changes import config_fields
from agent.history.files import FileSource
from agent.values.periods import ClockWatch, PeriodWriter
from metrology.periods import MINUTE_S, iso


async def test_minutes_around_an_adoption_come_out_the_same(rig: Any) -> None:
    one = await rig()
    fields = config_fields(one.config, 1.0, former=None, origin="start", by=None)
    await one.log.append("config", fields)
    averager = one.intake._averager
    watch = ClockWatch(one.clock, one.log, averager)
    writer = PeriodWriter(averager, one.log, one.clock, one.intake.watermarks, 1, watch)
    begin = one.clock.now()
    await one.calibrator.start("daily", "Li Na")

    async def step() -> None:
        await one.step()
        writer.write_due()

    while one.phase is not None or one.clock.now() < begin + timedelta(minutes=20):
        await step()
    await one.log.post_checkpoint()
    end = one.clock.now()
    folder = Path(one.config.store.path)
    await one.end()
    tracer = Tracer(FileSource(folder))
    corrected = []
    minutes = list(tracer.history.averages(MINUTE_S, begin, end))
    assert len(minutes) > 15
    for row in minutes:
        at = begin.fromisoformat(row["start"])
        found = tracer.trace(Question("ndir.co2", at, MINUTE_S))
        assert found["agrees"] is True, (iso(at), found["differences"])
        corrected += [found] if found["corrections"] else []
    [correction] = corrected[-1]["corrections"]
    gases = {
        (row["role"], row["cylinder"]["number"], row["cylinder"]["certificate"]) for row in correction["run"]["points"]
    }
    assert {("zero", "N402", "C"), ("span", "N604", "C")} <= gases
    assert correction["run"]["who"] == "Li Na"
    flushed = [cause for row in minutes[:5] for cause, *_ in row["rows"]["ndir.co2"].get("q", ())]
    assert "calibration" in flushed
    last = begin.fromisoformat(minutes[-1]["start"])
    weighed = uncertainty(tracer, Question("ndir.co2", last, MINUTE_S))
    assert weighed["common"] > 0.05
