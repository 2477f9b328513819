"""The cylinders of a station as its register knows them at the end of the period."""

from calibration.reports.document import Cell, Chart, Column, Line, Row, Section, Table, Verdict
from calibration.reports.frame import Frame, named
from calibration.reports.look import Looked
from calibration.reports.thin import thinned
from calibration.standards.cautions import cautions
from calibration.standards.cylinder import Cylinder


def cylinders(frame: Frame, looked: Looked) -> Section:
    """Certified values, certificates, what is left; pressure over time."""
    words = frame.words
    known = [one for one in looked.register.cylinders.values() if one.in_use or _was_used(frame, one)]
    if not known:
        return Section(words("section.cylinders"))
    lines = []
    for one in known:
        points = [(each.at.timestamp(), each.bar) for each in one.pressures if each.at < frame.until]
        if len(points) > 1:
            x, y = zip(*points, strict=True)
            lines.append(thinned(Line(one.row.name, tuple(x), tuple(y))))
    charts = (Chart(words("chart.pressure"), "bar", tuple(lines)),) if lines else ()
    return Section(words("section.cylinders"), (), (_values(frame, known), _stock(frame, known)), charts)


def _was_used(frame: Frame, one: Cylinder) -> bool:
    return any(frame.holds(entry.at) for entry in one.history)


def _values(frame: Frame, known: list[Cylinder]) -> Table:
    words = frame.words
    columns = (
        Column(words("head.cylinder")),
        Column(words("head.number")),
        Column(words("head.fill")),
        Column(words("head.measurand")),
        Column(words("head.role")),
        Column(words("head.assigned"), "number"),
        Column(words("head.u"), "number"),
        Column(words("head.unit")),
        Column(words("head.scale")),
        Column(words("head.certificate")),
        Column(words("head.expires")),
        Column(words("head.drift-year"), "number"),
        Column(words("head.drift-model")),
    )
    rows = [_value(frame, one, measurand) for one in known for measurand in one.measurands]
    return frame.table("table.cylinders", columns, rows, [words("note.cylinders")])


def _value(frame: Frame, one: Cylinder, measurand: str) -> Row:
    day = frame.until.date()
    value, certificate, fit = one.value(measurand, day), one.certificate(measurand, day), one.fit(measurand)
    drift = fit.beta[1] if fit is not None and len(fit.beta) > 1 else None
    role = one.row.roles.get(measurand, "")
    cells: tuple[Cell, ...] = (
        one.row.name, one.row.number, one.row.fill, measurand,
        frame.words.or_itself("role", role) if role else "", value.value if value else None,
        value.uncertainty if value else None, frame.words.unit(value.unit) if value else "",
        value.scale if value else "", certificate.number if certificate else "",
        certificate.expires.isoformat() if certificate and certificate.expires else "", drift,
        frame.words(f"model.{fit.model}") if fit else "",
    )  # fmt: skip
    return Row(cells, named(kept.record for kept in reversed(one.certificates)))


def _stock(frame: Frame, known: list[Cylinder]) -> Table:
    words = frame.words
    columns = (
        Column(words("head.cylinder")),
        Column(words("head.installed")),
        Column(words("head.removed")),
        Column(words("head.pressure"), "number", "bar", 1),
        Column(words("head.litres"), "number", "L", 0),
        Column(words("head.use"), "number", "bar/d", 3),
        Column(words("head.weeks"), "number", "", 1),
        Column(words("head.verdict"), "verdict"),
    )
    return frame.table("table.stock", columns, [_left(frame, one) for one in known])


def _left(frame: Frame, one: Cylinder) -> Row:
    words, stock, row = frame.words, one.stock, one.row
    found = [words(f"caution.{each.kind}") for each in cautions(one, frame.until)]
    verdict = Verdict(
        "warning" if found else "pass", ", ".join(found) or words("caution.none"), "warn" if found else "good"
    )
    cells: tuple[Cell, ...] = (
        row.name, row.installed.isoformat() if row.installed else "", row.removed.isoformat() if row.removed else "",
        one.pressures[-1].bar if one.pressures else None, stock.litres, stock.bar_per_day, stock.weeks_left, verdict,
    )  # fmt: skip
    return Row(cells, named(entry.record for entry in reversed(one.history)))
