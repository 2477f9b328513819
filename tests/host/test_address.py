"""Which hosts are this machine."""

import pytest

from host.address import is_loopback


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("x.cn", False),
    ],
)
def test_loopback(host: str, *, here: bool) -> None:
    assert is_loopback(host) is here
