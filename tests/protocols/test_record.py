"""Record bodies: canonical, the same after a round trip, and strict towards what is none."""

import json
from datetime import UTC, datetime

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average, Reading, Scan, Uncertainty
from protocols.record import (
    RecordError,
    averages_fields,
    averages_of,
    decode,
    encode,
    scan_fields,
    scan_of,
)

AT = datetime(2026, 1, 1, 0, 0, 1, 250000, tzinfo=UTC)
HEAD = {"v": 1, "epoch": 1, "seq": 0, "kind": "scan", "t": "2026-01-01T00:00:00.000Z"}


def test_a_body_is_canonical_json() -> None:
    # RFC 8785, section 3.2.2: members sorted, numbers as ECMAScript writes them.
    assert encode({"b": 1.0, "a": 1e21, "c": [0.1, -0.0], "ü": "€"}) == '{"a":1e+21,"b":1,"c":[0.1,0],"ü":"€"}'.encode()


def test_a_scan_comes_back_as_it_went() -> None:
    mark = Mark(Cause.FLUSH, "settling after port 3", AT)
    readings = (
        Reading("crds", "co2", 412.25, "umol/mol", AT, Quality.of(mark)),
        Reading("crds", "ch4", None, "umol/mol", AT),
    )
    scan = Scan("crds", AT, readings, {"species": 1.0, "port": "3"})
    fields = decode(encode({**HEAD, **scan_fields(scan)}))
    found = scan_of(fields)
    assert (found.instrument, found.at, found.status) == ("crds", AT, scan.status)
    # Canonical form sorts members, so the readings come sorted by measurand.
    assert set(found.readings) == set(readings)


def test_averages_come_back_as_they_went() -> None:
    average = Average(
        series="crds.co2", unit="umol/mol", start=AT.replace(second=0, microsecond=0), period_s=60, n=12,
        valid_fraction=0.2, mean=412.1, minimum=411.0, maximum=413.0, sd=0.5, rule="ghg", calibrations=("run-1",),
        uncertainty=Uncertainty(0.1, 0.02, 0.03), revision=1, final=False,
    )  # fmt: skip
    fields = decode(encode({**HEAD, "kind": "average", **averages_fields([average])}))
    assert averages_of(fields) == [average]


def test_averages_of_whole_numbers_go_and_come_again_and_again() -> None:
    average = Average("i.co2", "umol/mol", AT, 60, 60, 1.0, 420.0, 400, 440.0, 0.0, "ghg")
    fields = averages_fields([average])
    again = averages_fields(averages_of(decode(encode({**HEAD, **fields}))))
    assert encode(again) == encode(fields)
    assert b'"mean":420,' in encode(fields)


def test_not_a_number_is_no_value() -> None:
    scan = Scan("a", AT, (Reading("a", "co2", float("nan"), "umol/mol", AT),))
    assert scan_fields(scan)["values"]["co2"]["x"] is None
    with pytest.raises(RecordError):
        encode({"x": float("inf")})


@pytest.mark.parametrize("body", [
    b"", b"[]", b"\xff", b"{}", b"[" * 100_000, b'{"v":2}', b'{"v":1,"kind":"scan","epoch":1,"seq":-1}',
    b'{"v":1,"kind":"scan","epoch":true,"seq":1}', b'{"v":1,"kind":"other","epoch":1,"seq":1}',
    b'{"v":1,"kind":"scan","epoch":1,"seq":1,"seq":2}', b'{"v":1,"kind":"scan","epoch":1,"seq":1,"x":NaN}',
    json.dumps({**HEAD, "x": "y" * 300_000}).encode(),
])  # fmt: skip
def test_what_is_no_body_is_refused(body: bytes) -> None:
    with pytest.raises(RecordError):
        decode(body)


# Whole numbers beyond 2^53 are outside what RFC 8785 promises to keep (section 3.2.2.3).
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2.0**52), 2.0**52)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text().filter(lambda key: key not in HEAD), json_values, max_size=6))
def test_encoding_is_stable(members: dict[str, object]) -> None:
    try:
        body = encode({**HEAD, **members})
    except RecordError:
        return  # a lone surrogate has no UTF-8 form
    assert encode(decode(body)) == body


NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
EDGES = st.sampled_from([0.0, -0.0, 1e-4, 9.999e-5, 1e-6, 1e-7, 5.0, 0.1, 1e16, 1e21, 1e22, -12345.678, True, None])
TREES = st.recursive(
    NUMBERS | EDGES | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(st.dictionaries(st.text(), TREES))
def test_the_quick_form_is_the_canonical_one(members: dict[str, object]) -> None:
    assert encode(members) == rfc8785.dumps(members)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 2**53 + 1, {1: "x"}, "\ud800", object()])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(RecordError, match="no canonical form"):
        encode({"a": [value]})


@pytest.mark.parametrize("kind", [b"{}", b"[]", b'["scan"]', b"7", b"null", b'"Scan"'])
def test_a_kind_of_any_type_is_refused_and_never_crashes(kind: bytes) -> None:
    with pytest.raises(RecordError, match="unknown kind"):
        decode(b'{"v":1,"epoch":1,"seq":0,"kind":' + kind + b"}")


def test_what_is_said_of_a_kind_that_is_none_is_short() -> None:
    with pytest.raises(RecordError, match="unknown kind") as refused:
        decode(json.dumps({"v": 1, "kind": {"a": "x" * 1000, "b": [list(range(100))] * 10}}).encode())
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("number", [9.223372036854776e15, 2.0**53, -1.2345678901234567e20, 1e21, 1.7e308])
def test_a_large_double_goes_and_comes_again_and_again(number: float) -> None:
    body = encode({"v": 1, "epoch": 1, "seq": 0, "kind": "event", "x": [number]})
    assert encode(decode(body)) == body
    assert float(decode(body)["x"][0]) == number


def test_a_number_too_long_to_be_read_is_refused() -> None:
    with pytest.raises(RecordError):
        decode(b'{"v":1,"epoch":1,"seq":0,"kind":"scan","x":' + b"9" * 5000 + b"}")
