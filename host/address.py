"""What a host's name or address tells."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and no other."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
