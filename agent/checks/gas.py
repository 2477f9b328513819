"""Rules for valves, cylinders and calibration sequences: gas is dangerous, and a wrong gas makes wrong numbers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from agent.checks.cylinders import check_cylinders
from agent.checks.findings import Findings
from agent.checks.sequences import check_sequence, check_together
from agent.checks.valves import check_valve
from agent.config import Config
from agent.config_gas import Injection, Sequence, Valve
from metrology.declaration import DriverInfo
from metrology.units import UnitError, convert

# No cylinder has this name.
AIR: Final = "blowback air"


def check_gas(config: Config, infos: Mapping[str, DriverInfo], now: datetime, find: Findings) -> None:
    """Check valves, cylinders and sequences; `now` (aware UTC) tells expired cylinders."""
    for name, valve in config.valves.items():
        check_valve(name, valve, config, find)
    check_cylinders(config, infos, now, find)
    gas_of_port: dict[tuple[str, str], tuple[str, int]] = {}
    for name, sequence in config.sequences.items():
        _sequence(name, sequence, config, infos, find)
        _ports(name, sequence, config, gas_of_port, find)
        check_sequence(name, sequence, config, infos, find)
    check_together(config, now, find)


def _sequence(name: str, sequence: Sequence, config: Config, infos: Mapping[str, DriverInfo], find: Findings) -> None:
    if bool(sequence.injections) == (sequence.blowback is not None):
        find.error("sequence-purpose", "sequences", name, at_key=True)
    if sequence.valve is not None:
        find.known("valve-unknown", sequence.valve, config.valves, "sequences", name, "valve")
    find.known("instrument-unknown", sequence.instrument, config.instruments, "sequences", name, "instrument")
    if info := infos.get(sequence.instrument):
        for index, measurand in enumerate(sequence.affects or []):
            find.known("measurand-unknown", measurand, info.measurands, "sequences", name, "affects", index)
    for index, injection in enumerate(sequence.injections):
        path = ("sequences", name, "injections", index)
        known_gas = find.known("gas-unknown", injection.gas, config.cylinders, *path, "gas")
        if info := infos.get(sequence.instrument):
            _measurands(path, injection, info, find)
            _roles_affected(path, injection, sequence, find)
            if known_gas:
                _assigned(path, injection, config, info, find)
        poll_s = config.instruments[sequence.instrument].poll_s if sequence.instrument in config.instruments else None
        if poll_s is not None and injection.average_s < poll_s:
            find.error("average-short", *path, "average_s", average=injection.average_s, poll=poll_s)
    _span_above_zero(name, sequence, config, find)


def _measurands(path: tuple[str | int, ...], injection: Injection, info: DriverInfo, find: Findings) -> None:
    for key in ("roles", "stdev_max", "check_limit"):
        for measurand in getattr(injection, key):
            find.known("measurand-unknown", measurand, info.measurands, *path, key, measurand, at_key=True)


def _roles_affected(path: tuple[str | int, ...], injection: Injection, sequence: Sequence, find: Findings) -> None:
    """A measurand that is calibrated is one the gas touches."""
    for measurand in injection.roles:
        if sequence.affects is not None and measurand not in sequence.affects:
            find.error("role-not-affected", *path, "roles", measurand, at_key=True, measurand=measurand)


def _assigned(
    path: tuple[str | int, ...], injection: Injection, config: Config, info: DriverInfo, find: Findings
) -> None:
    """A role needs a certified amount, in a unit that means the same as the instrument's."""
    assigned = config.cylinders[injection.gas].assigned
    for measurand, role in injection.roles.items():
        if measurand not in info.measurands or role == "unknown":
            continue
        if measurand not in assigned:
            find.error("not-assigned", *path, "roles", measurand, at_key=True, gas=injection.gas, measurand=measurand)
            continue
        try:
            convert(assigned[measurand].value, assigned[measurand].unit, info.measurands[measurand])
        except UnitError as error:
            place = ("cylinders", injection.gas, "assigned", measurand, "unit")
            if not any(problem.key == ".".join(place) for problem in find.problems):
                find.error("assigned-unit", *place, wanted=info.measurands[measurand], reason=str(error))


def _span_above_zero(name: str, sequence: Sequence, config: Config, find: Findings) -> None:
    """A two-point line needs two points: the span amount lies above the zero amount."""
    zeros: dict[str, float] = {}
    for role in ("zero", "span"):
        for index, injection in enumerate(sequence.injections):
            assigned = config.cylinders[injection.gas].assigned if injection.gas in config.cylinders else {}
            for measurand in [m for m, given in injection.roles.items() if given == role and m in assigned]:
                value = assigned[measurand].value
                if role == "zero":
                    zeros[measurand] = value
                elif measurand in zeros and value <= zeros[measurand]:
                    path = ("sequences", name, "injections", index, "roles", measurand)
                    find.error("span-not-above-zero", *path, span=value, zero=zeros[measurand], measurand=measurand)


def _ports(
    name: str,
    sequence: Sequence,
    config: Config,
    gas_of_port: dict[tuple[str, str], tuple[str, int]],
    find: Findings,
) -> None:
    """A port exists, is not the sample's, and holds the same cylinder, or the air of a blowback, in every sequence."""
    if sequence.valve is None or (valve := config.valves.get(sequence.valve)) is None:
        return
    if blow := sequence.blowback:
        path = ("sequences", name, "blowback")
        _port(path, blow.port, AIR, sequence.valve, valve, gas_of_port, find)
    for index, injection in enumerate(sequence.injections):
        if injection.port is None:
            continue
        place = ("sequences", name, "injections", index)
        _port(place, injection.port, injection.gas, sequence.valve, valve, gas_of_port, find)


def _port(
    path: tuple[str | int, ...],
    port: str,
    gas: str,
    valve_name: str,
    valve: Valve,
    gas_of_port: dict[tuple[str, str], tuple[str, int]],
    find: Findings,
) -> None:
    if not find.known("port-unknown", port, valve.ports, *path, "port"):
        return
    if port == valve.sample:
        find.error("port-is-sample", *path, "port", port=port)
    key = "port" if gas == AIR else "gas"
    other, line = gas_of_port.setdefault((valve_name, port), (gas, find.line(*path, key)))
    if other != gas:
        find.error("port-has-other-gas", *path, key, port=port, other=other, line=line)
