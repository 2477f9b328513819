"""What a platform asks of a station: one handler for a command, one answer for a request.

The session has answered 9011 by then. Handlers of all requests run side by side; what may not, its handler refuses.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from protocols.hj212.commands import ExeRtn
from protocols.hj212.message import Area, Message

# Requests of one platform under way at once; one more is answered "busy".
OPEN_MAX: Final = 8
# Never on record, whatever the command.
SECRET_FIELDS: Final = frozenset({"pw", "newpw", "newsk"})


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request ended: a code of `ExeRtn`, and the data areas sent before it under the number of the request.

    `detail` joins the record of the act. `then` is called when the 9012 is on its way: what it changes (a password)
    does not hold for the answer itself.
    """

    code: int
    data: tuple[Area, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)
    then: Callable[[], None] | None = None


Handler = Callable[[Message], Awaitable[Answer]]


class Requests:
    """Runs the handlers of one uplink. `conclude` gets each request with its answer, also after a broken connection."""

    def __init__(self, handlers: Mapping[str, Handler], conclude: Callable[[Message, Answer], None]) -> None:
        self._handlers = handlers
        self._conclude = conclude
        self._arrived: asyncio.Queue[Message] = asyncio.Queue()
        self._open = 0

    def start(self, message: Message) -> None:
        """Have a request handled; beyond OPEN_MAX it is answered busy at once."""
        if self._open >= OPEN_MAX:
            self._conclude(message, Answer(ExeRtn.BUSY))
            return
        self._open += 1
        self._arrived.put_nowait(message)

    async def run(self) -> None:
        """Handle for ever. A handler that raises is a mistake of this program and ends it."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._handle(await self._arrived.get()))

    async def _handle(self, message: Message) -> None:
        try:
            answer = await self._handlers[message.cn](message)
        finally:
            self._open -= 1
        self._conclude(message, answer)


def told(message: Message) -> dict[str, str]:
    """What a request said, as it may stand in a record: without secrets."""
    pairs = (pair for item in message.area for pair in item)
    return {name: value for name, value in pairs if name.casefold() not in SECRET_FIELDS}
