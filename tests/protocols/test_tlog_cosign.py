"""Cosignatures: the published vector byte by byte, an independent Ed25519, and lines that are not to be believed."""

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from protocols.tlog import NoteError, make_checkpoint, open_checkpoint, signer_from_seed, split_note
from protocols.tlog_cosign import Cosigner, WitnessKey, cosigned_at, cosigner_from_seed, line_name

ORIGIN = "example.com/station/A0001"
TEXT = f"{ORIGIN}\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n"
WITNESS = cosigner_from_seed(base64.b64encode(bytes(range(0x20, 0x40))).decode(), "witness.example/prov1")
VKEY = "witness.example/prov1+5f9ad764+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
AT = 1795305600
LINE = (
    "— witness.example/prov1 X5rXZAAAAABrAjCA4clLcQS4dFf4c5MdfzzEtU8l6MSrHyA2xk37akTXskNdP1RfXuhu"
    "CEsp7nJYMW5uWrQAM9jk7qCi3O4rs+S/CA==\n"
)
KEY = WitnessKey.from_vkey(VKEY)
LOG = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), ORIGIN)


def test_the_published_vector_is_made_and_believed() -> None:
    assert WITNESS.vkey == VKEY
    assert WITNESS.cosign(TEXT, AT) == LINE
    assert KEY.seen(TEXT, LINE) == AT


def test_an_independent_ed25519_believes_it() -> None:
    blob = base64.b64decode(LINE.split(" ")[2])
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(VKEY.split("+", 2)[2])[1:])
    key.verify(blob[12:], f"cosignature/v1\ntime {int.from_bytes(blob[4:12], 'big')}\n{TEXT}".encode())
    with pytest.raises(InvalidSignature):
        key.verify(blob[12:], f"cosignature/v1\ntime {AT + 1}\n{TEXT}".encode())


def test_a_cosigned_note_is_still_the_logs_note() -> None:
    note = make_checkpoint(ORIGIN, 8, base64.b64decode(TEXT.split("\n")[2]), LOG)
    assert cosigned_at(note, KEY) is None
    assert cosigned_at(note + LINE, KEY) == AT
    assert cosigned_at(note + LINE + WITNESS.cosign(TEXT, AT + 60), KEY) == AT + 60
    assert open_checkpoint(note + LINE, [LOG.vkey]).size == 8
    assert split_note(note + LINE)[0] == TEXT


@given(st.text(alphabet="abc \n", max_size=50), st.integers(0, 2**64 - 1))
def test_any_text_comes_back_with_its_time_and_no_other_text_does(words: str, at: int) -> None:
    text = f"{words}\n"
    line = WITNESS.cosign(text, at)
    assert KEY.seen(text, line) == at
    with pytest.raises(NoteError, match="wrong cosignature"):
        KEY.seen(f"x{text}", line)


def test_another_witness_is_no_news_and_a_false_line_is_an_error() -> None:
    other = Cosigner("other", WITNESS.key)
    assert KEY.seen(TEXT, other.cosign(TEXT, AT)) is None
    with pytest.raises(NoteError, match="wrong"):
        KEY.seen(TEXT, LINE.replace("S/CA==", "T/CA=="))
    with pytest.raises(NoteError, match="bytes"):
        KEY.seen(TEXT, f"— {WITNESS.name} {base64.b64encode(base64.b64decode(LINE.split()[2])[:-1]).decode()}\n")


@pytest.mark.parametrize("vkey", [LOG.vkey, "", VKEY.replace("+BC", "+AC"), VKEY.replace("5f9", "5f8"), f"{VKEY}AAAA"])
def test_a_key_of_another_kind_is_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        WitnessKey.from_vkey(vkey)


def test_a_line_names_its_witness() -> None:
    assert line_name(LINE) == "witness.example/prov1"
    for line in ("", "- a AAAA", f"— {'x' * 190} {'A' * 400}"):
        with pytest.raises(NoteError):
            line_name(line)


def test_nothing_is_cosigned_that_is_no_note_text() -> None:
    with pytest.raises(NoteError):
        WITNESS.cosign("no line end", AT)
