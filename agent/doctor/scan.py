"""One place from end to end: listen, then ask under each setting until somebody answers. Nothing is ever written."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from agent.config import Bus
from agent.doctor.asker import Asker, OtherMasterError
from agent.doctor.identify import Known, identify
from agent.doctor.listen import Heard, judged, listen
from agent.doctor.places import Place, Plan, bus, setting
from agent.doctor.signatures import Signature, signatures
from agent.wires.bus import AskedBus
from agent.wires.line import GarbledError, NoAnswerError
from agent.wires.wire import Wire, WireError
from agent.wires.wire_kinds import wire_of
from drivers.base import BadAnswer, ReadRegisters

PRESENCE: Final = ReadRegisters("holding", 0, 1)
# Senseair sensors answer to it whatever their own address is, so it is asked where nobody else answered.
ANY_UNIT: Final = 254
# A TCP device that answers to this unit as well looks at no unit: it is one device.
UNLIKELY_UNIT: Final = 213
SHOWN_BYTES_MAX: Final = 120

# What is being done, how far (of how many), how many instruments were found.
Progress = Callable[[str, int, int, int], None]


@dataclass(frozen=True, slots=True)
class Found:
    """An instrument: where it is and what is known of it; `protocol` is that of its bus, `row` what it answered to.

    `configured` is its name in the running station, where it has one.
    """

    wire: dict[str, Any]
    protocol: str
    unit: int | None
    known: Known
    row: Signature | None = None
    configured: str | None = None

    def fields(self) -> dict[str, Any]:
        """For programs."""
        own = {"wire": self.wire, "protocol": self.protocol, "unit": self.unit, "configured": self.configured}
        return {**own, **self.known.fields()}

    @classmethod
    def of(cls, fields: dict[str, Any]) -> "Found":
        """From what `fields` gave, through JSON."""
        known = Known(**{name: fields[name] for name in Known.__dataclass_fields__})
        return cls(fields["wire"], fields["protocol"], fields["unit"], known, configured=fields["configured"])


@dataclass(slots=True)
class Report:
    """What came of one place. `stopped` says why nothing more was asked; `error` why the wire could not be used."""

    place: Place
    found: list[Found] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    stopped: str | None = None
    error: str | None = None
    heard: str | None = None

    def fields(self) -> dict[str, Any]:
        """For programs."""
        return {
            "place": str(self.place), "found": [one.fields() for one in self.found], "tried": self.tried,
            "stopped": self.stopped, "error": self.error, "heard": self.heard,
        }  # fmt: skip


async def scan(place: Place, plan: Plan, progress: Progress) -> Report:
    """Look at one place."""
    report = Report(place)
    try:
        if not await _speaks(report, plan, progress):
            await _settings(report, plan, progress)
    except WireError as error:
        report.error = str(error)
    except OtherMasterError as error:
        report.stopped, report.heard = "other-master", str(error)
    return report


async def scan_lent(report: Report, config: Bus, owner: AskedBus, plan: Plan, progress: Progress) -> None:
    """Ask on a line that stays its owner's: each question between two of the owner's, under the setting in use.

    A plan without ways asks as the bus does.
    """
    wire = config.wire.model_dump(mode="json", exclude_unset=True)
    modbus = config.protocol if config.protocol != "text" else "modbus-rtu"
    for way in plan.ways or (config.protocol.partition("-")[0],):
        protocol = "text" if way == "text" else modbus
        asked = config.model_copy(update={"protocol": protocol})
        asker = Asker(owner.wire, asked, plan.timeout_s, ours=True, turn=owner.lent)
        report.tried.append(setting(wire))
        try:
            if protocol == "text":
                await _texts(report, wire, asker, progress)
            else:
                await _units(report, wire, protocol, asker, plan, progress)
        except WireError as error:
            report.error = str(error)


async def _settings(report: Report, plan: Plan, progress: Progress) -> None:
    """Ask under each setting until somebody answers; one that the port cannot be set to is told as such."""
    failed: list[WireError] = []
    for wire in report.place.wires(plan):
        report.tried.append(setting(wire))
        try:
            await _asked(report, wire, plan, progress)
        except WireError as error:
            failed.append(error)
            report.tried[-1] += f" ({error})"
        if report.found:
            return
    if len(failed) == len(report.tried):
        raise failed[0]


@asynccontextmanager
async def opened(wire: dict[str, Any]) -> AsyncIterator[Wire]:
    """The wire, open. Raises WireError."""
    line = wire_of("scan", bus(wire, "stream"))
    await line.open()
    try:
        yield line
    finally:
        line.close()


async def _speaks(report: Report, plan: Plan, progress: Progress) -> bool:
    """Listen under the first setting, and where anything comes under each, until it makes sense.

    A wrong speed shows rubbish and never silence. True where nothing may be asked: somebody speaks, maybe the
    instrument itself.
    """
    last: Heard | None = None
    for wire in report.place.wires(plan):
        progress(f"{setting(wire)} listen", 0, 0, len(report.found))
        try:
            async with opened(wire) as line:
                data = await listen(line, plan.listen_s)
        except WireError:
            if last is None:
                raise
            continue  # the port cannot be set to this
        if not data and last is None:
            return False
        last = judged(data) if data or last is None else last
        if last.speaker is not None:
            report.found.append(Found(wire, "stream", last.speaker.unit, Known.by(last.speaker, last.options)))
            return True
        if last.units:
            break
    assert last is not None, "every place has a wire"
    report.heard = last.data[-SHOWN_BYTES_MAX:].hex(" ")
    if plan.ours:
        return False
    report.stopped = "other-master" if last.units else "somebody"
    return True


async def _asked(report: Report, wire: dict[str, Any], plan: Plan, progress: Progress) -> None:
    for protocol in (one for one in report.place.protocols if one.partition("-")[0] in plan.ways):
        if report.found:
            return
        # A TCP peer hangs up on what it does not understand; it answered to opening, so the next way is tried.
        with suppress(*(() if report.place.port is None else (WireError,))):
            async with opened(wire) as line:
                asker = Asker(line, bus(wire, protocol), plan.timeout_s, ours=plan.ours)
                if protocol == "text":
                    await _texts(report, wire, asker, progress)
                else:
                    await _units(report, wire, protocol, asker, plan, progress)


async def _texts(report: Report, wire: dict[str, Any], asker: Asker, progress: Progress) -> None:
    """Ask each question; an instrument that answered one is asked no other."""
    rows = signatures("text")
    ending = b""
    for number, row in enumerate(rows):
        progress(f"{setting(wire)} {row.driver}", number, len(rows), len(report.found))
        if any(found.known.driver != row.driver for found in report.found):
            return
        if (last := _ending(row)) != ending:
            ending = last
            await asker.end_line(ending)
        waiting = [row.unit]
        while waiting:
            unit = waiting.pop(0)
            known = await texted(row, unit, asker)
            if known is None or any(one.unit == unit for one in report.found):
                continue
            report.found.append(Found(wire, "text", unit, known, row))
            waiting += [more for more in row.more if unit == row.unit]


def _ending(row: Signature) -> bytes:
    question = row.question_to(row.unit)
    return next(
        (end for end in (b"\r\n", b"\r") if question.endswith(end)), b"\r\n" if question.endswith(b"\n") else b"\r"
    )


async def texted(row: Signature, unit: int | None, asker: Asker) -> Known | None:
    """Ask one question of the signatures; None where nobody answers as it says."""
    try:
        answer = await asker.ask(unit, row.ask(unit))
    except (NoAnswerError, GarbledError):
        return None
    assert isinstance(answer, bytes), "a text line gives bytes"
    found = row.pattern(unit).search(answer)
    assert found is not None, "the answer is complete where it has the pattern"
    return Known.by(row, row.settled(found), answer[:SHOWN_BYTES_MAX])


async def _units(
    report: Report, wire: dict[str, Any], protocol: str, asker: Asker, plan: Plan, progress: Progress
) -> None:
    """Ask every Modbus address."""
    units = plan.units
    if protocol == "modbus-tcp" and await asker.answers(UNLIKELY_UNIT, PRESENCE):
        units = (1,)
    for number, unit in enumerate(units):
        progress(f"{setting(wire)} unit {unit}", number, len(units), len(report.found))
        if unit == ANY_UNIT and report.found:
            continue
        if await asker.answers(unit, PRESENCE):
            try:
                known = await identify(asker, unit)
            except (NoAnswerError, GarbledError, BadAnswer) as error:
                known = Known.nobody(str(error))
            report.found.append(Found(wire, protocol, unit, known))
