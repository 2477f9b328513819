"""MQTT topics, payloads and messages: what is built is read back; rubbish is a refusal, never an exception."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.mqtt.coverage import Coverage
from protocols.mqtt.messages import (
    BIRTH_BYTES_MAX,
    MISSING_MAX,
    Ack,
    Birth,
    BirthSeries,
    State,
    build_message,
    parse_message,
)
from protocols.mqtt.payload import (
    PAYLOAD_BYTES_MAX,
    RECORDS_MAX,
    Payload,
    Refusal,
    build_payload,
    parse_payload,
    runs,
)
from protocols.mqtt.topics import LEAVES, Topic, parse_topic
from protocols.record import BODY_BYTES_MAX, KINDS, encode

SCAN = Topic("demo", "tower-01", "up", "scan")


def body(seq: int, *, kind: str = "scan", epoch: int = 1, **more: object) -> bytes:
    return encode({"v": 1, "epoch": epoch, "seq": seq, "kind": kind, "t": "2026-01-01T00:00:00.000Z", **more})


@pytest.mark.parametrize("text", ["C:\\Udo\\clock.jpg", "\\ud800", "\\\\uDfff", "😀", '\\"\\ud'])
def test_a_text_with_backslashes_is_a_text(text: str) -> None:
    payload = build_payload("tower-01", 1, 4, [body(5, kind="event", what="seen", reason=text)])
    found = parse_payload(Topic("demo", "tower-01", "up", "event"), payload)
    assert isinstance(found, Payload), found
    assert found.rows[0].fields["reason"] == text


names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,39}", fullmatch=True)


@given(
    names, names, st.sampled_from([("up", leaf) for leaf in LEAVES["up"]] + [("down", leaf) for leaf in LEAVES["down"]])
)
def test_topics_are_read_back(network: str, station: str, way: tuple[str, str]) -> None:
    topic = Topic(network, station, way[0], way[1])  # type: ignore[arg-type]
    assert parse_topic(str(topic)) == topic


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plumeline/v1/demo/tower-01/up/",
        "plumeline/v1/demo//up/scan",
        "plumeline/v1/demo/+/up/scan",
        "plumeline/v1/demo/tower-01/up/#",
        "plumeline/v2/demo/tower-01/up/scan",
        "plumeline/v1/demo/tower-01/down/scan",
        "plumeline/v1/demo/tower-01/up/ack",
        "plumeline/v1/Demo/tower-01/up/scan",
        "plumeline/v1/demo/tower-01/up/scan/more",
        "plumeline/v1/demo/tower-01/up/scan\n",
        "$plumeline/v1/demo/tower-01/up/scan",
        "plumeline/v1/demo/" + "x" * 41 + "/up/scan",
    ],
)
def test_other_topics_are_none_of_ours(text: str) -> None:
    assert parse_topic(text) is None


def test_an_impossible_topic_cannot_be_built() -> None:
    for station, leaf in [("tower/01", "scan"), ("tower-01", "ack"), ("#", "scan")]:
        with pytest.raises(ValueError, match="no topic"):
            Topic("demo", station, "up", leaf)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(st.integers(1, 50), texts), min_size=1, max_size=20), st.integers(-1, 2**40))
def test_bodies_arrive_byte_for_byte(steps: list[tuple[int, str]], prev: int) -> None:
    bodies, seq = [], prev
    for step, text in steps:
        seq += step
        bodies.append(body(seq, note=text))
    found = parse_payload(SCAN, build_payload("tower-01", 1, prev, bodies))
    assert isinstance(found, Payload)
    assert [row.body for row in found.rows] == bodies
    assert (found.station_id, found.epoch, found.prev, found.last, found.kind) == ("tower-01", 1, prev, seq, "scan")
    assert found.rows[0].fields["note"] == steps[0][1]


def test_the_largest_body_the_log_takes_fits_a_payload() -> None:
    large = body(7, note="")
    large = body(7, note="x" * (BODY_BYTES_MAX - len(large)))
    assert len(large) == BODY_BYTES_MAX
    assert isinstance(parse_payload(SCAN, build_payload("tower-01", 1, 2**53 - 1, [large])), Refusal)
    assert isinstance(parse_payload(SCAN, build_payload("tower-01", 1, -1, [large])), Payload)


ENVELOPE = b'{"v":1,"station_id":"tower-01","epoch":1,"prev":4}\n'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        ENVELOPE,
        ENVELOPE[:-1],
        ENVELOPE + body(4),
        ENVELOPE + body(5) + b"\n",
        ENVELOPE + body(5) + b"\n" + body(5),
        ENVELOPE + body(6) + b"\n" + body(5),
        ENVELOPE + body(5, epoch=2),
        ENVELOPE + body(5, kind="event"),
        ENVELOPE + body(5).replace(b'"seq":5', b'"seq":9007199254740993'),
        ENVELOPE + b"\xff\xfe",
        ENVELOPE + b"[" * 100_000,
        ENVELOPE + b"1" * 5000,
        ENVELOPE + body(5).replace(b'"seq":5', b'"seq":5,"seq":6'),
        ENVELOPE + body(5).replace(b'"seq":5', b'"seq":' + b"9" * 5000),
        ENVELOPE + body(5, note="").replace(b'"note":""', b'"note":"\\ud800"'),
        ENVELOPE + body(5, note=1).replace(b'"note":1', b'"note":NaN'),
        ENVELOPE.replace(b"tower-01", b"tower-02") + body(5),
        ENVELOPE.replace(b'"v":1', b'"v":2') + body(5),
        ENVELOPE.replace(b'"prev":4', b'"prev":"4"') + body(5),
        ENVELOPE.replace(b'"prev":4', b'"prev":-2') + body(5),
        ENVELOPE.replace(b'"prev":4', b'"prev":4.0') + body(5),
        ENVELOPE.replace(b',"prev":4', b"") + body(5),
        ENVELOPE.replace(b"\n", b" " * 2000 + b"\n") + body(5),
        ENVELOPE + b"\n".join(body(i) for i in range(5, RECORDS_MAX + 6)),
        ENVELOPE + b"x" * PAYLOAD_BYTES_MAX,
    ],
)
def test_a_bad_payload_is_a_refusal_with_a_reason(data: bytes) -> None:
    found = parse_payload(SCAN, data)
    assert isinstance(found, Refusal)
    assert found.reason


def test_members_of_a_later_version_are_tolerated() -> None:
    found = parse_payload(SCAN, ENVELOPE.replace(b"}", b',"later":[1]}') + body(5, later=True))
    assert isinstance(found, Payload)


@given(st.binary(max_size=400) | st.binary(max_size=200).map(lambda tail: ENVELOPE + tail))
def test_any_bytes_are_a_payload_or_a_refusal(data: bytes) -> None:
    assert isinstance(parse_payload(SCAN, data), Refusal)
    for model in (Ack, State, Birth):
        assert isinstance(parse_message(model, data), Refusal)


@given(
    st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.binary(max_size=60)), max_size=40),
    st.integers(1, 10),
    st.integers(1, 200),
)
def test_runs_cut_by_kind_count_and_size(records: list[tuple[str, bytes]], count_max: int, bytes_max: int) -> None:
    counts = list(runs(records, count_max, bytes_max))
    assert sum(counts) == len(records)
    at = 0
    for count in counts:
        part = records[at : at + count]
        assert 1 <= count <= count_max
        assert len({kind for kind, _ in part}) == 1
        assert count == 1 or sum(len(one) + 1 for _, one in part) <= bytes_max
        at += count


spans = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 9)).map(lambda s: (s[0], s[0] + s[1])), max_size=300)


@given(spans)
def test_an_acknowledgement_says_exactly_what_is_stored_as_far_as_it_knows(stored: list[tuple[int, int]]) -> None:
    coverage = Coverage.of(stored)
    ack = parse_message(Ack, build_message(Ack.of(3, coverage)))
    assert isinstance(ack, Ack)
    assert ack.through == coverage.through
    assert len(ack.missing) <= MISSING_MAX
    said = {seq for first, last in ack.stored() for seq in range(first, last + 1)}
    truth = {seq for first, last in coverage.spans for seq in range(first, last + 1)}
    assert said == {seq for seq in truth if seq <= ack.highest}
    if len(list(coverage.holes(coverage.highest))) <= MISSING_MAX:
        assert said == truth


def test_an_acknowledgement_without_upto_claims_nothing_behind_its_last_hole() -> None:
    ack = parse_message(Ack, b'{"v":1,"epoch":3,"through":4,"missing":[[5,6],[9,9]]}')
    assert isinstance(ack, Ack)
    assert list(ack.stored()) == [(0, 4), (7, 8)]
    empty = parse_message(Ack, b'{"v":1,"epoch":3,"through":-1}')
    assert isinstance(empty, Ack)
    assert list(empty.stored()) == []


@pytest.mark.parametrize(
    "data",
    [
        '{"v":1,"epoch":3,"through":4,"missing":[[4,6]]}',
        '{"v":1,"epoch":3,"through":4,"missing":[[8,9],[6,7]]}',
        '{"v":1,"epoch":3,"through":4,"missing":[[7,6]]}',
        '{"v":1,"epoch":3,"through":4,"missing":[[6]]}',
        '{"v":1,"epoch":3,"through":4,"upto":3}',
        '{"v":1,"epoch":3,"through":-2}',
        '{"v":1,"epoch":true,"through":1}',
        '{"v":2,"epoch":3,"through":1}',
        '{"epoch":3}',
        "[]",
        "null",
        json.dumps({"v": 1, "epoch": 3, "through": 0, "missing": [[2 * i, 2 * i] for i in range(1, 200)]}),
        '{"v":1,"epoch":3,"through":4,"x":"' + "x" * 70_000 + '"}',
    ],
)
def test_a_wrong_acknowledgement_is_refused(data: str) -> None:
    assert isinstance(parse_message(Ack, data.encode()), Refusal)


BIRTH = Birth(
    station_id="tower-01",
    network="demo",
    t="2026-01-01T00:00:00.000Z",
    epoch=2,
    name_zh="塔",
    name_en="Tower",
    latitude=30.5,
    longitude=120.0,
    height_m=10.0,
    simulated=True,
    vkey="plumeline/tower-01+00000000+AAAA",
    series={"picarro.co2": BirthSeries(unit="umol/mol", kind="research")},
)


def test_state_and_birth_are_read_back() -> None:
    state = State(station_id="tower-01", online=True, t="2026-01-01T00:00:00.000Z")
    assert parse_message(State, build_message(state)) == state
    assert parse_message(Birth, build_message(BIRTH)) == BIRTH


@pytest.mark.parametrize("place", ['"latitude":1e400', '"latitude":91', '"longitude":-180.5', '"height_m":-1e999'])
def test_a_birth_at_no_place_is_refused(place: str) -> None:
    name, _, value = place.partition(":")
    text = build_message(BIRTH).decode()
    wrong = parse_message(Birth, re.sub(f"{name}:[0-9.]+", f"{name}:{value}", text).encode())
    assert isinstance(wrong, Refusal)
    assert wrong.reason.startswith(name.strip('"'))


@pytest.mark.parametrize(("count", "left"), [(1200, False), (10_000, False), (15_000, True)])
def test_a_birth_of_many_series_is_bounded_and_says_what_it_leaves_out(count: int, left: bool) -> None:
    spec = BirthSeries(unit="umol/mol", kind="regulated")
    birth = Birth(
        station_id="tower-01", network="demo", t="2026-01-01T00:00:00.000Z", epoch=2, name_zh="塔", name_en="Tower",
        latitude=30.5, longitude=120.0, height_m=10.0, simulated=True, vkey="plumeline/tower-01+00000000+AAAA",
        series={f"analyzer-{number:05d}.co2_dry": spec for number in range(count)},
    )  # fmt: skip
    data = build_message(birth.fitted())
    assert 64 * 1024 < len(data) <= BIRTH_BYTES_MAX
    found = parse_message(Birth, data)
    assert isinstance(found, Birth)
    assert len(found.series) + (found.series_left_out or 0) == count
    assert bool(found.series_left_out) == left
    if left:
        assert len(data) > BIRTH_BYTES_MAX - 200
    assert isinstance(parse_message(Birth, data + b" " * BIRTH_BYTES_MAX), Refusal)


def test_an_impossible_message_cannot_be_built() -> None:
    with pytest.raises(ValidationError):
        Ack(epoch=-1, through=0)
    with pytest.raises(ValidationError):
        build_payload("Tower 01", 1, -1, [])
