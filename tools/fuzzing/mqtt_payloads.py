"""What comes from a broker: payloads of records at the centre, acknowledgements and other messages at both ends.

What must hold: the answer is a payload, a message or a refusal, never an exception; a payload's bodies are the bytes
that came, ascending, of one epoch and kind; a message written again says the same; after any acknowledgement a window
gives gaps in order and has no more batches than it may, and what it holds as done was sent.
"""

import json
import random
from itertools import pairwise
from typing import Any, Final

import records_bodies
from json_tree import damaged, spoiled
from must import need

from protocols import record
from protocols.mqtt.coverage import Coverage
from protocols.mqtt.messages import (
    Ack,
    Birth,
    BirthSeries,
    Challenge,
    Challenged,
    Message,
    State,
    Witnessed,
    build_message,
    parse_message,
)
from protocols.mqtt.payload import RECORDS_MAX, SEQ_MAX, Payload, Refusal, build_payload, parse_envelope, parse_payload
from protocols.mqtt.topics import Topic, parse_topic
from protocols.mqtt.window import BATCHES_MAX, Batch, SendWindow

KINDS: Final = sorted(record.KINDS)
MODELS: Final[tuple[type[Message], ...]] = (Ack, State, Birth, Witnessed, Challenge, Challenged)
PREFIX: Final = b"plumeline/v1/net/tower-01/up/"
WORDS: Final = (
    b'"epoch":1',
    b'"prev":-1',
    b"\n{",
    b'"missing":[[',
    b'"upto":',
    b"tower-01",
    b"\\ud800",
    b"\n\n",
    b"}\n",
)


def _payload(topic: Topic, data: bytes) -> None:
    found, head = parse_payload(topic, data), parse_envelope(data)
    if isinstance(found, Refusal):
        need(0 < len(found.reason) < 2000, "a refusal without a reason")
        return
    need(isinstance(found, Payload) and 1 <= len(found.rows) <= RECORDS_MAX, "a payload of no records")
    need((found.station_id, found.kind) == (topic.station_id, topic.leaf), "records of another station or kind")
    need(data.split(b"\n")[1:] == [row.body for row in found.rows], "other bytes than came")
    need(all(a < b for a, b in pairwise([found.prev, *(row.seq for row in found.rows)])), "numbers that do not ascend")
    need(found.last <= SEQ_MAX, "a number beyond all")
    need(head is not None and (head.epoch, head.prev) == (found.epoch, found.prev), "another envelope read alone")
    for row in found.rows:
        json.dumps(row.fields, ensure_ascii=False).encode("utf-8")
    again = parse_payload(topic, build_payload(found.station_id, found.epoch, found.prev, [r.body for r in found.rows]))
    need(again == found, "another payload when it is built again")


def _window(acks: list[Ack]) -> None:
    window = SendWindow(Coverage(), 400)
    now = 0.0
    for number, ack in enumerate(acks):
        window.sent(Batch(number * 20 - 1, number * 20 + 19, 20), now)
        window.acknowledge(ack, now)
        now += 3.0
        window.expire(now)
        gaps = list(window.gaps())
        need(all(prev < last for prev, last in gaps), "a gap that is none")
        need(all(a[1] <= b[0] for a, b in pairwise(gaps)), "gaps that overlap")
        need(window.unacknowledged <= BATCHES_MAX and window.refused >= 0, "more on the way than may be")


def _stored(epoch: int, spans: list[tuple[int, int]]) -> None:
    """A centre that has stored these, in another order, acknowledges these."""
    covered = Coverage()
    for first, last in [*spans[::2], *spans[1::2]]:
        covered = covered.add(first - 1, last)
    need(covered == Coverage.of(spans) == covered.common(Coverage.of(spans)), "other spans than were added")
    need(all(covered.covers(first - 1, last) for first, last in spans), "a span that is not covered")
    need(list(Ack.of(epoch, covered).stored()) == spans, "another acknowledgement of what is stored")


