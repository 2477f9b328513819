"""Turning an RS-485 line by the RTS line of its port: high (or low) while we send, back when the last bit has left."""

import array
import asyncio
import fcntl
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from agent.config_wires import Rs485

_RTS: Final = struct.pack("I", termios.TIOCM_RTS)
_LOOK_S: Final = 0.001


@asynccontextmanager
async def sending(descriptor: int, turn: Rs485, character_s: float) -> AsyncIterator[None]:
    """Hold the line while what is written inside goes out. Raises OSError where the port has no RTS line.

    The system wakes this program a millisecond or so late: an instrument that answers sooner loses its first bits.
    """
    _raise_rts(descriptor, turn.rts_sends == "high")
    try:
        await asyncio.sleep(turn.before_ms / 1000)
        yield
        while _unsent(descriptor):  # noqa: ASYNC110  no event tells when a port has sent
            await asyncio.sleep(_LOOK_S)
        # The buffer is empty while the last character still leaves.
        await asyncio.sleep(character_s + turn.after_ms / 1000)
    finally:
        _raise_rts(descriptor, turn.rts_sends == "low")


def _raise_rts(descriptor: int, high: bool) -> None:
    fcntl.ioctl(descriptor, termios.TIOCMBIS if high else termios.TIOCMBIC, _RTS)


def _unsent(descriptor: int) -> int:
    waiting = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.TIOCOUTQ, waiting)
    return waiting[0]
