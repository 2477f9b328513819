"""Numbers no instrument means, which an instrument that is broken sends all the same: none may stop the station."""

from datetime import UTC, datetime

import pytest

from drivers.base import Ask, BadAnswer, Text
from drivers.registry import driver, stream_driver
from metrology.reading import Scan
from protocols.record import decode, encode, scan_fields

AT = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_status_register_of_thousands_of_digits_is_no_answer() -> None:
    poll = driver("picarro", instrument="i", unit=None, options={"columns": ["CO2", "CH4", "H2O"], "clock": 8}).poll()
    assert isinstance(next(poll), Ask)
    with pytest.raises(BadAnswer, match="no status register"):
        poll.send(Text(b"9" * 5000 + b"\r", AT))


def test_a_whole_number_beyond_all_is_told_and_can_be_kept() -> None:
    stream = stream_driver("licor_li850_stream", {0: "i"}, {})
    document = b"<li850><data><celltemp>5.1e1</celltemp><co2>4.2e2</co2><other>1e300</other></data></li850>\n"
    scans = [one for one in stream.feed(document, AT) if isinstance(one, Scan)]
    for scan in [*scans, Scan("i", AT, (), {"word": 10**30, "sum": -(2**60), "state": 963, "on": True})]:
        body = encode({"v": 1, "epoch": 1, "seq": 0, "kind": "scan", **scan_fields(scan)})
        status = decode(body)["status"]
        assert set(status) == set(scan.status)
    assert status == {"word": hex(10**30), "sum": hex(-(2**60)), "state": 963, "on": True}
