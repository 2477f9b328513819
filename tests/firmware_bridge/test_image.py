"""MCUboot images of the boot loader's own tool: read, held against their hash and their key; anything else refused."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.image import ImageError, Version, check_signature, read_image

Signer = Callable[..., tuple[bytes, bytes]]
KINDS = ("ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-2048")


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_signed_by_the_boot_loaders_tool_is_taken(signer: Signer, kind: str) -> None:
    data, key = signer("1.4.2+7", kind)
    image = read_image(data)
    assert image.version == Version(1, 4, 2, 7)
    assert str(image.version) == "1.4.2.7"
    check_signature(image, key)
    other, _ = signer("1.4.2", "ecdsa-p256" if kind == "ed25519" else "ed25519")
    with pytest.raises(ImageError, match="carries no signature"):
        check_signature(read_image(other), key)


def test_a_signature_over_the_image_itself_is_taken(signer: Signer) -> None:
    data, key = signer("2.0.0", "ed25519", "--pure")
    check_signature(read_image(data), key)


def test_protected_tags_are_part_of_what_is_signed(signer: Signer) -> None:
    data, key = signer("2.0.0", "ecdsa-p256", "--security-counter", "3")
    image = read_image(data)
    check_signature(image, key)
    assert image.value(0x50) == (3).to_bytes(4, "little")
    damaged = bytearray(data)
    damaged[data.index(bytes.fromhex("50000400")) + 4] ^= 1
    with pytest.raises(ImageError, match="hash"):
        read_image(bytes(damaged))


def test_another_key_is_told_apart_and_so_is_what_is_no_key(signer: Signer, tmp_path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    data, _ = signer("1.0.0")
    stranger = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ImageError, match="not by this key"):
        check_signature(read_image(data), stranger)
    with pytest.raises(ImageError, match="no public key"):
        check_signature(read_image(data), b"nonsense")


def test_every_flipped_byte_of_header_and_program_is_seen(signer: Signer) -> None:
    data, _ = signer("1.0.0", program=b"\x11" * 64)
    for place in range(32 + 64):
        damaged = bytearray(data)
        damaged[place] ^= 0x20
        with pytest.raises(ImageError):
            read_image(bytes(damaged))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.data())
def test_a_cut_or_grown_file_is_refused(signer: Signer, data: st.DataObject) -> None:
    whole, _ = signer("1.0.0", program=b"\x11" * 64)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ImageError):
        read_image(whole[:cut])
    with pytest.raises(ImageError):
        read_image(whole + data.draw(st.binary(min_size=1, max_size=40)))


@given(st.binary(max_size=300))
def test_nothing_else_is_an_image(data: bytes) -> None:
    with pytest.raises(ImageError):
        read_image(data)
