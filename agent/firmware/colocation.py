"""A board beside a better instrument: its table found from the hours both measured, in force where a person says so."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from agent.firmware.calibration import BoardCalibration
from agent.firmware.hours import Hours
from agent.firmware.offers import Offer, Offers
from agent.firmware.tables import HUMIDITY, HUMIDITY_CENTRE, TEMPERATURE_CENTRE, Row
from calibration.colocation import Colocation, Together, colocate, fields_of
from calibration.fit.linear import FitError
from host.control import RequestError
from metrology.clock import Clock
from metrology.periods import EPOCH, iso
from metrology.reading import Average

DAYS_MAX: Final = 200
# Averages by hour (its start) of one series.
Series = dict[datetime, Average]


class ColocationDesk:
    """Proposals by co-location. Hours that a table corrected are brought back to what the board indicated first."""

    def __init__(self, tables: BoardCalibration, hours: Hours, clock: Clock) -> None:
        self._tables = tables
        self._hours = hours
        self._clock = clock
        self.offers = Offers(tables, clock, "plumeline board colocate")

    async def shown(
        self, board: str, measurand: str, reference: str, since: datetime, until: datetime, u: float | None
    ) -> dict[str, Any]:
        """The fit, what it is worth, and the id under which it may be accepted. Raises RequestError.

        `u` is the standard uncertainty of the reference, in its unit; None takes what its own averages say.
        """
        if not timedelta() < until - since <= timedelta(days=DAYS_MAX):
            raise RequestError(f"from and to: up to {DAYS_MAX} days, the later one last")
        self._tables.shown(board)
        self._tables.may_correct(board, measurand)
        chip = await self._tables.chips.identify(board)
        temperature = next(iter(self._tables.temperatures(board)), None)
        wanted = [f"{board}.{name}" for name in (measurand, temperature, HUMIDITY) if name]
        if reference in wanted:
            raise RequestError(f"{reference}: a board is no reference for itself")
        series = await self._read({reference, *wanted}, since, until, board)
        unit = _unit(series, wanted[0], reference)
        side_by_side = list(_together(_Indications(series, board, self._rows(chip)), measurand, temperature,
                                      series[reference], u))  # fmt: skip
        try:
            found = await asyncio.to_thread(colocate, side_by_side)
        except FitError as error:
            raise RequestError(f"{board} {measurand} beside {reference}: {error}") from error
        self.offers.forget_old()
        span = {"reference": reference, "from": iso(since), "to": iso(until)}
        offer = self.offers.show(self._offer(board, measurand, chip, temperature, found, span))
        return {
            "board": board, "measurand": measurand, "chip": chip, "unit": unit, **span,
            **fields_of(found), **offer.values,
            "temperature": offer.temperature, "left_out": len(series[reference]) - len(side_by_side),
            "reference_said": any(one.u_reference for one in side_by_side), "budget": _budget(found, side_by_side),
            "proposal": offer.id,
        }  # fmt: skip

    def _offer(
        self, board: str, measurand: str, chip: str | None, temperature: str | None, found: Colocation,
        span: Mapping[str, str],
    ) -> Offer:  # fmt: skip
        now = self._clock.now()
        row = self._tables.tables.in_force(chip, now).get(measurand) if chip else None
        terms = {term.measurand: term.per_unit for term in found.terms}
        values = {
            "zero": found.zero, "slope": found.slope, "per_degC": terms.get("temperature", 0.0),
            "per_percent": terms.get("humidity", 0.0),
        }  # fmt: skip
        worth = {"rmse": found.rmse, "colocation": {**span, **fields_of(found)}}
        why = f"co-location with {span['reference']}, {span['from']} to {span['to']}"
        goes_by = temperature if "temperature" in terms else None
        return Offer(board, measurand, chip or "", row.id if row else None, values, now, why, goes_by, worth)

    def _rows(self, chip: str | None) -> dict[str, Row]:
        return {row.id: row for row in self._tables.tables.history(chip or "")}

    async def _read(self, names: set[str], since: datetime, until: datetime, board: str) -> dict[str, Series]:
        """Hours by series; of the board only those of the chip that hangs there now."""
        own = self._tables.chips.since.get(board, since)
        found: dict[str, Series] = defaultdict(dict)
        for one in await self._hours.read(names, since, until):
            if one.mean is not None and (one.start >= own or not one.series.startswith(f"{board}.")):
                found[one.series][one.start] = one
        return found


class _Indications:
    """What a board indicated, of averages that its rows may have corrected."""

    def __init__(self, series: Mapping[str, Series], board: str, rows: Mapping[str, Row]) -> None:
        self._series = series
        self._board = board
        self._rows = rows

    def of(self, measurand: str, at: datetime) -> float | None:
        """Mean indication of an hour; None without it, or where what corrected it is not known."""
        one = self._series.get(f"{self._board}.{measurand}", {}).get(at)
        if one is None or one.mean is None or not one.calibrations:
            return one.mean if one else None
        row = self._rows.get(one.calibrations[0]) if len(one.calibrations) == 1 else None
        terms = self._terms(row, measurand, at) if row else None
        return None if row is None or terms is None else (one.mean - terms) / row.slope + row.zero

    def _terms(self, row: Row, measurand: str, at: datetime) -> float | None:
        total = 0.0
        for name, per_unit, centre in (
            (row.temperature, row.per_degC, TEMPERATURE_CENTRE),
            (HUMIDITY, row.per_percent, HUMIDITY_CENTRE),
        ):
            if name and per_unit:
                # A row of humidity or temperature that had a term of itself has no way back.
                value = None if name == measurand else self.of(name, at)
                if value is None:
                    return None
                total += per_unit * (value - centre)
        return total


def _together(
    indications: _Indications, measurand: str, temperature: str | None, reference: Series, u: float | None
) -> Iterator[Together]:
    """Hours of both. A condition the board sends at all is needed in each hour, so that none is dropped for a gap."""
    told = {"temperature": temperature, "humidity": HUMIDITY}
    rows = []
    for at, one in sorted(reference.items()):
        x = indications.of(measurand, at)
        conditions = {name: indications.of(own, at) if own else None for name, own in told.items()}
        if x is not None and one.mean is not None:
            rows.append(Together((at - EPOCH).total_seconds(), x, one.mean, _u(one, u), **conditions))
    sent = [name for name in told if any(row.condition(name) is not None for row in rows)]
    yield from (row for row in rows if all(row.condition(name) is not None for name in sent))


def _u(one: Average, declared: float | None) -> float:
    """Standard uncertainty of an hour of the reference."""
    if declared is not None or one.uncertainty is None:
        return declared or 0.0
    return math.hypot(one.uncertainty.independent, one.uncertainty.slow, one.uncertainty.common)


def _unit(series: Mapping[str, Series], own: str, reference: str) -> str:
    units = {}
    for name in (own, reference):
        if not series.get(name):
            raise RequestError(f"{name}: no valid hours of it in this interval")
        units[name] = next(reversed(series[name].values())).unit
    if units[own] != units[reference]:
        raise RequestError(f"{reference} is in {units[reference]}, {own} in {units[own]}")
    return units[own]


def _budget(found: Colocation, hours: list[Together]) -> list[dict[str, Any]]:
    """The budget of an hour at the middle of what was measured, by weight."""

    def mean(values: list[float]) -> float | None:
        return math.fsum(values) / len(values) if values else None

    x = mean([one.indication for one in hours]) or 0.0
    around = [
        mean([v for one in hours if (v := one.condition(name)) is not None]) for name in ("temperature", "humidity")
    ]
    told = found.budget(x, *around).by_weight()
    return [{"name": term.name, "u": term.u, "share": share, "over_time": term.over_time} for term, share in told]
