"""What arrives at the broker, in a centre's place: every record of every unit is accounted for, and acknowledged.

Register 0 of a unit counts its reads and register 1 says when each was answered, so the accounts need no word of the
agent's: a read that the simulator answered and that never came is lost, one that came twice is a repeat.
"""

import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
from gateway_driver import MEASURANDS, SCALE

from central.ingest_mqtt import ACK_S
from metrology.periods import parse_iso
from protocols.mqtt.coverage import Coverage
from protocols.mqtt.messages import Ack, build_message
from protocols.mqtt.topics import UP_FILTER

TICK_MS = 4
WRAP = 65536


def unwrapped(low: int, near: int) -> int:
    """The whole number whose low 16 bits are `low` that lies nearest to `near`."""
    return near + ((low - near + WRAP // 2) % WRAP) - WRAP // 2


def spread(values: list[float]) -> dict[str, float | None]:
    """Median, 95th and 99th percentile, greatest."""
    found = sorted(values)
    if not found:
        return {"p50": None, "p95": None, "p99": None, "max": None}
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {name: round(found[min(len(found) - 1, int(part * len(found)))], 1) for name, part in at.items()} | {
        "max": round(found[-1], 1)
    }


@dataclass
class Window:
    """What came between two marks. Ages in ms: by the record's own stamp, and by the moment the unit answered."""

    began: float
    messages: int = 0
    points: int = 0
    repeats: int = 0
    wrong: int = 0
    ages: list[float] = field(default_factory=list)
    true_ages: list[float] = field(default_factory=list)
    rows: list[tuple[float, float]] = field(default_factory=list)
    per_unit: dict[int, int] = field(default_factory=lambda: defaultdict(int))


class Meter:
    """Subscriber of one station. What it has taken it acknowledges as often as a centre does."""

    def __init__(self, port: int) -> None:
        self._lock = threading.Lock()
        self._got: dict[int, set[int]] = defaultdict(set)
        self._top: dict[int, int] = defaultdict(int)
        self._coverage: dict[int, Coverage] = defaultdict(Coverage)
        self._unsaid: set[int] = set()
        self._down = ""
        self.window = Window(time.time())
        self.first_at: float | None = None
        self._ended = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "bench-meter", protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe(UP_FILTER, 1)
        self._client.on_message = lambda _client, _data, message: self._take(message.topic, message.payload)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._speaker = threading.Thread(target=self._acknowledge, daemon=True)
        self._speaker.start()

    def close(self) -> None:
        """End."""
        self._ended.set()
        self._speaker.join()
        self._client.disconnect()
        self._client.loop_stop()

    def begin(self) -> None:
        """Forget what came so far, but not which reads."""
        with self._lock:
            self.window = Window(time.time())

    def _acknowledge(self) -> None:
        while not self._ended.wait(ACK_S):
            with self._lock:
                acks = [Ack.of(epoch, self._coverage[epoch]) for epoch in self._unsaid]
                self._unsaid.clear()
            for ack in acks:
                self._client.publish(self._down, build_message(ack), qos=1)

    def _take(self, topic: str, payload: bytes) -> None:
        now = time.time()
        kind = topic.rpartition("/")[2]
        if kind in ("state", "birth"):
            return
        envelope, *bodies = (json.loads(line) for line in payload.split(b"\n"))
        with self._lock:
            self._down = topic.removesuffix(f"up/{kind}") + "down/ack"
            epoch = envelope["epoch"]
            self._coverage[epoch] = self._coverage[epoch].add(envelope["prev"], bodies[-1]["seq"])
            self._unsaid.add(epoch)
            if kind == "scan":
                self.window.messages += 1
                for body in bodies:
                    self._scan(now, body)

    def _scan(self, now: float, body: dict[str, Any]) -> None:
        found = [body["values"][name]["x"] for name in MEASURANDS]
        if None in found:
            return
        values = [round(value / SCALE) for value in found]
        self.first_at = self.first_at or now
        unit = int(body["instrument"].removeprefix("dev"))
        number = unwrapped(values[0], self._top[unit])
        self._top[unit] = max(self._top[unit], number)
        window = self.window
        window.repeats += number in self._got[unit]
        self._got[unit].add(number)
        window.points += len(values)
        window.per_unit[unit] += len(values)
        window.wrong += any(value != (unit * 100 + 2 + i) % WRAP for i, value in enumerate(values[2:]))
        stamp = parse_iso(body["at"]).timestamp()
        answered = unwrapped(values[1], int(stamp * 1000 / TICK_MS)) * TICK_MS / 1000
        window.ages.append((now - stamp) * 1000)
        window.true_ages.append((now - answered) * 1000)
        window.rows.append((now, answered))

    def missing(self, before: list[int], after: list[int]) -> list[tuple[int, int]]:
        """Reads (unit, number) in (before, after] of each unit's counter that never came."""
        with self._lock:
            return [
                (unit, number)
                for unit, (first, last) in enumerate(zip(before, after, strict=True), 1)
                for number in range(first + 1, last + 1)
                if number not in self._got[unit]
            ]

    def settled(self, before: list[int], after: list[int], wait_s: float) -> list[tuple[int, int]]:
        """What is still missing when nothing has come for so long, or nothing is missing."""
        fewest, since = None, time.monotonic()
        while missing := self.missing(before, after):
            if fewest is None or len(missing) < fewest:
                fewest, since = len(missing), time.monotonic()
            if time.monotonic() - since > wait_s:
                break
            time.sleep(0.2)
        return missing

    def result(self, healthy: list[int], registers: int) -> dict[str, Any]:
        """Figures of the window; `healthy` are the units that answer."""
        with self._lock:
            window, seconds = self.window, time.time() - self.window.began
            return {
                "seconds": round(seconds, 1),
                "points_per_s": round(window.points / seconds, 1),
                "messages_per_s": round(window.messages / seconds, 1),
                "healthy_share": round(100 * window.points / (seconds * len(healthy) * registers), 1),
                "worst_unit_share": round(
                    100 * min(window.per_unit[unit] for unit in healthy) / (seconds * registers), 1
                ),
                "age_ms": spread(window.ages),
                "true_age_ms": spread(window.true_ages),
                "repeats": window.repeats,
                "wrong_values": window.wrong,
            }

    def drain(self, opened: float) -> dict[str, Any]:
        """After a cut that ended at `opened`: seconds to the first record and to the end of the backlog, live ages."""
        with self._lock:
            rows = list(self.window.rows)
        late = [arrived for arrived, answered in rows if answered < opened <= arrived]
        first = min((arrived for arrived, _ in rows if arrived >= opened), default=None)
        end = max(late, default=opened)
        # Live is what was read once the connection stood again; before that there is nobody to tell.
        back = first or opened
        live = [1000 * (arrived - answered) for arrived, answered in rows if answered >= back and arrived <= end + 1]
        return {
            "reconnect_s": round(first - opened, 1) if first else None,
            "backlog": len(late),
            "drained_s": round(end - opened, 1),
            "live_age_ms": spread(live),
        }
