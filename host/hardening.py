"""What a program does against its own memory lying about: no core dump of it, no other program of its user looks in."""

import contextlib
import ctypes
import resource
from typing import Final

# prctl(2): PR_SET_DUMPABLE.
_PR_SET_DUMPABLE: Final = 4


def keep_memory_private() -> None:
    """No core dump (setrlimit(2)), no ptrace nor /proc/PID/mem for others of the same user (prctl(2))."""
    # Where the service manager forbids the call it has set the limit itself (LimitCORE=0).
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
