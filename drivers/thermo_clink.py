"""Thermo i-series analyzers (410i CO2, 48i CO) by C-Link: a command, and a reply that repeats it.

Source: model 410i and 48i instruction manuals, appendix B. Value, gas mode and flags are asked in each poll. A reply
ends with CR; in format 01 `sum xxxx` stands before it, the sum of the message's bytes. Older units leave `*`, 80 or FF
around a reply, or put 80 in the place of LF: these are passed over.
"""

import re
from collections.abc import Generator, Iterable
from datetime import datetime
from functools import partial
from typing import Final

from drivers.base import (
    Advice,
    Answer,
    Ask,
    BadAnswer,
    DriverError,
    DriverInfo,
    Option,
    Options,
    Poll,
    PolledEntry,
    Scan,
    Step,
    Text,
)  # fmt: skip
from drivers.values import SHOWN_CHARACTERS_MAX, reading, units_of
from metrology.quality import Cause, Mark

REPLY_BYTES_MAX: Final = 512
IDENTITY_MAX: Final = 127  # appendix B: the first byte of a command is the instrument's number plus 128
STATED: Final = {"ppm": "umol/mol", "ppb": "nmol/mol", "mg/m3": "mg/m3", "ug/m3": "ug/m3", "%": "%"}
FLAG_BITS: Final = 32
_VALUE: Final = re.compile(r"(\S+) +(\S+)")
_SUM: Final = re.compile(r"(?P<message>.*?)\s*\n\s*sum\s+(?P<sum>[0-9a-f]{4})", re.IGNORECASE | re.DOTALL)


def _reply(data: bytes, command: str) -> str | None:
    """What follows the command in the last closed line that repeats it and says more; None where there is none."""
    text = data.replace(b"\xff", b"").replace(b"\x80", b"\n").replace(b"*", b"").decode("ascii", "replace")
    found = None
    for line in text.split("\r")[:-1]:
        start = line.lower().rfind(command)
        message = line[start:].strip()
        if start >= 0 and len(message) > len(command):
            found = message
    return found


def _checked(message: str) -> str:
    """The message without its sum. Raises `BadAnswer` where the sum is wrong."""
    found = _SUM.fullmatch(message)
    if found is None:
        return message
    if sum(found["message"].encode("ascii", "replace")) & 0xFFFF != int(found["sum"], 16):
        raise BadAnswer(f"sum wrong: {message[:SHOWN_CHARACTERS_MAX]!r}")
    return found["message"]


def _fault_bits(options: Options) -> dict[int, str]:
    """Read the option `fault_bits`: `["0=internal temperature"]`."""
    entries = options["fault_bits"]
    assert isinstance(entries, list), "settled options"
    bits = {}
    for entry in entries:
        bit, equals, meaning = (part.strip() for part in entry.partition("="))
        if not equals or not bit.isdecimal() or int(bit) >= FLAG_BITS:
            raise DriverError(f'fault_bits: write "0=internal temperature", bits 0 to 31, instead of {entry!r}')
        bits[int(bit)] = meaning
    return bits


