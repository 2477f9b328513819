"""Published frames against the verdicts of data/hj212_frames.csv: one row a frame, one column a profile.

A verdict is the reason of a refusal, or `taken` and the deviations that had to be forgiven.
"""

import csv
from collections import Counter
from pathlib import Path

import pytest

from protocols.hj212 import Decoder, Edition, Frame, FrameError, Profile

DATA = Path(__file__).parent / "data" / "hj212_frames.csv"
PROFILES = {
    "strict_2005": Profile.strict(2005),
    "strict_2017": Profile.strict(2017),
    "strict_2025": Profile.strict(2025),
    "lenient": Profile.lenient(),
}
ROWS = list(csv.DictReader(DATA.read_text(encoding="utf-8").splitlines()))


def verdict(one: Frame | FrameError) -> str:
    return " ".join(["taken", *one.deviations]) if isinstance(one, Frame) else one.reason


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["no"])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_published_frame_is_judged_as_the_table_says(row: dict[str, str], profile: str) -> None:
    wire = row["frame"].encode() + b"\r\n"
    (one,) = Decoder(PROFILES[profile]).feed(wire)
    assert verdict(one) == row[profile]
    assert (one.raw, one.offset) == (wire, 0)


def test_the_table_says_what_is_known_of_the_check_sums() -> None:
    """An HJ 212 sum is taken by the strict profile of its edition unless a note names a departure; others never are."""
    departures = ("lower-case", "no header Flag", "no QN", "trailing", "DataTime 17", "declared")
    for row in ROWS:
        flag = row["frame"].partition(";Flag=")[2].partition(";")[0]
        strict = [row[name] for name in PROFILES if name != "lenient"]
        if row["crc"] != "GB":
            assert set(strict) <= {"crc", "length"}, row["no"]
        elif flag and not any(word in row["notes"] for word in departures):
            edition = Edition.of_version(int(flag) >> 2)
            assert edition
            # "MN len" is a departure since 2017.
            departs = "MN len" in row["notes"] and edition is not Edition.HJ2005
            assert row[f"strict_{edition}"] == ("header" if departs else "taken"), row["no"]
        else:
            assert "taken" not in strict, row["no"]
        assert row["lenient"].startswith("taken") == (row["crc"] != "NONE"), row["no"]
        assert ("modbus_crc" in row["lenient"]) == (row["crc"] == "MODBUS"), row["no"]
    assert Counter(row["crc"] for row in ROWS) == {"GB": 22, "MODBUS": 17, "NONE": 7}


def test_a_strict_profile_judges_what_was_read_leniently_as_if_it_had_read_it_itself() -> None:
    for row in ROWS:
        (one,) = Decoder(Profile.lenient()).feed(row["frame"].encode() + b"\r\n")
        for name, profile in PROFILES.items():
            if isinstance(one, Frame):
                reason = profile.refusal(one)
                assert (reason or "taken") == row[name].partition(" ")[0], (row["no"], name)


def test_all_published_frames_in_one_stream_are_judged_as_alone() -> None:
    wire = "\r\n".join(row["frame"] for row in ROWS).encode() + b"\r\n"
    for name, profile in PROFILES.items():
        found = Decoder(profile).feed(wire)
        assert [verdict(one) for one in found] == [row[name] for row in ROWS]
        assert b"".join(one.raw for one in found) == wire


def test_the_profile_of_the_peer_takes_its_frames() -> None:
    for row in ROWS:
        deviations = row["lenient"].split()[1:]
        flag = row["frame"].partition(";Flag=")[2].partition(";")[0] or "0"
        edition = Edition.of_version(int(flag) >> 2)
        profile = Profile(edition).with_leniencies(deviations)
        (one,) = Decoder(profile).feed(row["frame"].encode() + b"\r\n")
        assert verdict(one) == row["lenient"], row["no"]
