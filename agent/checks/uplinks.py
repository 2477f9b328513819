"""Rules for uplinks: what is sent exists and can be had in the platform's unit; an MN belongs to one outlet."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from agent.checks.findings import Findings
from agent.checks.hj212 import check_hj212
from agent.checks.tls import check_tls
from agent.config import Config, MqttUplink
from agent.config_hj212 import Hj212Uplink
from host.shapes import Factor
from metrology.declaration import DriverInfo
from metrology.measurand import Measurand, catalogue
from metrology.units import STATES, UnitError, convert

_AMOUNT_UNITS: Final = frozenset({"umol/mol", "nmol/mol", "%"})
_MASS_UNITS: Final = frozenset({"mg/m3", "ug/m3"})


def check_uplinks(config: Config, infos: Mapping[str, DriverInfo], wall: datetime, find: Findings) -> None:
    """Check every uplink, and that no MN is given to two outlets; `wall` is real time."""
    _centres(config, find)
    outlet_of_mn: dict[str, tuple[str, str]] = {}
    series = [f"{instrument}.{measurand}" for instrument, info in infos.items() for measurand in info.measurands]
    for name, uplink in config.uplinks.items():
        if isinstance(uplink, MqttUplink):
            if uplink.tls:
                check_tls(("uplinks", name, "tls"), uplink.tls, wall, find)
            for number, broker in enumerate(uplink.brokers):
                if broker.tls:
                    check_tls(("uplinks", name, "brokers", number, "tls"), broker.tls, wall, find)
            continue
        outlet, other = outlet_of_mn.setdefault(uplink.mn, (uplink.outlet, name))
        if outlet != uplink.outlet:
            line = find.line("uplinks", other, "mn")
            find.error("mn-twice", "uplinks", name, "mn", mn=uplink.mn, outlet=outlet, other=other, line=line)
        _factors(name, uplink, config, infos, find)
        check_hj212(name, uplink, series, find)


def _centres(config: Config, find: Findings) -> None:
    """Two uplinks to one centre take the same: it counts by number, and what one leaves out was not meant for it."""
    known: list[tuple[str, MqttUplink]] = []
    for name, uplink in config.uplinks.items():
        if not isinstance(uplink, MqttUplink):
            continue
        places = {(one.host, one.port) for one in uplink.addresses}
        for other, before in known:
            # Each `now` is another time.
            if {*uplink.kinds} == {*before.kinds} and uplink.since == before.since != "now":
                continue
            line = find.line("uplinks", other)
            witnesses = {uplink.witness, before.witness}
            same_address = places & {(one.host, one.port) for one in before.addresses}
            if same_address or (None not in witnesses and len(witnesses) == 1):
                find.error("centre-twice", "uplinks", name, other=other, line=line)
            elif None in witnesses:
                # Brokers of other names may lead to one centre all the same; its witness key says which centre it is.
                find.warn("centre-maybe-twice", "uplinks", name, other=other, line=line)
        known.append((name, uplink))


def _factors(name: str, uplink: Hj212Uplink, config: Config, infos: Mapping[str, DriverInfo], find: Findings) -> None:
    # Of several measurands of one code the first is the plain one.
    named = reversed(catalogue().values())
    codes = {measurand.hj212_code: measurand for measurand in named if measurand.hj212_code}
    for code, factor in uplink.factors.items():
        path = ("uplinks", name, "factors", code)
        instrument, _, measurand = factor.series.partition(".")
        if not find.known("series-unknown", instrument, [*config.instruments, *config.stacks], *path, "series"):
            continue
        if (info := infos.get(instrument)) is None:
            continue
        series = [f"{instrument}.{one}" for one in info.measurands]
        if find.known("series-unknown", factor.series, series, *path, "series"):
            _factor(path, factor, catalogue()[measurand], info.measurands[measurand], find)
            if code in codes and catalogue()[measurand].hj212_code not in (None, code):
                find.warn("code-of-other", *path, at_key=True, code=code, name=codes[code].id, series=factor.series)


def _factor(path: tuple[str, ...], factor: Factor, measurand: Measurand, unit: str, find: Findings) -> None:
    """What the driver measures must have a way into the unit that travels; amount to mass only at a stated state."""
    target = factor.unit or measurand.hj212_unit
    state = STATES[factor.state] if factor.state else None
    try:
        convert(1.0, unit, target, molar_mass=measurand.molar_mass, state=state)
    except UnitError as error:
        pair = {unit, target}
        if state is None and pair & _AMOUNT_UNITS and pair & _MASS_UNITS and measurand.molar_mass:
            find.error("state-missing", *path, at_key=True, unit=unit, target=target)
        else:
            find.error("unit-impossible", *path, "unit", at_key=True, unit=unit, target=target, reason=str(error))