class CLink:
    """One analyzer that gives one gas as one of `measurands` (the first that the unit it states can become)."""

    def __init__(
        self, measurands: tuple[str, ...], gas: str, instrument: str, unit: int | None, options: Options
    ) -> None:
        if unit is not None and not 0 <= unit <= IDENTITY_MAX:
            raise DriverError(f"unit {unit}: an instrument identification number lies between 0 and {IDENTITY_MAX}")
        self._prefix = bytes([unit + 128]) if unit else b""
        self._command = f"{options['range']} {gas}".strip().lower()
        if options["range"] not in ("", "high", "low"):
            raise DriverError(f'range {options["range"]!r}: write "high", "low", or "" in single range mode')
        self._fault_bits = _fault_bits(options)
        self._measurand = str(options["measurand"]) or measurands[0]
        if self._measurand not in measurands:
            raise DriverError(f"measurand {self._measurand!r}: write one of {', '.join(measurands)}")
        self._instrument = instrument

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return units_of([self._measurand])

    def poll(self) -> Poll:
        """Ask gas mode, flags and value; one scan at the moment of the value. Raises `BadAnswer` for a refusal."""
        mode, at = yield from self._ask("gas mode")
        flags_text, _ = yield from self._ask("flags")
        if not re.fullmatch(r"[0-9a-fA-F]{8}", flags_text):
            raise BadAnswer(f"no flags: {flags_text[:SHOWN_CHARACTERS_MAX]!r}")
        text, at = yield from self._ask(self._command)
        found = _VALUE.fullmatch(text)
        if found is None or found[2].lower() not in STATED:
            raise BadAnswer(f"no value with a unit: {text[:SHOWN_CHARACTERS_MAX]!r}")
        marks = [*_mode_marks(mode, at), *self._flag_marks(int(flags_text, 16), at)]
        value = reading(self._instrument, self._measurand, found[1], STATED[found[2].lower()], at, marks)
        return [Scan(self._instrument, at, (value,), {"gas_mode": mode, "flags": flags_text.lower()})]

    def _ask(self, command: str) -> Generator[Step, Answer, tuple[str, datetime]]:
        """What the reply says behind the command it repeats, and when it was complete."""
        answer = yield Ask(
            self._prefix + command.encode("ascii") + b"\r",
            (b"\r",),
            REPLY_BYTES_MAX,
            lambda came: _reply(came, command) is not None,
        )
        assert isinstance(answer, Text), "the bus answers Ask with Text"
        message = _reply(answer.data, command)
        assert message is not None, "the bus waits for a reply"
        return _checked(message)[len(command) :].strip(), answer.at

    def _flag_marks(self, flags: int, at: datetime) -> Iterable[Mark]:
        return [Mark(Cause.FAULT, meaning, at) for bit, meaning in self._fault_bits.items() if flags >> bit & 1]


def _mode_marks(mode: str, at: datetime) -> list[Mark]:
    """Zero and span gas are calibration; a word that is none of the manual's three is told as a fault."""
    match mode.lower():
        case "sample":
            return []
        case "zero" | "span":
            return [Mark(Cause.CALIBRATION, f"gas mode {mode.lower()}", at)]
    return [Mark(Cause.FAULT, f"gas mode {mode[:SHOWN_CHARACTERS_MAX]}", at)]


def advise(options: Options) -> list[Advice]:
    """Alarms stay in the status where nobody said which flags they are."""
    if options["fault_bits"]:
        return []
    return [
        Advice(
            "fault_bits",
            "thermo-no-fault-bits",
            "Without fault_bits no alarm of the analyzer marks its values: list the alarm bits of its manual's flags.",
            "未设置 fault_bits 时，仪器报警不会标记数据：请按说明书的 flags 图列出报警位。",
        )
    ]


_OPTIONS: Final = {
    "measurand": Option(("text",), "what the value becomes; empty: the first of the driver's", ""),
    "range": Option(("text",), '"high" or "low" in dual and auto range mode; empty in single range mode', ""),
    "fault_bits": Option(("list of texts",), 'flags that are alarms: "0=internal temperature"', []),
}


def _entry(name: str, title: str, gas: str, measurands: tuple[str, ...], manual: str) -> PolledEntry:
    info = DriverInfo(name, title, "polled", "text", units_of(measurands), manual, "src", _OPTIONS)
    return PolledEntry(info, partial(CLink, measurands, gas), advise)


CO2: Final = _entry(
    "thermo_410i", "Thermo Scientific 410i", "co2", ("co2", "co2_percent"),
    "Model 410i instruction manual 102011-00 (25 July 2017), appendix B, pages B-3, B-11",
)  # fmt: skip
CO: Final = _entry(
    "thermo_48i", "Thermo Scientific 48i", "co", ("co_fraction", "co"),
    "Model 48i instruction manual, appendix B, pages B-1, B-10, B-13",
)  # fmt: skip
