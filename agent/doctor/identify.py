"""Which register map a Modbus unit has: every known one is read, and its values judged by the measurands' bounds."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agent.doctor.asker import Asker
from agent.doctor.signatures import Signature, signatures
from agent.wires.line import GarbledError, NoAnswerError
from drivers.base import Answer, BadAnswer, PolledDriver, ReadRegisters, Registers
from drivers.registry import describe, driver
from metrology.measurand import catalogue
from metrology.reading import Reading


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an instrument. `driver` None: nobody we know; `also`: drivers that fit as well.

    `needs` are options that only the site can say; without them there is no block to propose.
    """

    driver: str | None
    title: str = ""
    also: tuple[str, ...] = ()
    options: dict[str, str | list[str]] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    source: str = ""
    identity: dict[str, str] = field(default_factory=dict)
    values: dict[str, float | None] = field(default_factory=dict)
    said: str = ""

    @classmethod
    def by(cls, row: Signature, options: dict[str, str | list[str]], said: bytes = b"") -> "Known":
        """What a row of the signatures says."""
        info = describe(row.driver)
        needs = tuple(name for name, option in info.options.items() if option.default is None and name not in options)
        return cls(row.driver, info.title, (), options, needs, row.source, said=said.decode("latin-1"))

    @classmethod
    def nobody(cls, said: str, identity: dict[str, str] | None = None) -> "Known":
        """Somebody who answers and fits nothing."""
        return cls(None, identity=identity or {}, said=said)

    def fields(self) -> dict[str, Any]:
        """For programs."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


async def identify(asker: Asker, unit: int) -> Known:
    """Name a unit that answers. Raises what `Asker.ask` raises where it falls silent meanwhile."""
    identity = await asker.identity(unit)
    fitting: list[tuple[int, Signature, dict[str, float | None]]] = []
    for row in signatures("modbus"):
        values = await _values(asker, unit, row)
        if values is not None:
            fitting.append((len(values), row, values))
    if not fitting:
        return Known.nobody("", identity)
    most = max(count for count, _, _ in fitting)
    best = [row for count, row, _ in fitting if count == most]
    values = next(values for count, _, values in fitting if count == most)
    info = describe(best[0].driver)
    also = tuple(row.driver for row in best[1:])
    return Known(best[0].driver, info.title, also, source=best[0].source, identity=identity, values=values)


async def _values(asker: Asker, unit: int, row: Signature) -> dict[str, float | None] | None:
    """The values of a map, None where the unit does not have it."""
    for step in row.refuses:
        try:
            await asker.ask(unit, step)
        except (BadAnswer, NoAnswerError, GarbledError):
            continue
        return None
    try:
        readings = await _read(asker, unit, driver(row.driver, instrument="scan", unit=unit, options={}))
    except (BadAnswer, NoAnswerError, GarbledError):
        return None
    return {one.measurand: one.value for one in readings} if plausible(readings) else None


async def _read(asker: Asker, unit: int, polled: PolledDriver) -> tuple[Reading, ...]:
    """One poll of a register map, which only reads."""
    poll = polled.poll()
    step = next(poll)
    try:
        while True:
            assert isinstance(step, ReadRegisters), "a register map only reads registers"
            try:
                answer = await asker.ask(unit, step)
            except BadAnswer as error:
                step = poll.throw(error)
                continue
            assert isinstance(answer, tuple), "a Modbus line gives numbers"
            taken: Answer = Registers(answer, datetime.now(UTC))
            step = poll.send(taken)
    except StopIteration as done:
        scans = done.value
        return tuple(reading for scan in scans for reading in scan.readings)


def plausible(readings: tuple[Reading, ...]) -> bool:
    """Tell whether every value is possible, and at least half of the values are there and not 0."""
    told = [one for one in readings if one.value is not None]
    return all(within(one.measurand, one.value) for one in told) and 2 * sum(
        map(bool, (one.value for one in told))
    ) >= len(readings)


def within(measurand: str, value: float | None) -> bool:
    """Tell whether a measurand may have the value: within its bounds, and 0 or not far below its last decimal."""
    row = catalogue()[measurand]
    return (
        value is not None
        and row.minimum <= value <= row.maximum
        and (value == 0 or abs(value) >= 10.0 ** -(row.decimals + 3))
    )
