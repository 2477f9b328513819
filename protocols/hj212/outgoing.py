"""What a station sent and waits to see answered: uploads by 9014 part after part, notices by 9013."""

from collections import deque
from dataclasses import dataclass

from protocols.hj212.message import Message
from protocols.hj212.session import Delivered, Failed, Key, Output, Retry, Send, Timing
from protocols.hj212.transitions import Event, Machine, State, after


@dataclass(slots=True)
class _Sent:
    machine: Machine
    key: Key
    mn: str
    parts: deque[tuple[str, bytes]]
    acknowledged_before: int
    retry: Retry
    state: State = State.NEW


class Outgoing:
    """Messages under way on one link, by the QN of the part that waits for its answer."""

    def __init__(self) -> None:
        self._sent: dict[str, _Sent] = {}
        self._acknowledged = 0

    @property
    def deadline(self) -> float | None:
        """When the first answer is late."""
        return min((sent.retry.deadline for sent in self._sent.values()), default=None)

    def count(self, machine: Machine) -> int:
        """How many of one kind are under way."""
        return sum(sent.machine is machine for sent in self._sent.values())

    def disconnected(self) -> None:
        """The link is gone: what was under way is forgotten, its owner submits it again."""
        for sent in self._sent.values():
            self._step(sent, Event.DISCONNECTED)
        self._sent.clear()

    def start(
        self, machine: Machine, key: Key, mn: str, parts: list[tuple[str, bytes]], now: float, wait: Timing | None
    ) -> list[Output]:
        """Send a message; `wait` is None where no answer is wanted."""
        sent = _Sent(machine, key, mn, deque(parts), self._acknowledged, Retry(b"", now))
        if self._step(sent, Event.TELLS if wait is None else Event.ASKS) is State.UNCONFIRMED or wait is None:
            return [*(Send(data) for _, data in parts), Delivered(key, confirmed=False)]
        return self._send_part(sent, now, wait)

    def _step(self, sent: _Sent, event: Event) -> State | None:
        state = after(sent.machine, sent.state, event)
        if state is not None:
            sent.state = state
        return state

    def _send_part(self, sent: _Sent, now: float, timing: Timing) -> list[Output]:
        qn, data = sent.parts[0]
        sent.retry = Retry(data, now + timing.overtime_s)
        self._sent[qn] = sent
        return [Send(data)]

    def tick(self, now: float, timing: Timing) -> list[Output]:
        """Send again what is late; give up what was sent often enough."""
        if all(not sent.retry.due(now) for sent in self._sent.values()):
            return []
        outputs: list[Output] = []
        for qn, sent in list(self._sent.items()):
            if not sent.retry.due(now):
                continue
            again = sent.retry.again(now, timing)
            self._step(sent, Event.LATE_AGAIN if again else Event.LATE)
            outputs.append(again or self._fail(qn, "no answer"))
        return outputs

    def take(self, message: Message, now: float, timing: Timing) -> list[Output] | None:
        """What a reply does, None where it answers nothing that is under way."""
        sent = self._sent.get(message.qn)
        if sent is None or message.mn != sent.mn:
            return None
        event = _event(sent, message)
        state = None if event is None else self._step(sent, event)
        if state is None:
            return None
        if state is State.FAILED:
            return [self._fail(message.qn, f"refused with QnRtn {message.value('QnRtn')}")]
        sent.parts.popleft()
        del self._sent[message.qn]
        self._acknowledged += 1
        if state is State.DELIVERED:
            return [Delivered(sent.key, confirmed=True)]
        # That one part of an upload was acknowledged is no proof that the platform answers other uploads.
        sent.acknowledged_before += 1
        return self._send_part(sent, now, timing)

    def _fail(self, qn: str, reason: str) -> Failed:
        sent = self._sent.pop(qn)
        return Failed(sent.key, self._acknowledged > sent.acknowledged_before, reason)


def _event(sent: _Sent, message: Message) -> Event | None:
    """What a reply says."""
    match message.cn:
        case "9014":
            return Event.PART_TAKEN if len(sent.parts) > 1 else Event.TAKEN
        case "9013":
            return Event.NOTICED
        case "9011" if message.value("QnRtn") != "1":
            return Event.TURNED_DOWN
    return None
