"""An instrument's own MQTT broker as a wire: each message becomes one line, its topic, a tab, its payload.

Spoken is MQTT 3.1.1, which brokers of every age take. Tabs and line ends in a payload become blanks: JSON has them only
between its parts, and so a line stays one message on the wire, in a recording and in a driver.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable
from typing import Final

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from agent.config_wires import MqttWire
from agent.wires.wire import WireError
from host.secrets import SecretError, read_secret

# Messages nobody reads; older ones are dropped. With the bound of one this is the memory of a wire: 4 MiB.
MESSAGES_MAX: Final = 256
MESSAGE_BYTES_MAX: Final = 16 * 1024
# A broker that lost power is noticed after one and a half of these.
KEEPALIVE_S: Final = 10
ANSWER_S: Final = 5.0
_REFUSED: Final = 0x80  # MQTT 3.1.1, 3.9.3: the return code of a subscription that is refused
_BLANKS: Final = bytes.maketrans(b"\t\r\n", b"   ")


def line_of(topic: str, payload: bytes) -> bytes:
    """One message as a line; of one that is too long the length alone, which no driver takes for a reading."""
    if len(payload) > MESSAGE_BYTES_MAX:
        payload = b"(%d bytes, at most %d are taken)" % (len(payload), MESSAGE_BYTES_MAX)
    return topic.encode() + b"\t" + payload.translate(_BLANKS) + b"\n"


class _Session:
    """Lines of one connection, the failure that ended it, and one reader waiting for either."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._lines: deque[bytes] = deque(maxlen=MESSAGES_MAX)
        self._error: str | None = "not open"
        self._changed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._error is None

    def begin(self) -> None:
        self._error = None

    def put(self, line: bytes) -> None:
        self._lines.append(line)
        self._changed.set()

    def fail(self, why: str) -> None:
        self._error = self._error or f"{self._peer}: {why}"
        self._changed.set()

    async def wait(self) -> bytes:
        while not self._lines and self._error is None:
            self._changed.clear()
            await self._changed.wait()
        if not self._lines:
            raise WireError(str(self._error))
        return self._lines.popleft()

    def take(self) -> bytes:
        lines = b"".join(self._lines)
        self._lines.clear()
        return lines


class MqttPeer:
    """A subscriber to an instrument's broker. Opening again connects and subscribes again."""

    def __init__(self, config: MqttWire) -> None:
        self._config = config
        self._peer = f"{config.host}:{config.port}/mqtt"
        self._session = _Session(self._peer)
        self._task: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """See `Wire`."""
        return self._session.is_open

    async def open(self) -> None:
        """See `Wire`; also WireError where the broker refuses the login or a topic, or the password cannot be read."""
        self.close()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._session = _Session(self._peer)
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._listen(self._client(), self._session, opened))
        await opened

    async def read(self) -> bytes:
        """See `Wire`; one message."""
        return await self._session.wait()

    async def write(self, data: bytes) -> None:
        """See `Wire`; always WireError: nothing is published to an instrument."""
        raise WireError(f"{self._peer}: an instrument that publishes is only listened to")

    def drain_input(self) -> bytes:
        """See `Wire`."""
        return self._session.take()

    def close(self) -> None:
        """See `Wire`."""
        self._session.fail("closed")
        if self._task is not None:
            self._task.cancel()

    def _client(self) -> aiomqtt.Client:
        config = self._config
        try:
            password = read_secret(config.password).decode() if config.password else None
            tls = ssl.create_default_context(cafile=config.ca) if config.ca else None
        except (SecretError, OSError, ValueError) as error:
            raise WireError(f"{self._peer}: {error}") from error
        return aiomqtt.Client(
            config.host,
            config.port,
            username=config.user,
            password=password,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            timeout=ANSWER_S,
            keepalive=KEEPALIVE_S,
            tls_context=tls,
        )

    async def _listen(self, client: aiomqtt.Client, session: _Session, opened: asyncio.Future[None]) -> None:
        """One connection, in a task of its own: the client may be left only where it was entered."""
        try:
            async with client:
                await self._subscribe(client)
                session.begin()
                if not opened.done():
                    opened.set_result(None)
                async for message in client.messages:
                    session.put(line_of(message.topic.value, bytes(message.payload)))
        except (aiomqtt.MqttError, WireError) as error:
            session.fail(str(error))
            if not opened.done():
                opened.set_exception(WireError(f"{self._peer}: {error}"))

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        codes: Iterable[int | ReasonCode] = await client.subscribe([(topic, 0) for topic in self._config.topics])
        for topic, code in zip(self._config.topics, codes, strict=True):
            if (code if isinstance(code, int) else code.value) >= _REFUSED:
                raise WireError(f"the broker refuses the topic {topic}")
