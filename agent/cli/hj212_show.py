"""What both test ends of HJ 212 share: showing frames and happenings, reading typed commands, ending cleanly."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from agent.cli.hj212_meaning import Reader, masked
from agent.cli.words import say
from host.hj212 import Link, Session
from host.problems import Lang
from metrology.clock import Clock
from protocols.hj212 import Decoder, Edition, Frame, FrameError, Message, Profile
from protocols.hj212.decoder import Keys
from protocols.hj212.session import Output, Send

LINE_BYTES_MAX: Final = 4096
TYPED_MAX: Final = 1000

Words = tuple[str, ...]


def profile(line: argparse.Namespace) -> Profile:
    """How the other end is read: strictly in the edition given, or with every leniency and every edition."""
    edition = Edition(line.edition)
    return Profile(edition, Profile.lenient().leniencies) if line.lenient else Profile.strict(edition.value)


class Show:
    """Prints what happens, one JSON object a line or as a technician reads it; passwords and keys are never shown."""

    def __init__(self, lang: Lang, *, as_json: bool) -> None:
        self.lang = lang
        self._json = as_json
        self._reader = Reader(lang)

    def happened(self, what: str, **values: Any) -> None:
        """One happening; `say.hj212.on.{what}` is its sentence."""
        if self._json:
            print(json.dumps({"event": what, **values}), flush=True)
        else:
            print(say(f"hj212.on.{what}", self.lang, **values), flush=True)

    def frame(self, what: str, peer: str, one: Frame | FrameError) -> None:
        """A frame, or what was none, on its way (`what`: received or sent)."""
        if not self._json:
            print(f"{say(f'hj212.on.{what}', self.lang, peer=peer)} {self._reader.frame(one)}", flush=True)
        elif isinstance(one, FrameError):
            self.happened(what, peer=peer, ok=False, reason=one.reason, detail=one.detail, bytes=len(one.raw))
        else:
            cp = [[(name, masked(name, value)) for name, value in item] for item in one.cp]
            fields = {name: masked(name, value) for name, value in one.fields.items()}
            self.happened(what, peer=peer, ok=True, fields=fields, cp=cp, deviations=one.deviations)


class Tap:
    """Decodes once more what passes one way, leniently, so that it can be shown whatever the session makes of it."""

    def __init__(self, show: Show, what: str, peer: str, keys: Keys) -> None:
        self._show, self._what, self._peer = show, what, peer
        self._decoder = Decoder(Profile.lenient(), keys)

    def pass_on(self, data: bytes) -> list[Message]:
        """Show the frames completed by `data`; gives what they say."""
        found = self._decoder.feed(data)
        for one in found:
            self._show.frame(self._what, self._peer, one)
        return [one.message for one in found if isinstance(one, Frame)]


class TappedLink(Link):
    """A link that shows every frame it sends; what comes is shown by whoever owns the session, through `incoming`."""

    def __init__(
        self,
        session: Session,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        clock: Clock,
        take: Callable[[Output], None],
        show: Show,
        keys: Keys,
    ) -> None:
        super().__init__(session, reader, writer, clock, take)
        self.incoming = Tap(show, "received", self.peer, keys)
        self._outgoing = Tap(show, "sent", self.peer, keys)

    def perform(self, outputs: list[Output]) -> None:
        """Do what the session said."""
        for output in outputs:
            if isinstance(output, Send):
                self._outgoing.pass_on(output.data)
        super().perform(outputs)


class Typed:
    """Commands in the order they were given: those of the command line first, then lines of standard input."""

    def __init__(self, given: list[list[str]]) -> None:
        self._queue: asyncio.Queue[Words] = asyncio.Queue(TYPED_MAX)
        for words in given:
            self._queue.put_nowait(tuple(words))
        self._rest = b""

    async def next(self) -> Words:
        """The next command, split at blanks."""
        return await self._queue.get()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Standard input is read while this holds. A terminal or a pipe tells when it has something; a file is read."""
        loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()
        try:
            loop.add_reader(stdin, self._read, stdin)
        except PermissionError:
            while self._read(stdin):
                pass
        try:
            yield
        finally:
            loop.remove_reader(stdin)

    def _read(self, stdin: int) -> bool:
        data = os.read(stdin, LINE_BYTES_MAX)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data:
            asyncio.get_running_loop().remove_reader(stdin)
            lines, self._rest = [self._rest], b""
        for text in lines:
            words = tuple(text.decode("utf-8", "replace").split())
            if words and not self._queue.full():
                self._queue.put_nowait(words)
        return bool(data)


def until_interrupted(run: Coroutine[Any, Any, None]) -> int:
    """Run until Ctrl-C or SIGTERM, which is how such a tool ends: 0. Raises what the run raised."""

    async def main() -> None:
        task = asyncio.ensure_future(run)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
    return 0
