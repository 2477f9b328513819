"""Micro-sensor boards: frames on a serial line, without I/O. Found by name through the group `plumeline.drivers`."""

from typing import Final

from firmware_bridge import board, plantower
from metrology.declaration import StreamEntry

MICRO_BOARD: Final = StreamEntry(board.INFO, board.make)
PLANTOWER_PMS: Final = StreamEntry(plantower.INFO, plantower.make)
