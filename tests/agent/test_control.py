"""The daemon's socket under every kind of asker."""

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from host.control import CLIENTS_MAX, REQUEST_BYTES_MAX, Control, RequestError, ask

Eventually = Callable[[Callable[[], object]], Any]


async def echo(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    if "refuse" in request:
        raise RequestError("not today")
    yield {"said": request.get("say")}


class Ticker:
    """A handler that answers for ever, and knows how many ask."""

    def __init__(self) -> None:
        self.asking = 0

    async def __call__(self, request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        self.asking += 1
        try:
            while True:
                yield {"tick": True, **request}
                await asyncio.sleep(0.005)
        finally:
            self.asking -= 1


@pytest.fixture
def ticker() -> Ticker:
    return Ticker()


@pytest.fixture
async def path(tmp_path: Path, ticker: Ticker, eventually: Eventually) -> AsyncIterator[Path]:
    """A served socket; a file left from a killed daemon lies in its place."""
    place = tmp_path / "run" / "agent.sock"
    place.parent.mkdir()
    place.write_text("left behind")
    task = asyncio.create_task(Control(place, {"echo": echo, "tick": ticker}).run())
    await eventually(place.is_socket)
    yield place
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def answers(path: Path, **request: Any) -> list[dict[str, Any]]:
    return [answer async for answer in ask(str(path), request)]


async def raw(path: Path, data: bytes) -> dict[str, Any]:
    """Send bytes, give the one answer."""
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(data)
        answer: dict[str, Any] = json.loads(await reader.readline())
        assert await reader.read() == b""
        writer.close()
    return answer


async def test_a_request_is_answered_and_the_socket_is_for_user_and_group(path: Path) -> None:
    assert await answers(path, do="echo", say="风") == [{"said": "风"}]
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


async def test_what_cannot_be_served_is_said(path: Path) -> None:
    with pytest.raises(RequestError, match="not today"):
        await answers(path, do="echo", refuse=True)
    with pytest.raises(RequestError, match="unknown request; known: echo, tick"):
        await answers(path, do="reboot")
    for do in (None, 5, ["echo"], {}):
        assert "unknown request" in (await raw(path, json.dumps({"do": do}).encode() + b"\n"))["error"]


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"[1]\n",
        b"{\n",
        b"\xff\xfe\n",
        b'"echo"\n',
        b"[" * 50_000 + b"\n",
        b'{"do": "echo", "say": "\\ud800"}\n',
        b'{"do": "\\udfff"}\n',
        b'{"do": "echo", "\\ude00": 1}\n',
    ],
)
async def test_rubbish_gets_an_error_and_the_next_asker_an_answer(path: Path, data: bytes) -> None:
    assert "error" in await raw(path, data)
    assert await answers(path, do="echo") == [{"said": None}]


async def test_a_request_without_end_is_refused(path: Path) -> None:
    said = await raw(path, b'{"do": "echo", "say": "' + b"x" * (REQUEST_BYTES_MAX + 100) + b'"}\n')
    assert str(REQUEST_BYTES_MAX) in said["error"]


async def test_there_is_a_last_place_and_it_comes_free_again(
    path: Path, ticker: Ticker, eventually: Eventually
) -> None:
    open_ones = [ask(str(path), {"do": "tick"}) for _ in range(CLIENTS_MAX)]
    for one in open_ones:
        assert await anext(one) == {"tick": True, "do": "tick"}
    with pytest.raises(RequestError, match=f"more than {CLIENTS_MAX} clients"):
        await answers(path, do="echo")
    await open_ones.pop().aclose()  # type: ignore[attr-defined]
    await eventually(lambda: ticker.asking < CLIENTS_MAX)
    assert await answers(path, do="echo") == [{"said": None}]
    for one in open_ones:
        await one.aclose()  # type: ignore[attr-defined]
    await eventually(lambda: ticker.asking == 0)


async def test_who_holds_places_without_a_word_keeps_nobody_out(path: Path) -> None:
    quiet = [await asyncio.open_unix_connection(str(path)) for _ in range(4 * CLIENTS_MAX)]
    for _ in range(3):
        assert await answers(path, do="echo", say="风") == [{"said": "风"}]
    for _, writer in quiet:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_who_asks_nothing_or_reads_nothing_loses_the_place(
    path: Path, ticker: Ticker, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("host.control.PATIENCE_WALL_S", 0.05)
    quiet = [await asyncio.open_unix_connection(str(path)) for _ in range(CLIENTS_MAX)]
    for reader, _ in quiet[1:]:
        assert await reader.read() == b""
    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(str(path))
    deaf.sendall(b'{"do": "tick", "ballast": "' + b"x" * 60_000 + b'"}\n')
    await eventually(lambda: ticker.asking == 1)
    await eventually(lambda: ticker.asking == 0)
    assert await answers(path, do="echo") == [{"said": None}]
    deaf.close()
    for _, writer in quiet:
        writer.close()


async def test_where_no_daemon_runs_the_asker_is_told(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no daemon answers there"):
        await answers(tmp_path / "nothing.sock", do="echo")
