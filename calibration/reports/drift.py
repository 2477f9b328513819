"""The drift report: checks with gas, standards, response, cylinders, runs, coverage and the uncertainty they leave."""

from collections.abc import Iterable

from calibration.reports.budget import uncertainty
from calibration.reports.coverage import Coverage
from calibration.reports.cylinders import cylinders
from calibration.reports.document import Report, Section
from calibration.reports.frame import Frame, limits_table
from calibration.reports.hours import Standings, hours
from calibration.reports.look import Fields, Looked
from calibration.reports.runs import runs
from calibration.reports.standards import standards
from calibration.reports.target import targets
from calibration.reports.verdicts import verdicts
from calibration.reports.zero_span import zero_and_span


def drift(frame: Frame, calibration: Iterable[Fields], averages: Iterable[Fields], events: Iterable[Fields]) -> Report:
    """From calibration records since the station began, hourly averages and events of the period, oldest first."""
    words = frame.words
    looked = Looked(frame, calibration)
    checked = set(looked.series)
    covered = Coverage(frame)
    standings = Standings(looked.intervals)
    for hour in hours(averages, frame.since, frame.until, standings, checked.__contains__, frame.regulated):
        covered.take(hour)
    section, verdict = verdicts(frame, looked, covered.counts)
    refused = [one for one in events if one["what"] == "calibration-refused"]
    sections: list[Section] = [
        section,
        *zero_and_span(frame, looked),
        *targets(frame, looked),
        *standards(frame, looked),
        cylinders(frame, looked),
        runs(frame, looked, refused),
        covered.section(looked),
        uncertainty(frame, looked),
        Section(words("section.limits"), (), (limits_table(frame, (one.check.rules for one in looked.judged)),)),
    ]
    return frame.report("drift", verdict, sections)
