"""Telling systemd how the service is: one datagram to the socket in $NOTIFY_SOCKET (systemd `sd_notify(3)`)."""

import os
import socket
from typing import Final

READY: Final = "READY=1"
WATCHDOG: Final = "WATCHDOG=1"
STOPPING: Final = "STOPPING=1"


def notify(*lines: str) -> bool:
    """Send state lines (`READY`, `STATUS=...`); False where no service manager listens.

    A manager that went away is no reason to stop measuring, so a refused datagram is False as well.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
        try:
            # A leading @ stands for the NUL byte of an abstract address.
            sender.sendto("\n".join(lines).encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            return False
    return True


def watchdog_s() -> float | None:
    """Seconds within which the manager wants to hear `WATCHDOG` from this process, None where it does not ask."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isdigit() else None
