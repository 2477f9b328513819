"""A report from a station's past: what to ask of the history for each kind, the head, and the records it rests on."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Final

from calibration.qa.performance.limits import Judged
from calibration.reports.account import account
from calibration.reports.calibration import calibration
from calibration.reports.capture import capture
from calibration.reports.document import Header, Kind, Lang, RecordId, Report
from calibration.reports.drift import drift
from calibration.reports.electricity import Electricity
from calibration.reports.emission import LOOK_BACK, emission
from calibration.reports.frame import Frame
from calibration.reports.performance import performance
from calibration.reports.performance_charts import Recorded
from calibration.reports.stacks import Stacks
from calibration.reports.words import Words
from host.history import Fields, History
from host.reports.proofs import ledger_of
from metrology.fuel.account import Books, Options
from metrology.periods import EPOCH, HOUR_S, parse_iso
from metrology.stack.substitution import Scheme
from protocols import record

# Bodies that go with a report: what is beyond is named by its number.
BODIES_MAX: Final = 1500
BODIES_BYTES_MAX: Final = 2 * 1024 * 1024
KINDS: Final = frozenset({"average", "calibration", "config", "event"})
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. `made` and `made_by`: when, by whom; `page`: address of the page that traces numbers.

    `books`, `options` and `electricity` belong to an account, `judged`, `files` (name, SHA-256) and `recorded` to a
    performance test; `substitution` fills hours as a layer of its own.
    """

    kind: Kind
    since: datetime
    until: datetime
    lang: Lang
    made: datetime
    made_by: str
    series: tuple[str, ...] = ()
    page: str = ""
    books: Books | None = None
    options: Options | None = None
    electricity: Electricity | None = None
    substitution: Scheme | None = None
    judged: Sequence[Judged] = ()
    files: Sequence[tuple[str, str]] = ()
    recorded: Sequence[Recorded] = ()


def make(history: History | None, station: str, asked: Asked, progress: Progress | None = None) -> Report:
    """The report with the bodies of its records. `station` names one that has no configuration on record.

    A performance test needs no history.
    """
    config = (history.newest("config", asked.until) if history else None) or {}
    frame = Frame(Words(asked.lang), header_of(config, station, asked), asked.series, _regulated(config))
    if history is None or asked.kind == "performance":
        return performance(frame, asked.judged, asked.files, asked.recorded)
    report = _built(history, frame, asked, _stacks(config), _Told(asked, progress))
    bodies = _bodies(history, report.records())
    return replace(report, bodies=bodies, ledger=ledger_of(history, bodies.keys()))


def header_of(config: Fields, station: str, asked: Asked) -> Header:
    """The head by the configuration record in force at the end of the period."""
    document: Mapping[str, Any] = config.get("document") or {}
    block: Mapping[str, Any] = document.get("station") or {}
    offset_h = float(block.get("day_start_utc_offset_h", 8.0))
    return Header(
        station=block.get("id", station),
        name=block.get(f"name_{asked.lang}") or "",
        since=asked.since,
        until=asked.until,
        made=asked.made,
        made_by=asked.made_by,
        software=f"plumeline {metadata.version('plumeline')}",
        configuration=config.get("sha256"),
        offset_h=offset_h,
        simulated=bool(config.get("sim")),
        page=asked.page,
        instruments=tuple(_instrument(name, one) for name, one in (document.get("instruments") or {}).items()),
    )


def _instrument(name: str, block: Mapping[str, Any]) -> tuple[str, str, str]:
    declared = block.get("declared") or {}
    return name, str(block.get("driver", "")), str(declared.get("serial") or block.get("serial_number") or "")


def _regulated(config: Fields) -> frozenset[str]:
    """Regulated instruments, and stacks: what is derived of one is never revised."""
    document = config.get("document") or {}
    instruments = (document.get("instruments") or {}).items()
    return frozenset(name for name, one in instruments if one.get("kind") == "regulated") | frozenset(
        document.get("stacks") or {}
    )


def _stacks(config: Fields) -> Stacks:
    return Stacks.of(config.get("document") or {})


class _Told:
    """Passes records on and says how far the pass is."""

    def __init__(self, asked: Asked, progress: Progress | None) -> None:
        self._asked, self._progress = asked, progress
        self._said = -1

    def hours(self, records: Iterable[Fields]) -> Iterator[Fields]:
        """Averages, by their start."""
        whole = (self._asked.until - self._asked.since).total_seconds()
        for fields in records:
            if self._progress is not None:
                percent = int(100 * (parse_iso(fields["start"]) - self._asked.since).total_seconds() / whole)
                if percent != self._said:
                    self._said = percent
                    self._progress(percent / 100)
            yield fields


def _built(history: History, frame: Frame, asked: Asked, stacks: Stacks, told: _Told) -> Report:
    looks_back = asked.kind in ("emission", "account") and asked.substitution is not None
    begin = asked.since - LOOK_BACK if looks_back else asked.since

    def hours() -> Iterator[Fields]:
        return told.hours(history.averages(HOUR_S, begin, asked.until))

    def checks() -> Iterator[Fields]:
        return history.told("calibration", EPOCH, asked.until)

    match asked.kind:
        case "drift":
            return drift(frame, checks(), hours(), history.told("event", asked.since, asked.until, _REFUSED))
        case "calibration":
            return calibration(frame, checks(), hours(), history.told("event", asked.since, asked.until, _REFUSED))
        case "capture":
            gaps = history.told("gap", asked.since, asked.until)
            return capture(frame, checks(), hours(), gaps)
        case "emission":
            return emission(frame, checks(), hours(), stacks, asked.substitution)
        case "account":
            assert asked.books is not None, "asked with its books"
            return account(
                frame, checks(), hours(), stacks, asked.books, asked.options or Options(), asked.substitution,
                asked.electricity,
            )  # fmt: skip
        case "performance":
            raise AssertionError("made of files, and before")


_REFUSED: Final = ("calibration-refused",)


def _bodies(history: History, wanted: Sequence[RecordId]) -> dict[RecordId, str]:
    """Texts of the records as they lie in the log, the first so many."""
    found: dict[RecordId, str] = {}
    left = BODIES_BYTES_MAX
    for epoch, seq in wanted[:BODIES_MAX]:
        fields = history.record(epoch, seq, KINDS)
        if fields is None:
            continue
        body = record.encode(fields).decode()
        left -= len(body)
        if left < 0:
            break
        found[epoch, seq] = body
    return found


def now() -> datetime:
    """This machine's clock, to the second: a report says when it was made."""
    return datetime.now(UTC).replace(microsecond=0)
