"""States and transitions of every dialogue as one table; the sessions take their next state from here.

HJ 212-2017 6.2 and appendix C. What is not in the table does not happen by our own doing, and is an unexpected message
where a peer does it. The diagrams of the documentation are made of the same rows.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Machine(StrEnum):
    """What walks through states."""

    UPLOAD = "upload at the station"
    NOTICE = "notice at the station"
    SERVED = "request at the station"
    ASKED = "request at the platform"


class State(StrEnum):
    """Where one of them stands. The ends of a request are the outcomes of `RequestEnded`."""

    NEW = "new"
    SENT = "sent"
    DELIVERED = "delivered"
    UNCONFIRMED = "unconfirmed"
    FORGOTTEN = "forgotten"
    RECEIVED = "received"
    BUSY = "busy"
    EXECUTING = "executing"
    FINISHED = "finished"
    ASKED = "asked"
    DONE = "done"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    FAILED = "failed"
    LOST = "lost"


class Event(StrEnum):
    """What may happen."""

    ASKS = "sent, wants an answer"
    TELLS = "sent, wants none"
    PART_TAKEN = "9014, parts left"
    TAKEN = "9014, last part"
    NOTICED = "9013"
    TURNED_DOWN = "9011, a code other than 1"
    LATE_AGAIN = "late, resends left"
    LATE = "late"
    DISCONNECTED = "connection lost"
    NOT_TAKEN = "a check fails"
    WRONG_FIELDS = "fields wrong"
    FULL = "too many under way"
    TAKES = "all is well"
    DATA = "data"
    RESULT = "result"
    IS_BUSY = "result busy"
    REPEATED = "the same message again"
    READY = "9011, code 1"
    PROGRESS = "upload inside the range asked for"
    SUCCESS = "9012, code 1"
    FAILURE = "9012, another code"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row: in `state`, on `event`, go to `next`; `does` says what goes out."""

    machine: Machine
    state: State
    event: Event
    next: State
    does: str = ""


def _rows(machine: Machine, *rows: tuple[State, Event, State, str]) -> list[Transition]:
    return [Transition(machine, *row) for row in rows]


S, E = State, Event
TABLE: Final[tuple[Transition, ...]] = (
    *_rows(
        Machine.UPLOAD,
        (S.NEW, E.ASKS, S.SENT, "first part"),
        (S.NEW, E.TELLS, S.UNCONFIRMED, "all parts"),
        (S.SENT, E.PART_TAKEN, S.SENT, "next part"),
        (S.SENT, E.TAKEN, S.DELIVERED, ""),
        (S.SENT, E.TURNED_DOWN, S.FAILED, ""),
        (S.SENT, E.LATE_AGAIN, S.SENT, "same bytes again"),
        (S.SENT, E.LATE, S.FAILED, ""),
        (S.SENT, E.DISCONNECTED, S.FORGOTTEN, ""),
    ),
    *_rows(
        Machine.NOTICE,
        (S.NEW, E.ASKS, S.SENT, "notice"),
        (S.NEW, E.TELLS, S.UNCONFIRMED, "notice"),
        (S.SENT, E.NOTICED, S.DELIVERED, ""),
        (S.SENT, E.TURNED_DOWN, S.FAILED, ""),
        (S.SENT, E.LATE_AGAIN, S.SENT, "same bytes again"),
        (S.SENT, E.LATE, S.FAILED, ""),
        (S.SENT, E.DISCONNECTED, S.FORGOTTEN, ""),
    ),
    *_rows(
        Machine.SERVED,
        (S.RECEIVED, E.NOT_TAKEN, S.REFUSED, "9011 with its code"),
        (S.RECEIVED, E.WRONG_FIELDS, S.FINISHED, "9011 code 1, 9012 code 3"),
        (S.RECEIVED, E.FULL, S.BUSY, "9011 code 1, 9012 code 5"),
        (S.RECEIVED, E.TAKES, S.EXECUTING, "9011 code 1, or 9013 to a notice"),
        (S.EXECUTING, E.DATA, S.EXECUTING, "data"),
        (S.EXECUTING, E.RESULT, S.FINISHED, "9012, none to a notice"),
        (S.EXECUTING, E.IS_BUSY, S.BUSY, "9012 code 5"),
        (S.EXECUTING, E.REPEATED, S.EXECUTING, "what was answered so far"),
        (S.FINISHED, E.REPEATED, S.FINISHED, "the same answers"),
        (S.BUSY, E.REPEATED, S.BUSY, "the same answers"),
    ),
    *_rows(
        Machine.ASKED,
        (S.NEW, E.ASKS, S.ASKED, "request"),
        (S.ASKED, E.READY, S.EXECUTING, ""),
        (S.ASKED, E.TURNED_DOWN, S.REFUSED, ""),
        # Data or a 9012 may overtake a 9011 that is lost.
        (S.ASKED, E.DATA, S.EXECUTING, ""),
        (S.ASKED, E.SUCCESS, S.DONE, ""),
        (S.ASKED, E.FAILURE, S.FAILED, ""),
        (S.ASKED, E.NOTICED, S.DONE, ""),
        (S.ASKED, E.LATE_AGAIN, S.ASKED, "same bytes again"),
        (S.ASKED, E.LATE, S.UNANSWERED, ""),
        (S.ASKED, E.DISCONNECTED, S.LOST, ""),
        (S.EXECUTING, E.READY, S.EXECUTING, ""),
        (S.EXECUTING, E.DATA, S.EXECUTING, ""),
        (S.EXECUTING, E.PROGRESS, S.EXECUTING, ""),
        (S.EXECUTING, E.SUCCESS, S.DONE, ""),
        (S.EXECUTING, E.FAILURE, S.FAILED, ""),
        # While the station executes nothing is sent again: the command has failed (HJ 212-2017 6.2).
        (S.EXECUTING, E.LATE, S.FAILED, ""),
        (S.EXECUTING, E.DISCONNECTED, S.LOST, ""),
    ),
)  # fmt: skip

_NEXT: Final = {(row.machine, row.state, row.event): row.next for row in TABLE}


def after(machine: Machine, state: State, event: Event) -> State | None:
    """The next state, None where the table has no such row."""
    return _NEXT.get((machine, state, event))


def ends(machine: Machine) -> frozenset[State]:
    """States of a machine from which no other state is reached."""
    rows = [row for row in TABLE if row.machine is machine]
    return frozenset(row.next for row in rows) - {row.state for row in rows if row.next is not row.state}


def mermaid() -> dict[Machine, str]:
    """A state diagram of each machine in the language of Mermaid."""
    return {machine: _diagram([row for row in TABLE if row.machine is machine], ends(machine)) for machine in Machine}


def _diagram(rows: list[Transition], last: frozenset[State]) -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {rows[0].state}"]
    for row in rows:
        does = f" / {row.does}" if row.does else ""
        lines.append(f"    {row.state} --> {row.next}: {row.event}{does}")
    return "\n".join([*lines, *(f"    {state} --> [*]" for state in sorted(last))])
