"""MCUboot images: what their bytes say of themselves, and whether a key signed them.

Source: MCUboot, docs/design.md ("Image format", "Trailer magic") and `bootutil/image.h`. All numbers are little-endian:
a header of 32 bytes, the program, then areas of tag, length and value; header, program and protected area are hashed,
and the hash is signed.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_pem_public_key

IMAGE_BYTES_MAX: Final = 16 * 1024 * 1024
_MAGIC: Final = 0x96F3B83D
_HEADER: Final = struct.Struct("<IIHHIIBBHI4x")
_AREA: Final = struct.Struct("<HH")
_TAG: Final = struct.Struct("<HH")
_PLAIN, _PROTECTED = 0x6907, 0x6908
_HASHES: Final[dict[int, tuple[Callable[..., Any], hashes.HashAlgorithm]]] = {
    0x10: (hashlib.sha256, hashes.SHA256()),
    0x11: (hashlib.sha384, hashes.SHA384()),
    0x12: (hashlib.sha512, hashes.SHA512()),
}
_RSA, _ECDSA, _ED25519, _PURE = (0x20, 0x23), 0x22, 0x24, 0x25
_NOT_BOOTABLE: Final = 0x10
# RSA-PSS of MCUboot salts with as many bytes as its hash has.
_SALT_BYTES: Final = 32


class ImageError(ValueError):
    """A file that is no image a board could start, or that the key did not sign."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Version of an image; compares as MCUboot compares it with build numbers."""

    major: int
    minor: int
    revision: int
    build: int = 0

    def __str__(self) -> str:
        base = f"{self.major}.{self.minor}.{self.revision}"
        return f"{base}.{self.build}" if self.build else base

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Version a board tells of a slot (`major.minor.revision[.build]`). Raises ValueError."""
        parts = [int(part) for part in text.replace("+", ".").split(".")]
        if len(parts) not in (3, 4):
            raise ValueError(f"{text!r} is no version")
        return cls(*parts)


@dataclass(frozen=True, slots=True)
class Image:
    """One image. `hash` names it on a board, `sha256` is of the whole file and names its upload."""

    data: bytes
    version: Version
    hash: bytes
    sha256: bytes
    signed: bytes
    tags: tuple[tuple[int, bytes], ...]

    def value(self, *tags: int) -> bytes | None:
        """Value of the first of some tags that is there."""
        return next((value for tag, value in self.tags if tag in tags), None)


def read_image(data: bytes) -> Image:
    """Parse an image and hold its hash against its bytes. Raises `ImageError`."""
    if not _HEADER.size <= len(data) <= IMAGE_BYTES_MAX:
        raise ImageError(f"{len(data)} bytes: an image has {_HEADER.size} to {IMAGE_BYTES_MAX}")
    magic, _, header, protected, size, flags, major, minor, revision, build = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise ImageError(f"no MCUboot image: it begins with {data[:4].hex()}")
    if flags & _NOT_BOOTABLE:
        raise ImageError("the image says that it cannot be started")
    signed_end = header + size + protected
    tags = []
    if protected:
        tags += _area(data, header + size, _PROTECTED, protected)
    tags += _area(data, signed_end, _PLAIN, len(data) - signed_end)
    signed = data[:signed_end]
    return Image(
        data, Version(major, minor, revision, build), _hash(tags, signed), hashlib.sha256(data).digest(), signed,
        tuple(tags),
    )  # fmt: skip


def _area(data: bytes, start: int, magic: int, expected: int) -> list[tuple[int, bytes]]:
    """Tags of one area, which must fill exactly the bytes expected of it."""
    if start + _AREA.size > len(data):
        raise ImageError("the file ends before its tags: it was cut")
    found, total = _AREA.unpack_from(data, start)
    if found != magic:
        raise ImageError(f"tags expected at byte {start}, found {found:04x}")
    if total != expected or start + total > len(data):
        raise ImageError(f"{total} bytes of tags are declared where {expected} are")
    return list(_tags(data[start + _AREA.size : start + total]))


def _tags(area: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(area):
        if at + _TAG.size > len(area):
            raise ImageError("a tag is cut")
        tag, length = _TAG.unpack_from(area, at)
        at += _TAG.size
        if at + length > len(area):
            raise ImageError(f"tag {tag:#x} is longer than its area")
        yield tag, area[at : at + length]
        at += length


def _hash(tags: list[tuple[int, bytes]], signed: bytes) -> bytes:
    found = [(tag, value) for tag, value in tags if tag in _HASHES]
    if len(found) != 1:
        raise ImageError(f"{len(found)} hashes: an image has one")
    tag, value = found[0]
    if _HASHES[tag][0](signed).digest() != value:
        raise ImageError("the hash does not fit the bytes: the file is damaged")
    return value


def check_signature(image: Image, pem: bytes) -> None:
    """Verify that the owner of a public key (PEM) signed the image. Raises `ImageError`."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ImageError(f"the key is no public key in PEM: {error}") from None
    algorithm = next(_HASHES[tag][1] for tag, _ in image.tags if tag in _HASHES)
    try:
        _verify(image, key, algorithm)
    except InvalidSignature:
        raise ImageError("the image is signed, but not by this key") from None


def _verify(image: Image, key: object, algorithm: hashes.HashAlgorithm) -> None:
    match key:
        case ed25519.Ed25519PublicKey():
            pure = image.value(_PURE) is not None
            key.verify(_signature(image, _ED25519), image.signed if pure else image.hash)
        case ec.EllipticCurvePublicKey():
            key.verify(_signature(image, _ECDSA), image.hash, ec.ECDSA(utils.Prehashed(algorithm)))
        case rsa.RSAPublicKey():
            pss = padding.PSS(padding.MGF1(algorithm), _SALT_BYTES)
            key.verify(_signature(image, *_RSA), image.hash, pss, utils.Prehashed(algorithm))
        case _:
            raise ImageError(f"MCUboot knows no signature by a {type(key).__name__}")


def _signature(image: Image, *tags: int) -> bytes:
    if (found := image.value(*tags)) is None:
        raise ImageError("the image carries no signature of this key's kind")
    return found
