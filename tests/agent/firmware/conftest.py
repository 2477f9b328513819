"""Signed images, made by the boot loader's own tool."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from imgtool.main import imgtool


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[bytes, bytes]]:
    """`signer(version, kind, *options, program=...)`: an image signed by a key of that kind, and the public key."""
    folder = tmp_path_factory.mktemp("images")

    def sign(
        version: str, kind: str = "ed25519", *options: str, program: bytes = b"\x5a" * 3000
    ) -> tuple[bytes, bytes]:
        key, source, target = folder / f"{kind}.pem", folder / "program.bin", folder / "signed.bin"
        if not key.exists():
            imgtool(["keygen", "-k", str(key), "-t", kind], standalone_mode=False)
        source.write_bytes(program)
        sizes = ["-H", "32", "--pad-header", "-S", "0x40000", "--align", "4"]
        words = ["sign", *sizes, "-v", version, *options, "-k", str(key), str(source), str(target)]
        imgtool(words, standalone_mode=False)
        return target.read_bytes(), _public(key)

    return sign


def _public(key: Path) -> bytes:
    private = load_pem_private_key(key.read_bytes(), None)
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
