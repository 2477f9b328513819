"""The calibration report: every run, its gases, the response they gave, the cylinders they came from."""

from collections.abc import Iterable

from calibration.reports.coverage import Coverage
from calibration.reports.cylinders import cylinders
from calibration.reports.document import Report, Section
from calibration.reports.frame import Frame, limits_table
from calibration.reports.hours import Standings, hours
from calibration.reports.look import Fields, Looked
from calibration.reports.points import points
from calibration.reports.runs import runs
from calibration.reports.standards import standards
from calibration.reports.target import targets
from calibration.reports.verdicts import verdicts


def calibration(
    frame: Frame, records: Iterable[Fields], averages: Iterable[Fields], events: Iterable[Fields]
) -> Report:
    """From calibration records since the station began, hourly averages and events of the period, oldest first."""
    looked = Looked(frame, records)
    checked = {one["series"] for run in looked.runs.values() for one in run.points} | set(looked.series)
    covered = Coverage(frame)
    standings = Standings(looked.intervals)
    for hour in hours(averages, frame.since, frame.until, standings, checked.__contains__, frame.regulated):
        covered.take(hour)
    section, verdict = verdicts(frame, looked, covered.counts)
    limits = limits_table(frame, (one.check.rules for one in looked.judged))
    sections: list[Section] = [
        runs(frame, looked, events),
        section,
        *standards(frame, looked),
        points(frame, looked),
        *targets(frame, looked),
        cylinders(frame, looked),
        covered.section(looked),
        Section(frame.words("section.limits"), (), (limits,)),
    ]
    return frame.report("calibration", verdict, sections)
