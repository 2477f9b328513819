"""What a stack gives off, scan by scan, from the newest readings of its inputs: a pure state.

Each new reading of the flow input (differential pressure or velocity) makes one set of derived readings. Roots are
taken here, of each reading, and averaged afterwards (design, section 13.4). A derived reading bears the marks of every
input it was made of, and no value where one is missing or older than its input may be; a repeated old value
(cause `stale`) is no input.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from metrology.measurand import catalogue
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Measurement, Reading
from metrology.stack import concentration, emission, flow, humidity, oxygen
from metrology.stack.plan import DIFFERENTIAL, NO_REFERENCE, UNITS, VELOCITY, GasSource, Plan, Source
from metrology.units import STACK_DRY, convert, wet_to_dry


@dataclass(frozen=True, slots=True)
class Known:
    """A number with the marks it bears; None where it is not known, and its marks say why."""

    value: float | None
    marks: frozenset[Mark] = frozenset()


class Stack:
    """The newest readings of a stack's inputs. `cut_offs` counts velocities that were cut off, `guarded` values at
    reference oxygen that mean nothing.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.cut_offs = 0
        self.guarded = 0
        self._stopped_since: datetime | None = None
        sources = [*plan.inputs.values(), *(gas.source for gas in plan.gases.values())]
        sources += [gas.no2 for gas in plan.gases.values() if gas.no2]
        self._newest: dict[str, Measurement | None] = {source.series: None for source in sources if source.series}

    def take(self, measurements: Iterable[Measurement]) -> datetime | None:
        """Take what a scan brought. Gives the instant to derive at where the flow input was among it."""
        due = None
        for one in measurements:
            reading = one.reading
            if reading.series in self._newest and Cause.STALE not in reading.quality.causes:
                self._newest[reading.series] = one
                if reading.series == self.plan.trigger:
                    due = reading.at
        return due

    def derive(self, at: datetime) -> tuple[Reading, ...]:
        """The derived readings at an instant."""
        inputs = {role: self._known(source, UNITS[role], at) for role, source in self.plan.inputs.items()}
        found = self._flows(inputs, at)
        for gas, source in self.plan.gases.items():
            found |= self._gas(gas, source, inputs, found["flow_dry"], at)
        stop = self._stop(inputs, found["stack_velocity"], at)
        return tuple(
            Reading(self.plan.name, name, found[name].value, unit, at, Quality(found[name].marks | stop))
            for name, unit in self.plan.measurands.items()
        )

    def _stop(self, inputs: Mapping[str, Known], velocity: Known, at: datetime) -> frozenset[Mark]:
        """The mark of a plant that is stopped by the declared rule."""
        rule, unknown = self.plan.stopped, Known(None)
        values = (velocity.value, inputs["temperature"].value, inputs.get("oxygen", unknown).value)
        if rule is None or not rule.holds(*values):
            self._stopped_since = None
            return frozenset()
        self._stopped_since = self._stopped_since or at
        return frozenset({Mark(Cause.STOPPED, "by the declared rule", self._stopped_since)})

    def _known(self, source: Source, unit: str, at: datetime, molar_mass: float | None = None) -> Known:
        """An input in the unit it is reckoned in."""
        if source.value is not None:
            return Known(convert(source.value, source.unit, unit))
        newest = self._newest[source.series]
        if newest is None or abs((at - newest.reading.at).total_seconds()) > source.max_age_s:
            return Known(None, frozenset({_old(source, at)}))
        value, marks = newest.value, newest.reading.quality.marks
        if value is None:
            return Known(None, marks or frozenset({Mark(Cause.FAULT, f"no value of {source.series}", at)}))
        state = STACK_DRY if molar_mass else None
        return Known(convert(value, newest.reading.unit, unit, molar_mass=molar_mass, state=state), marks)

    def _flows(self, inputs: dict[str, Known], at: datetime) -> dict[str, Known]:
        moisture = inputs["moisture"] = self._moisture(inputs, at)
        state = (inputs["temperature"], inputs["barometer"], inputs["static_pressure"])
        velocity = self._velocity(inputs, at)
        actual = _of(at, lambda v: flow.actual_flow_m3_h(self.plan.area_m2, v), velocity)
        wet = _of(at, flow.standard_wet_flow_m3_h, actual, *state)
        return {
            "stack_velocity": velocity,
            "flow_actual": actual,
            "flow_wet": wet,
            "flow_dry": _of(at, flow.dry_flow_m3_h, wet, moisture),
        }

    def _moisture(self, inputs: Mapping[str, Known], at: datetime) -> Known:
        """Moisture as a fraction: read, or from wet and dry oxygen."""
        if "moisture" in inputs:
            return _of(at, _fraction, inputs["moisture"])
        return _of(at, humidity.from_oxygen, inputs["oxygen_wet"], inputs["oxygen"])

    def _velocity(self, inputs: Mapping[str, Known], at: datetime) -> Known:
        kv = self.plan.kv.at(at)
        if kv is None:
            return Known(None, frozenset({Mark(Cause.FAULT, "no velocity-field coefficient in force", at)}))
        point = inputs[VELOCITY] if VELOCITY in inputs else self._pitot(inputs, at)
        found = _of(at, lambda v: flow.section_velocity_m_s(v, kv.value), point)
        if found.value is not None and found.value < self.plan.cut_off_m_s:
            self.cut_offs += 1
            return Known(0.0, found.marks)
        return found

    def _pitot(self, inputs: Mapping[str, Known], at: datetime) -> Known:
        state = (inputs["temperature"], inputs["barometer"], inputs["static_pressure"])
        density = _of(at, flow.stack_density_kg_m3, self._standard_density(inputs, at), *state)
        coefficient = self.plan.pitot_coefficient
        return _of(at, lambda dp, rho: flow.pitot_velocity_m_s(dp, rho, coefficient), inputs[DIFFERENTIAL], density)

    def _standard_density(self, inputs: Mapping[str, Known], at: datetime) -> Known:
        if self.plan.standard_density_kg_m3 is not None:
            return Known(self.plan.standard_density_kg_m3)
        co2 = self._known(self.plan.gases["co2"].source, "%", at, catalogue()["co2"].molar_mass)
        if self.plan.gases["co2"].wet:
            co2 = _of(at, wet_to_dry, co2, inputs["moisture"])
        return _of(at, _density, co2, inputs["oxygen"], inputs["moisture"])

    def _gas(
        self, gas: str, source: GasSource, inputs: Mapping[str, Known], dry_flow: Known, at: datetime
    ) -> dict[str, Known]:
        """Concentration at the standard state, dry; at reference oxygen; and the rate."""
        molar_mass = catalogue()[f"{gas}_std"].molar_mass
        standard = self._known(source.source, "mg/m3", at, molar_mass)
        if source.no2:
            # What is read as NO counts as NO2, with the NO2 beside it.
            no = self._known(source.source, "mg/m3", at, catalogue()["no"].molar_mass)
            no2 = self._known(source.no2, "mg/m3", at, catalogue()["no2"].molar_mass)
            standard = _of(at, concentration.nox_from_mass_mg_m3, no, no2)
        if source.actual:
            state = (inputs["temperature"], inputs["barometer"], inputs["static_pressure"])
            standard = _of(at, concentration.standard_state_mg_m3, standard, *state)
        if source.wet:
            standard = _of(at, wet_to_dry, standard, inputs["moisture"])
        found = {f"{gas}_std": standard, f"{gas}_rate": _of(at, emission.rate_kg_h, standard, dry_flow)}
        if self.plan.reference_oxygen_percent is not None and gas not in NO_REFERENCE:
            found[f"{gas}_zs"] = self._converted(standard, inputs["oxygen"], at)
        return found

    def _converted(self, standard: Known, dry_oxygen: Known, at: datetime) -> Known:
        reference, guard = self.plan.reference_oxygen_percent or 0.0, self.plan.guard_percent
        found = _of(at, lambda c, o: oxygen.at_reference_oxygen(c, o, reference, guard).value, standard, dry_oxygen)
        if dry_oxygen.value is not None and dry_oxygen.value > guard:
            self.guarded += 1
            why = Mark(Cause.OUT_OF_RANGE, f"oxygen above {guard:g} %: reference oxygen means nothing", at)
            return Known(found.value, found.marks | {why})
        return found


def _of(at: datetime, function: Callable[..., float], *inputs: Known) -> Known:
    """A function of inputs, with the marks of all; without a value where one has none or they make no sense."""
    marks = frozenset[Mark]().union(*(one.marks for one in inputs))
    values = [one.value for one in inputs if one.value is not None]
    if len(values) < len(inputs):
        return Known(None, marks)
    try:
        return Known(function(*values), marks)
    except (ValueError, ZeroDivisionError) as error:
        return Known(None, marks | {Mark(Cause.FAULT, str(error), at)})


def _old(source: Source, at: datetime) -> Mark:
    return Mark(Cause.COMMUNICATION, f"no {source.series} within {source.max_age_s:g} s", at)


def _fraction(percent: float) -> float:
    if not 0.0 <= percent < 100.0:
        raise ValueError(f"moisture of {percent:g} % is none")
    return percent / 100.0


def _density(co2_percent: float, o2_percent: float, moisture: float) -> float:
    molar_mass = flow.stack_molar_mass_g_mol(
        co2_percent_dry=max(co2_percent, 0.0), o2_percent_dry=max(o2_percent, 0.0), moisture_fraction=moisture
    )
    return flow.standard_density_kg_m3(molar_mass)