def _message(model: type[Message], data: bytes) -> Message | None:
    found = parse_message(model, data)
    if isinstance(found, Refusal):
        need(0 < len(found.reason) < 2000, "a refusal without a reason")
        return None
    again = parse_message(model, build_message(found))
    need(again == found or build_message(found) == build_message(again), "another message when it is written again")
    if isinstance(found, Ack):
        spans = list(found.stored())
        need(all(a[1] < b[0] for a, b in pairwise(spans)), "spans that overlap")
        need(found.through < 0 or spans[0][1] >= found.through, "what is stored ends before through")
        need(all(first <= last <= found.highest for first, last in spans), "more stored than acknowledged")
        _stored(found.epoch, spans)
    if isinstance(found, Birth):
        need(len(build_message(found.fitted())) <= found.bytes_max, "a birth larger than may be")
    return found


def one_input(data: bytes) -> None:
    """The target: one input of the fuzzer. The first byte says what the rest is."""
    if len(data) < 2:
        return
    which, rest = data[0] % (len(KINDS) + len(MODELS) + 2), data[1:]
    if which < len(KINDS):
        _payload(Topic("net", "tower-01", "up", KINDS[which]), rest)
    elif which < len(KINDS) + len(MODELS):
        _message(MODELS[which - len(KINDS)], rest)
    elif which == len(KINDS) + len(MODELS):
        acks = [_message(Ack, line) for line in rest.split(b"\n")[:20]]
        _window([one for one in acks if isinstance(one, Ack)])
    else:
        text = rest.decode("utf-8", "replace")
        topic = parse_topic(text)
        need(topic is None or str(topic) == text, "another topic")


def seeds() -> list[bytes]:
    """The first inputs of this target."""
    found = []
    for number, kind in enumerate(KINDS):
        bodies = [records_bodies.body(kind, seq=seq) for seq in (4, 7, 9)]
        found += [bytes([number]) + build_payload("tower-01", 1, 3, bodies[:count]) for count in (1, 3)]
    series = {"crds.co2": BirthSeries(unit="umol/mol", kind="research")}
    birth = Birth(
        station_id="tower-01", network="net", t=records_bodies.T, epoch=1, name_zh="塔", name_en="Tower", latitude=31.0,
        longitude=121.0, height_m=30.0, simulated=False, vkey="plumeline/tower-01+00000000+AAAA", series=series,
    )  # fmt: skip
    messages: list[Message] = [
        Ack(epoch=1, through=19, missing=((40, 59), (80, 99)), upto=199), State(station_id="a", online=True, t="x"),
        birth, Witnessed(epoch=1, size=7, line="— w AAAA\n"), Challenge(epoch=1, seq=7),
        Challenged(station_id="a", epoch=1, seq=7, body="e30="),
    ]  # fmt: skip
    found += [bytes([len(KINDS) + number]) + build_message(one) for number, one in enumerate(messages)]
    acks = [Ack(epoch=1, through=through, missing=((through + 2, through + 5),)) for through in (-1, 19, 39)]
    found.append(bytes([len(KINDS) + len(MODELS)]) + b"\n".join(build_message(one) for one in acks))
    return [*found, bytes([len(KINDS) + len(MODELS) + 1]) + PREFIX + b"scan"]


def inside(data: bytes, room: int, seed: int, mutate: Any) -> bytes:
    """Damage one line's members; envelope and bodies stay JSON, numbers ascend again where a die says so."""
    rng = random.Random(seed)
    lines = data[1:].split(b"\n")[:40]
    at = rng.randrange(len(lines))
    try:
        made = damaged(json.loads(lines[at]), rng)
        lines[at] = spoiled(json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"), rng)
    except (ValueError, RecursionError):
        lines[at] = mutate(lines[at], max(1, room // 2))
    kind = data[0] % (len(KINDS) + len(MODELS) + 2) if data else 0
    if kind < len(KINDS) and rng.randrange(4):
        lines[0] = build_payload("tower-01", 1, rng.choice((-1, 3)), []).rstrip(b"\n")
        for number, line in enumerate(lines[1:], 4):
            try:
                fields = json.loads(line)
                fields |= {"v": 1, "epoch": 1, "kind": KINDS[kind], "seq": number - rng.choice((0, 0, 0, 1))}
                lines[number - 3] = spoiled(record.encode(fields), rng)
            except (ValueError, RecursionError, TypeError, AttributeError):
                lines[number - 3] = records_bodies.body(KINDS[kind], seq=number)
    return (bytes([kind]) + b"\n".join(lines))[:room]
