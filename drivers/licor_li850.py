"""LI-COR LI-850, LI-840A and kin (LI-830, LI-820): documents of tags, asked for or sent unasked.

Source: LI-850 instructions, "Configuration grammar"; LI-820 manual, appendix D (a command ends with LF, the answer to
one that was not understood is `<ACK>FALSE</ACK>`). A field that is missing is switched off in the analyzer's RS232
group: it is not zero.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Final
from xml.etree import ElementTree

from drivers.base import Ask, BadAnswer, DriverError, DriverInfo, Option, Options, PolledEntry, Scan, StreamEntry
from drivers.line_stream import AskedLine, LineStream
from drivers.values import SHOWN_CHARACTERS_MAX, missing, reading, the_only, told, units_of

DOCUMENT_BYTES_MAX: Final = 4096
ROOTS: Final = re.compile(r"LI8[0-9]{2}A?", re.IGNORECASE)
# Tag: measurand and the unit the analyzer gives it in (LI-850 instructions, table 2-2).
FIELDS: Final = {"co2": ("co2", "umol/mol"), "h2o": ("h2o_reported", "mmol/mol")}
# What it measures of its cell; a document without them says nothing of it: no value, and no fault.
CELL: Final = {"celltemp": ("gas_temperature", "degC"), "cellpres": ("gas_pressure", "kPa")}


def _without_water(root: str) -> bool:
    return root.upper() in {"LI820", "LI830"}


class Documents:
    """What the documents of one analyzer mean."""

    def __init__(self, instrument: str, options: Options) -> None:
        root = str(options["root"])
        if not ROOTS.fullmatch(root):
            raise DriverError(f'root {root!r}: write the name the analyzer gives its documents, "LI850" or "LI840"')
        self.root = root.upper()
        self._instrument = instrument
        self._fields = {tag: field for tag, field in FIELDS.items() if tag == "co2" or not _without_water(root)}
        self.measurands = units_of(measurand for measurand, _ in (self._fields | CELL).values())
        tag = re.escape(root.encode("ascii"))
        self.begin = re.compile(rb"<" + tag + rb">", re.IGNORECASE)
        self.end = re.compile(rb"</" + tag + rb">", re.IGNORECASE)

    def last(self, data: bytes) -> bytes | None:
        """The last whole document that is no mere acknowledgement; None where none is whole."""
        pieces = self.end.split(data)[:-1]
        documents = [
            piece[found[-1] :] for piece in pieces if (found := [m.start() for m in self.begin.finditer(piece)])
        ]
        telling = [document for document in documents if b"<ack>true</ack>" not in document.lower()]
        return telling[-1] if telling else None

    def whole(self, data: bytes) -> bool:
        """Tell whether an answer is complete."""
        return self.last(data) is not None

    def answer(self, data: bytes, at: datetime) -> Scan:
        """Scan of an answer. Raises `BadAnswer` where it holds no data."""
        document = self.last(data)
        assert document is not None, "the bus waits for a whole document"
        return self.scan(document, at)

    def scan(self, document: bytes, at: datetime) -> Scan:
        """Scan of a document without its closing tag. Raises `BadAnswer` for an error, a refusal, or no data."""
        data = self._parsed(document).find("data")
        if data is None:
            raise BadAnswer(f"no data: {document[:SHOWN_CHARACTERS_MAX]!r}")
        texts = {field.tag: (field.text or "").strip() for field in data if not len(field)}
        readings = [
            reading(self._instrument, measurand, texts.get(tag), unit, at)
            for tag, (measurand, unit) in self._fields.items()
        ]
        readings += [
            reading(self._instrument, measurand, texts[tag], unit, at)
            if tag in texts
            else missing(self._instrument, measurand, at)
            for tag, (measurand, unit) in CELL.items()
        ]
        status = {tag: told(text) for tag, text in texts.items() if tag not in self._fields | CELL}
        return Scan(self._instrument, at, tuple(readings), status)

    def _parsed(self, document: bytes) -> ElementTree.Element:
        text = document.decode("ascii", "replace").lower() + f"</{self.root.lower()}>"
        if "<!" in text:
            raise BadAnswer("a document with declarations is none of the analyzer's")
        try:
            return ElementTree.fromstring(text)
        except ElementTree.ParseError as error:
            raise BadAnswer(f"{error}: {text[:SHOWN_CHARACTERS_MAX]!r}") from None


def _make_asked(instrument: str, unit: int | None, options: Options) -> AskedLine:
    documents = Documents(instrument, options)
    question = f"<{documents.root}><DATA>?</DATA></{documents.root}>\n".encode("ascii")
    return AskedLine(documents.measurands, Ask(question, (b"",), DOCUMENT_BYTES_MAX, documents.whole), documents.answer)


def _make_stream(units: Mapping[int, str], options: Options) -> LineStream:
    documents = Documents(the_only(units, "LI-850"), options)
    return LineStream(
        the_only(units, "LI-850"), documents.measurands, partial(_told_unasked, documents),
        begin=documents.begin, end=documents.end, line_bytes_max=DOCUMENT_BYTES_MAX,
    )  # fmt: skip


def _told_unasked(documents: Documents, document: bytes, at: datetime) -> Scan | None:
    """Acknowledgements of somebody's commands stand between the data."""
    return None if b"<ack>true" in document.lower() else documents.scan(document, at)


_MEASURANDS: Final = units_of(measurand for measurand, _ in (FIELDS | CELL).values())
_MANUAL: Final = "LI-850 instructions, configuration grammar, tables 2-1 and 2-2; LI-820 manual, appendix D, page D-4"
_OPTIONS: Final = {"root": Option(("text",), 'root tag: "LI850", "LI840", "LI830", "LI820"', "LI850")}
ENTRY: Final = PolledEntry(
    DriverInfo("licor_li850", "LI-COR LI-850, LI-840A, asked", "polled", "text", _MEASURANDS, _MANUAL, "src", _OPTIONS),
    _make_asked,
)
STREAM: Final = StreamEntry(
    DriverInfo(
        "licor_li850_stream", "LI-COR LI-850, LI-840A, unasked", "stream", "stream", _MEASURANDS, _MANUAL, "src",
        _OPTIONS,
    ),
    _make_stream,
)  # fmt: skip
