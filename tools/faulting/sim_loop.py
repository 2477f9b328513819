"""An event loop in simulated time: it never sleeps, runs executors itself, and lets whole processes die at once.

Timers due at one instant run in an order drawn from the seed. Whatever is scheduled belongs to the process in whose
context it was scheduled; of a dead process nothing runs any more, not even what stands in a `finally`.
"""

import asyncio
import heapq
from asyncio import base_events, events
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any


@dataclass(eq=False)
class Process:
    """Something that can be killed. `latency` gives seconds a call of its executors takes; 0 runs it at once."""

    name: str
    alive: bool = True
    latency: Callable[[], float] = lambda: 0.0
    kept: list[Any] = field(default_factory=list)

    def context(self) -> Context:
        """A context whose tasks and callbacks belong to this process."""
        context = copy_context()
        context.run(PROCESS.set, self)
        return context


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
_NUMBERS = count()


class StalledError(Exception):
    """Nothing is left to wait for."""


class SimTask(asyncio.Task):  # type: ignore[type-arg]
    """A task whose place in a set follows from the order of creation and not from its address."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._number = next(_NUMBERS)
        super().__init__(*args, **more)

    def __hash__(self) -> int:
        return self._number


class _Nothing:
    """Stands where an operating system's poll would."""

    def select(self, timeout: float | None) -> list[Any]:
        return []


class SimLoop(base_events.BaseEventLoop):
    """See above. `net` gives connections and servers; `errors` are what nobody caught."""

    def __init__(self, seed: object) -> None:
        super().__init__()
        self._selector = _Nothing()
        self._now = 1000.0
        self._dice = Random(f"{seed}/loop")
        self._busy: dict[int, float] = {}
        self.net: Any = None
        self.errors: list[str] = []
        self.turns = 0
        self.set_task_factory(_task)
        self.set_exception_handler(self._uncaught)

    def time(self) -> float:
        """Simulated seconds."""
        return self._now

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _uncaught(self, _: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.append(f"{context.get('message')}: {type(error).__name__} {error}")

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready:
            if not scheduled:
                raise StalledError("nothing is left to wait for")
            self._now = max(self._now, scheduled[0]._when)
        due = []
        while scheduled and scheduled[0]._when <= self._now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            if not handle._cancelled:
                due.append(handle)
        if len(due) > 1:
            self._dice.shuffle(due)
        ready.extend(due)
        for _ in range(len(ready)):
            handle = ready.popleft()
            process = handle._context.get(PROCESS)
            if not handle._cancelled and (process is None or process.alive):
                self.turns += 1
                handle._run()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Run the call at once, or at an instant its process chooses; calls of one executor keep their order."""
        future: asyncio.Future[Any] = self.create_future()
        process = PROCESS.get()
        delay, free = process.latency() if process else 0.0, self._busy.get(id(executor), 0.0)
        if delay <= 0 and free <= self._now:
            _carry_out(future, func, args)
        else:
            at = self._busy[id(executor)] = max(free, self._now) + max(delay, 1e-6)
            self.call_at(at, _carry_out, future, func, args)
        return future

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """A link of the net."""
        return await self.net.connect(protocol_factory, port)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """A listener of the net."""
        return self.net.listen(protocol_factory, port)

    async def create_unix_server(self, protocol_factory: Any, path: Any = None, **_: Any) -> Any:
        """A control socket nobody ever asks."""
        return self.net.listen(protocol_factory, path)


def _task(loop: Any, coro: Any, **more: Any) -> SimTask:
    return SimTask(coro, loop=loop, **more)


def _carry_out(future: "asyncio.Future[Any]", func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        result = func(*args)
    except Exception as error:  # noqa: BLE001  it goes to whoever waits, as from a thread
        if not future.cancelled():
            future.set_exception(error)
    except BaseException:
        process = PROCESS.get()
        if process is None or process.alive:
            raise
    else:
        if not future.cancelled():
            future.set_result(result)


class SimClock:
    """The clock of one machine of the simulated world: world time that may be stepped, and a scale that never is."""

    rate = 1.0

    def __init__(self, loop: SimLoop, start: datetime) -> None:
        self._loop = loop
        self._start = start - timedelta(seconds=loop.time())
        self.offset_s = 0.0

    def now(self) -> datetime:
        """World time, UTC."""
        return self._start + timedelta(seconds=round(self._loop.time() + self.offset_s, 6))

    def monotonic(self) -> float:
        """Seconds of the loop."""
        return self._loop.time()

    def wall_monotonic(self) -> float:
        """Seconds of the loop."""
        return self._loop.time()

    async def sleep(self, world_s: float) -> None:
        """Wait."""
        await asyncio.sleep(world_s)

    async def sleep_wall(self, wall_s: float) -> None:
        """Wait."""
        await asyncio.sleep(wall_s)

    async def set_wall(self, at: datetime) -> bool:
        """Step to `at`."""
        self.offset_s += (at.astimezone(UTC) - self.now()).total_seconds()
        return True


def run(loop: SimLoop, main: Any) -> Any:
    """Run one coroutine to its end; nothing is cleaned up behind it, as behind a machine that is switched off."""
    asyncio.set_event_loop(loop)
    events._set_running_loop(None)
    return loop.run_until_complete(main)
