"""Fuel records and hours measured in a stack, from the tables people keep (CSV, XLSX) to what the account takes."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast

from host.problems import Lang
from host.sheets import Sheet
from metrology.budget import Budget, Term
from metrology.fuel.account import Books, Measured
from metrology.fuel.co2 import FuelError, co2_of
from metrology.fuel.records import (
    CACO3_FRACTION,
    CONVERSION_FRACTION,
    FuelLot,
    Given,
    OtherCarbon,
    OtherKind,
    as_received,
    defaults,
    limestone_co2_t,
)
from metrology.periods import HOUR_S, period_start
from metrology.stack.hours import Hour, HourState

# Standard uncertainties, percent, where a record gives none: a scale, an analysis, a calorimeter.
UNSTATED_PERCENT: Final = {"amount": 0.5, "carbon": 1.0, "ncv": 0.5}
UNSTATED_SOURCE: Final = "not stated: own default"
OTHERS: Final[dict[str, OtherKind]] = {
    "limestone": "limestone", "石灰石": "limestone", "bypass": "bypass", "旁路": "bypass", "other": "other",
    "其他": "other",
}  # fmt: skip
AMOUNT_UNITS: Final = {"t": "t", "吨": "t", "1e4m3": "1e4m3", "万立方米": "1e4m3", "万m3": "1e4m3"}
BASES: Final = {"ar": "ar", "收到基": "ar", "ad": "ad", "空干基": "ad", "d": "d", "干基": "d"}
STATES: Final = {
    "valid": HourState.VALID, "有效": HourState.VALID, "missing": HourState.MISSING, "缺失": HourState.MISSING,
    "stopped": HourState.STOPPED, "停运": HourState.STOPPED, "out_of_control": HourState.OUT_OF_CONTROL,
    "失控": HourState.OUT_OF_CONTROL,
}  # fmt: skip
# What a column of uncertainty is called in the budget, as `metrology.fuel.explain` groups it.
U_COLUMNS: Final = {
    "u_percent": "total: declared",
    "flow_u_percent": "flow: declared",
    "humidity_u_percent": "moisture_fraction: declared",
    "concentration_u_percent": "concentration: declared",
}


def read_books(path: str, lang: Lang, offset: timedelta = timedelta(hours=8)) -> Books:
    """Fuel and other carbon of a file. Raises ConfigErrors with row and column of everything that is wrong."""
    sheet = Sheet(path, "fuel", lang, offset)
    lots: list[FuelLot] = []
    others: list[OtherCarbon] = []
    for number, row in sheet.rows():
        try:
            if row["fuel"].lower() in OTHERS:
                others.append(_other(row))
            elif lot := _lot(sheet, number, row):
                co2_of(lot)
                lots.append(lot)
        except FuelError as error:
            sheet.refuse(number, None, f"fuel-{error.code}", **error.values)
    sheet.done()
    return Books(lots, others)


def _fuel_id(name: str) -> str:
    """A fuel by its name in the table or in either language; an unknown one keeps its own name."""
    for row in defaults().values():
        if name.lower() in (row.fuel, row.name_en.lower()) or name == row.name_zh:
            return row.fuel
    return name.lower()


def _given(row: Mapping[str, Any], name: str, u_name: str, unstated: str, scale: float = 1.0) -> Given | None:
    value, percent = row.get(name), row.get(u_name)
    if value is None:
        return None
    if percent is None:
        u = abs(value * scale) * UNSTATED_PERCENT[unstated] / 100.0
        return Given(value * scale, u, "measured", UNSTATED_SOURCE, verified=False)
    return Given(value * scale, abs(value * scale) * percent / 100.0)


def _declared(row: Mapping[str, Any], name: str, scale: float = 1.0) -> Given | None:
    value = row.get(name)
    return None if value is None else Given(value * scale, 0.0, "declared")


def _word(sheet: Sheet, number: int, name: str, value: str | None, known: Mapping[str, Any], default: str) -> Any:
    """A cell that holds one of a few words; None, and a problem, where it holds another."""
    found = known.get((value or default).lower(), known.get(value or default))
    if found is None:
        sheet.refuse(number, name, "sheet-word", value=value, name=name, known=", ".join(known))
    return found


def _lot(sheet: Sheet, number: int, row: Mapping[str, Any]) -> FuelLot | None:
    fuel = _fuel_id(row["fuel"])
    usual = defaults()[fuel].amount_unit if fuel in defaults() else "t"
    unit = _word(sheet, number, "amount_unit", row.get("amount_unit"), AMOUNT_UNITS, usual)
    basis = _word(sheet, number, "carbon_basis", row.get("carbon_basis"), BASES, "ar")
    if unit is None or basis is None:
        return None
    carbon = _given(row, "carbon_percent", "carbon_u_percent", "carbon", 0.01)
    moistures = {name: row.get(f"moisture_{name}_percent") for name in ("ar", "ad")}
    for name in {"ar": (), "ad": ("ar", "ad"), "d": ("ar",)}[cast(Literal["ar", "ad", "d"], basis)]:
        if carbon and moistures[name] is None:
            raise FuelError("moisture", basis=basis, name=f"moisture_{name}_percent")
    if carbon:
        for name, value in moistures.items():
            if not 0.0 <= (value or 0.0) < 100.0:
                raise FuelError("bounds", name=f"moisture_{name}_percent", value=value, limit=100)
        factor = as_received(1.0, basis, moistures["ar"] or 0.0, moistures["ad"] or 0.0)
        carbon = Given(carbon.value * factor, carbon.u * factor, carbon.origin, carbon.source, carbon.verified)
    amount = _given(row, "amount", "amount_u_percent", "amount")
    assert amount is not None, "a required column"
    return FuelLot(
        unit=row["unit"],
        fuel=fuel,
        start=row["start"],
        end=row["end"],
        amount=amount,
        amount_unit=unit,
        carbon_fraction=carbon,
        ncv_GJ=_given(row, "ncv_GJ", "ncv_u_percent", "ncv"),
        carbon_t_GJ=_declared(row, "carbon_t_GJ"),
        emission_factor_t_GJ=_declared(row, "emission_factor_t_GJ"),
        oxidation=_declared(row, "oxidation_percent", 0.01),
        biomass_fraction=_declared(row, "biomass_percent", 0.01),
        lot=row.get("lot") or "",
    )


def _other(row: Mapping[str, Any]) -> OtherCarbon:
    """Limestone by its mass and carbonate; a bypass and other CO2 by their own mass, t."""
    kind = OTHERS[row["fuel"].lower()]
    amount = _given(row, "amount", "amount_u_percent", "amount")
    assert amount is not None, "a required column"
    if row["end"] <= row["start"]:
        raise FuelError("times", fuel=row["fuel"])
    for name, limit in (("amount", None), ("caco3_percent", 100.0), ("conversion_percent", 100.0)):
        value = row.get(name)
        if value is not None and not 0.0 <= value <= (limit or value):
            raise FuelError("bounds", name=name, value=value, limit=limit or "+")
    co2 = amount
    if kind == "limestone":
        stated = row.get("caco3_percent")
        conversion = row.get("conversion_percent")
        caco3 = CACO3_FRACTION if stated is None else stated / 100.0
        reacted = CONVERSION_FRACTION if conversion is None else conversion / 100.0
        factor = limestone_co2_t(1.0, caco3, reacted)
        default = stated is None or conversion is None
        co2 = Given(
            amount.value * factor,
            amount.u * factor,
            "default" if default else "declared",
            "mass of limestone",
            not default,
        )
    return OtherCarbon(row["unit"], kind, row["start"], row["end"], co2, row.get("lot") or "")


class _BadHourError(ValueError):
    """An hour that cannot be, and where it is said."""

    def __init__(self, column: str, code: str) -> None:
        super().__init__(code)
        self.column, self.code = column, code


def read_measured(path: str, lang: Lang, offset: timedelta = timedelta(hours=8)) -> dict[str, Measured]:
    """Hours of CO2 by unit. An hour without `state` is valid where it has an amount, else missing.

    Raises ConfigErrors with row and column of everything that is wrong, an hour that comes twice among it.
    """
    sheet = Sheet(path, "measured", lang, offset)
    hours: dict[str, dict[datetime, Hour]] = {}
    energy: dict[str, dict[datetime, float]] = {}
    for number, row in sheet.rows():
        try:
            hour = _hour(sheet, number, row)
        except _BadHourError as error:
            sheet.refuse(number, error.column, error.code)
            continue
        known = hours.setdefault(row["unit"], {})
        if hour and hour.start in known:
            sheet.refuse(number, "start", "hour-twice")
        elif hour:
            known[hour.start] = hour
            if row.get("energy_kWh") is not None:
                energy.setdefault(row["unit"], {})[hour.start] = row["energy_kWh"]
    sheet.done()
    return {
        unit: Measured([found[start] for start in sorted(found)], energy_kWh=energy.get(unit, {}))
        for unit, found in hours.items()
    }


def _hour(sheet: Sheet, number: int, row: Mapping[str, Any]) -> Hour | None:
    if period_start(row["start"], HOUR_S) != row["start"]:
        raise _BadHourError("start", "hour-start")
    amount = row.get("co2_t")
    usual = "valid" if amount is not None else "missing"
    state = _word(sheet, number, "state", row.get("state"), STATES, usual)
    if state is None:
        return None
    if (amount is not None) != (state is HourState.VALID):
        raise _BadHourError("co2_t", "hour-amount")
    kg = None if amount is None else amount * 1000.0
    terms = tuple(
        Term(name, abs(kg or 0.0) * row[column] / 100.0, "common", "declared with the measured hours")
        for column, name in U_COLUMNS.items()
        if row.get(column) is not None
    )
    return Hour(row["start"], state, kg, Budget(terms) if terms else None, last_passed=row.get("last_passed"))
