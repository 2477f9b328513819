"""The ledger's tree and notes: vectors of RFC 6962 implementations, of C2SP, and an independent Merkle library."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from protocols.tlog import (
    EMPTY_ROOT,
    NOTE_BYTES_MAX,
    Frontier,
    NoteError,
    Verifier,
    leaf_hash,
    make_checkpoint,
    open_checkpoint,
    root_of,
    signer_from_seed,
    split_hashes,
)
from protocols.tlog_proofs import prove_consistency, prove_inclusion, verify_consistency, verify_inclusion

ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
LEAVES = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SEED = base64.b64encode(bytes(range(32))).decode()
ORIGIN = "example.com/station/A0001"
VKEY = "example.com/station/A0001+0345a97d+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
NOTE = (
    "example.com/station/A0001\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n"
    "— example.com/station/A0001 "
    "A0WpfbVjERYp1N5I+UVMaIRUXKthnjb37yOXKR1vbMVUSOsm7saaewgxHRzjRhdz/fTStzkWWoa5Pxx8r8aBcUd4/w8=\n"
)
WITNESS_LINE = (
    "— witness.example/prov1 X5rXZAAAAABrAjCA4clLcQS4dFf4c5MdfzzEtU8l6MSrHyA2xk37akTXskNdP1RfXuhu"
    "CEsp7nJYMW5uWrQAM9jk7qCi3O4rs+S/CA==\n"
)

leaf_lists = st.lists(st.binary(max_size=8).map(leaf_hash), min_size=1, max_size=70)


@pytest.mark.parametrize("size", range(9))
def test_roots_equal_the_published_vectors(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


def test_published_inclusion_and_consistency_vectors() -> None:
    assert [h.hex() for h in prove_inclusion(2, LEAVES[:7])] == [
        "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
        ROOTS[2],
        "837dbb152e9b079010717e84e865da4ebc0fa198a806d59d31bf15accef22d0e",
    ]
    assert [h.hex() for h in prove_consistency(3, LEAVES[:7])] == [
        "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
        "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
        ROOTS[2],
        "837dbb152e9b079010717e84e865da4ebc0fa198a806d59d31bf15accef22d0e",
    ]


def test_a_thousand_roots_equal_an_independent_library() -> None:
    peer = InmemoryTree(algorithm="sha256")
    frontier = Frontier()
    for i in range(1000):
        body = b"record %d" % i
        peer.append_entry(body)
        frontier = frontier.append(leaf_hash(body))
        if i % 37 == 0 or i > 990:
            assert frontier.root() == peer.get_root()


@given(leaf_lists)
def test_frontier_survives_storage_and_grows_on(leaves: list[bytes]) -> None:
    half = Frontier().extend(leaves[: len(leaves) // 2])
    revived = Frontier.from_bytes(half.to_bytes())
    assert revived == half
    assert revived.extend(leaves[len(leaves) // 2 :]).root() == root_of(leaves)


@given(leaf_lists, st.data())
def test_every_inclusion_proof_holds_and_no_other_leaf_passes(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, root, size = prove_inclusion(index, leaves), root_of(leaves), len(leaves)
    assert verify_inclusion(leaves[index], index, size, path, root)
    assert not verify_inclusion(leaf_hash(b"another record"), index, size, path, root)
    assert not verify_inclusion(leaves[index], index, size, [*path, root], root)
    assert not verify_inclusion(leaves[index], index, size, path, leaf_hash(b"another root"))
    if path:
        assert not verify_inclusion(leaves[index], index, size, path[:-1], root)


@given(leaf_lists, st.data())
def test_consistency_holds_for_prefixes_and_for_nothing_else(leaves: list[bytes], data: st.DataObject) -> None:
    old = data.draw(st.integers(0, len(leaves)))
    size, root, old_root = len(leaves), root_of(leaves), root_of(leaves[:old])
    path = prove_consistency(old, leaves)
    assert verify_consistency(old, old_root, size, root, path)
    assert not verify_consistency(old, leaf_hash(b"rewritten"), size, root, path)
    assert not verify_consistency(old, old_root, size, root, [*path, root])
    if 0 < old < size:
        edited = [leaf_hash(b"edited"), *leaves[1:]]
        assert not verify_consistency(old, old_root, size, root_of(edited), prove_consistency(old, edited))
        assert not verify_consistency(old, old_root, size, root, [])


@given(st.integers(-2, 9), st.integers(-2, 9), st.lists(st.sampled_from([*LEAVES, b"", b"x"]), max_size=5))
def test_rubbish_proofs_are_refused_not_raised(a: int, b: int, path: list[bytes]) -> None:
    assert not verify_inclusion(LEAVES[0], a, b, path, b"no root")
    if not a == b == 0:
        assert not verify_consistency(a, b"no root", b, LEAVES[0], path)


def test_proofs_outside_the_tree_are_errors() -> None:
    with pytest.raises(IndexError):
        prove_inclusion(8, LEAVES)
    with pytest.raises(IndexError):
        prove_consistency(9, LEAVES)


@pytest.mark.parametrize("data", [b"", b"\0" * 7, (1).to_bytes(8, "big"), (3).to_bytes(8, "big") + bytes(32)])
def test_a_cut_frontier_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="frontier"):
        Frontier.from_bytes(data)


def test_split_hashes() -> None:
    assert split_hashes(b"".join(LEAVES)) == LEAVES
    with pytest.raises(ValueError, match="whole number"):
        split_hashes(b"\0" * 33)


def test_checkpoint_vector_is_reproduced_byte_by_byte() -> None:
    signer = signer_from_seed(SEED + "\n", ORIGIN)
    assert signer.vkey == VKEY
    assert make_checkpoint(ORIGIN, 8, bytes.fromhex(ROOTS[8]), signer) == NOTE


def test_checkpoint_opens_and_a_strangers_signature_is_ignored() -> None:
    opened = open_checkpoint(NOTE + WITNESS_LINE, [VKEY])
    assert (opened.origin, opened.size, opened.root.hex()) == (ORIGIN, 8, ROOTS[8])
    assert opened.signers == (ORIGIN,)


def test_extension_lines_of_a_later_version_are_tolerated() -> None:
    signer = signer_from_seed(SEED, ORIGIN)
    text = NOTE.split("\n\n")[0] + "\nlater extension\n"
    assert open_checkpoint(signer.sign(text), [VKEY]).size == 8


OTHER = signer_from_seed(base64.b64encode(b"o" * 32).decode(), ORIGIN)


@pytest.mark.parametrize(
    "note",
    [
        NOTE.replace("\n8\n", "\n9\n"),
        NOTE.replace("\n8\n", "\n08\n"),
        NOTE.replace("—", "-"),
        NOTE.replace("\n", "\r\n"),
        NOTE[:-1],
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("4/w8=", "4/w9="),
        NOTE.split("\n\n")[0] + "\n\n",
        NOTE.split("\n\n")[0] + "\n\n" + WITNESS_LINE,
        NOTE + "\n",
        NOTE + "— x AAAA\n",
        NOTE + "— x not base64\n",
        NOTE + NOTE.split("\n\n")[1].replace("A0WpfbVj", "A0WpfbVk"),
        NOTE + WITNESS_LINE * 40,
        NOTE + "— " + "x" * NOTE_BYTES_MAX + " AAAAAAAA\n",
        "\ud800" + NOTE,
        OTHER.sign(NOTE.split("\n\n")[0] + "\n"),
        "",
        "\n\n\n",
    ],
)
def test_a_changed_note_is_refused(note: str) -> None:
    with pytest.raises(NoteError):
        open_checkpoint(note, [VKEY])


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n8\n",
        f"{ORIGIN}\n08\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n٨\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n9999999999999999999\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n8\n{base64.b64encode(bytes(31)).decode()}\n",
        f"a b\n8\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n8\n{base64.b64encode(bytes(32)).decode()}\n\nmore\n",
    ],
)
def test_a_well_signed_note_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        open_checkpoint(signer_from_seed(SEED, ORIGIN).sign(text), [VKEY])


@given(st.text(max_size=300))
def test_any_text_opens_or_is_a_note_error(text: str) -> None:
    with pytest.raises(NoteError):
        open_checkpoint(text, [VKEY])


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+0345a97d",
        VKEY.replace("0345a97d", "0345a97e"),
        VKEY.replace("A0001", "A0002"),
        VKEY.replace("+AQ", "+BA"),
        VKEY[:-4],
        VKEY + "!",
    ],
)
def test_a_broken_verification_key_is_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        Verifier.from_vkey(vkey)


@pytest.mark.parametrize(("seed", "name"), [("AAAA", "a"), ("!", "a"), (SEED, "a b"), (SEED, "a+b"), (SEED, "")])
def test_a_broken_seed_or_name_is_refused(seed: str, name: str) -> None:
    with pytest.raises(NoteError):
        signer_from_seed(seed, name)


def test_no_checkpoint_of_nonsense() -> None:
    signer = signer_from_seed(SEED, ORIGIN)
    for origin, size, root in [("a b", 0, EMPTY_ROOT), ("a", -1, EMPTY_ROOT), ("a", 1, b"short")]:
        with pytest.raises(NoteError):
            make_checkpoint(origin, size, root, signer)
    with pytest.raises(NoteError):
        signer.sign("no line end")
