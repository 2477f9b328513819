"""The solenoid valves a Picarro G2000 analyzer drives itself, set and read over its command interface.

`_Valves_Seq_SetState <mask>` stops the analyzer's own valve sequencer and sets the solenoids, `_Valves_Seq_ReadState`
gives `OFF;mask`, or `ON;mask` while the sequencer runs; bit n of the mask is solenoid n + 1. Source: Remote Command
Interface guide 40-0063 rev. A (2019); six solenoids: the register's mask in the maker's public server source. A rotary
valve on the analyzer is not moved here: no command of the interface reads back where it stands.
"""

import re
from collections.abc import Generator
from typing import Final

from drivers.base import Answer, Ask, BadAnswer, Step
from drivers.picarro_reply import ENDS, single_line, when_idle, whole_line
from drivers.values import SHOWN_CHARACTERS_MAX

LINE_BYTES_MAX: Final = 128
_STATE: Final = re.compile(r"(ON|OFF);(\d{1,3})", re.IGNORECASE)


def _ask(command: str) -> Ask:
    return Ask(f"{command}\r\n".encode(), ENDS, LINE_BYTES_MAX, whole_line)


class PicarroSelector:
    """The analyzer's solenoids; see `SelectorDriver`. A state is the mask of those that are open."""

    def move(self, state: int) -> Generator[Step, Answer, None]:
        """See `SelectorDriver`. Raises BadAnswer for an error code: not every mask is permitted."""
        answer = yield from when_idle(_ask(f"_Valves_Seq_SetState {state}"))
        single_line(answer.data)

    def state(self) -> Generator[Step, Answer, int | None]:
        """See `SelectorDriver`. While the sequencer runs no state is its own: it may change at any moment."""
        answer = yield from when_idle(_ask("_Valves_Seq_ReadState"))
        line = single_line(answer.data)
        said = _STATE.fullmatch(line.strip())
        if said is None:
            raise BadAnswer(f"no state of valves: {line[:SHOWN_CHARACTERS_MAX]!r}")
        return int(said[2]) if said[1].upper() == "OFF" else None
