"""Checkpoints as lines of an HJ 212 log, held against the published vector; statements of key rotation."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.hj212.information import log_text
from protocols.tlog import NoteError, make_checkpoint, open_checkpoint, signer_from_seed
from protocols.tlog_carried import carried_text, read_carried
from protocols.tlog_keys import Keyring, read_rotation, rotation_fields, signed_by

NAME = "example.com/station/A0001"
SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), NAME)
NEW = signer_from_seed(base64.b64encode(b"n" * 32).decode(), NAME)
ROOT = base64.b64decode("XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=")
NOTE = make_checkpoint(NAME, 8, ROOT, SIGNER)
LINE = (
    "//TLOG1 example.com/station/A0001 8 XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz-Nw7_RgQyg "
    "A0WpfbVjERYp1N5I-UVMaIRUXKthnjb37yOXKR1vbMVUSOsm7saaewgxHRzjRhdz_fTStzkWWoa5Pxx8r8aBcUd4_w8//"
)


def test_the_published_vector_is_written_and_read() -> None:
    assert log_text(carried_text(NOTE)) == LINE
    assert len(LINE) == 173
    found = read_carried(LINE)
    assert found is not None
    assert found.note(NAME) == NOTE
    assert open_checkpoint(found.note(NAME), [SIGNER.vkey]).root == ROOT


def test_other_lines_are_passed_over_and_damaged_ones_refused() -> None:
    assert read_carried("//uplink-up outage_wall_s 3//") is None
    for damaged in (LINE[:-5], LINE.replace(" 8 ", " 08 "), LINE.replace("XcnaeacG", "Xcnaea+G"), LINE + "x",
                    LINE.replace("RgQyg", "RgQyh")):  # fmt: skip
        with pytest.raises(NoteError):
            read_carried(damaged)


@given(st.text())
def test_any_text_is_a_checkpoint_none_or_refused(text: str) -> None:
    for line in (text, f"TLOG1 {text}"):
        try:
            read_carried(line)
        except NoteError:
            continue


def test_a_rotation_is_signed_by_both_keys_and_holds_for_its_station_alone() -> None:
    fields = {**rotation_fields("tower-01", 3, SIGNER, NEW, "li", "yearly"), "epoch": 3}
    assert read_rotation(fields, "tower-01", SIGNER.vkey) == NEW.vkey
    thief = signer_from_seed(base64.b64encode(b"t" * 32).decode(), NAME)
    own = {**rotation_fields("tower-01", 3, thief, NEW, "li", "yearly"), "epoch": 3}
    text = fields["statement"].split("\n\n")[0] + "\n"
    for wrong, station in [
        (fields, "tower-02"),
        ({**fields, "epoch": 4}, "tower-01"),
        ({**fields, "vkey": thief.vkey}, "tower-01"),
        ({**fields, "statement": "rubbish"}, "tower-01"),
        ({**fields, "statement": SIGNER.sign(text)}, "tower-01"),
        ({**fields, "statement": NEW.sign(text)}, "tower-01"),
        (own, "tower-01"),
    ]:
        with pytest.raises(NoteError):
            read_rotation(wrong, station, SIGNER.vkey)


def test_after_a_rotation_one_note_bears_both_signatures_and_the_next_the_new_one() -> None:
    ring = Keyring(SIGNER)
    ring.rotate(NEW)
    assert ring.vkey == NEW.vkey
    both, alone = (make_checkpoint(NAME, size, ROOT, ring) for size in (8, 9))
    for key in (SIGNER, NEW):
        assert open_checkpoint(both, [key.vkey]).size == 8
    assert open_checkpoint(alone, [NEW.vkey]).size == 9
    with pytest.raises(NoteError):
        open_checkpoint(alone, [SIGNER.vkey])
    assert both.count("\n— ") == 2
    assert signed_by("text\n", SIGNER) == SIGNER.sign("text\n")
