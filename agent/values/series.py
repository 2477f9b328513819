"""Which series a station has, how each is averaged and in which range its instrument measures."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agent.config import Config, Instrument
from agent.values.averaging import SeriesSpec
from drivers.registry import describe
from metrology.measurand import catalogue

if TYPE_CHECKING:
    from agent.values.derived import Derived

# What an unpolled instrument is expected to send where its block does not say: one reading a minute.
EXPECTED_PER_MINUTE = 1.0


def _measurands(instrument: Instrument) -> Iterator[tuple[str, str]]:
    info = describe(instrument.driver)
    if not instrument.series:
        yield from info.emitted(instrument.options).items()
    else:
        yield from ((one, unit) for one, unit in info.measurands.items() if one in instrument.series)


def expected_per_minute(instrument: Instrument) -> float:
    """Readings a full minute holds: as configured, else by the polling period."""
    if instrument.expected_per_minute is not None:
        return instrument.expected_per_minute
    return max(60.0 / instrument.poll_s, 1.0) if instrument.poll_s else EXPECTED_PER_MINUTE


def series_of(config: Config) -> list[SeriesSpec]:
    """All series: what the drivers emit, or the part of it that an instrument's `series` block names; and derived."""
    read = [
        SeriesSpec(
            f"{name}.{measurand}",
            unit,
            instrument.rule,
            catalogue()[measurand].averaging,
            expected_per_minute(instrument),
        )
        for name, instrument in config.instruments.items()
        for measurand, unit in _measurands(instrument)
    ]
    return read + _derived(config)


def stacks_of(config: Config) -> "Derived | None":
    """What derives the values of the station's stacks; None where it has none."""
    if not config.stacks:
        return None
    from agent.values.derived import Derived

    return Derived(config)


def _derived(config: Config) -> list[SeriesSpec]:
    """What stacks give: as many readings a minute as their flow input has, averaged by the rule of stacks."""
    if not config.stacks:
        return []
    # Only a station with a stack carries what derives.
    from agent.values.derived import plans

    return [
        SeriesSpec(f"{name}.{measurand}", unit, "hj-stack", "mean", expected_per_minute(config.instruments[source]))
        for name, plan in plans(config).items()
        for source in [plan.trigger.partition(".")[0]]
        for measurand, unit in plan.measurands.items()
    ]


def serials_of(config: Config) -> dict[str, str]:
    """Serial numbers by instrument, where the configuration gives them."""
    return {name: block.serial_number for name, block in config.instruments.items() if block.serial_number}


def ranges_of(config: Config) -> dict[str, tuple[float, float]]:
    """Declared range of each series, in the unit of its readings; the catalogue's where a site declares none."""
    ranges = {}
    for name, instrument in config.instruments.items():
        for measurand, _ in _measurands(instrument):
            row, declared = catalogue()[measurand], instrument.series.get(measurand)
            low = row.minimum if declared is None or declared.minimum is None else declared.minimum
            high = row.maximum if declared is None or declared.maximum is None else declared.maximum
            ranges[f"{name}.{measurand}"] = (low, high)
    for spec in _derived(config):
        row = catalogue()[spec.series.partition(".")[2]]
        ranges[spec.series] = (row.minimum, row.maximum)
    return ranges
