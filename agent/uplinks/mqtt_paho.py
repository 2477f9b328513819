"""The MQTT link over a network: paho's client, driven by the event loop.

paho itself and not aiomqtt, which hides the reason codes of PUBACK: a publish that the broker's access list denies
would look like a success. Only paho's documented interface for other loops is used (`socket`, `loop_read`,
`loop_write`, `loop_misc`, `want_write`).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.uplinks.mqtt_client import ANSWER_WALL_S, client_of, connect_properties, properties_of
from agent.uplinks.mqtt_link import PUBLISH_WALL_S, DeniedError, Link, LinkError, Target, TooLargeError, VersionError
from host.tls import ClientContext, explained, failure_of
from protocols.mqtt.payload import PAYLOAD_BYTES_MAX

KEEPALIVE_WALL_S: Final = 30
# Of a PUBLISH, beside its payload: fixed header, topic, packet number, properties.
HEAD_BYTES: Final = 400
MISC_WALL_S: Final = 1.0
# Messages of the centre that nobody took yet; what comes above it is dropped: the next acknowledgement says it again.
INCOMING_MAX: Final = 100
UNSUPPORTED_VERSION: Final = 132  # MQTT 5, 3.2.2.2; paho gives it for return code 1 of an older broker, too

T = TypeVar("T")


@asynccontextmanager
async def connect(target: Target) -> AsyncIterator[Link]:
    """Connect, and disconnect in order at the end. Raises LinkError."""
    link = _PahoLink(target)
    await link.open()
    try:
        yield link
    finally:
        link.close()


class _PahoLink:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._five = target.version == "5"
        self._loop = asyncio.get_running_loop()
        self._client = client_of(target)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        self._client.on_socket_open = self._on_socket_open
        self._connected: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._answers: dict[int, asyncio.Future[ReasonCode]] = {}
        self._incoming: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(INCOMING_MAX)
        self._slots = asyncio.Semaphore(1)
        self.payload_max = PAYLOAD_BYTES_MAX
        self._watched: int | None = None
        self._misc: asyncio.Task[None] | None = None
        self._socket: object = None
        self._own = target.tls.own.name if isinstance(target.tls, ClientContext) else ""

    # -- beginning and end

    async def open(self) -> None:
        connecting = self._loop.run_in_executor(None, self._dial)
        try:
            await asyncio.shield(connecting)
        except OSError as error:
            raise LinkError(explained(error, self._own)) from error
        except asyncio.CancelledError:
            connecting.add_done_callback(lambda _: self.close())
            raise
        finally:
            # It holds the error, the error this frame, and both a socket that would stay open.
            del connecting
        try:
            self._watch()
            await self._admitted()
        except BaseException:
            self.close()
            raise

    def _dial(self) -> None:
        """In a thread: names and handshakes block, at most ANSWER_WALL_S each."""
        target = self._target
        if self._five:
            self._client.connect(
                target.host, target.port, KEEPALIVE_WALL_S, clean_start=True, properties=connect_properties()
            )
        else:
            self._client.connect(target.host, target.port, KEEPALIVE_WALL_S)

    def _watch(self) -> None:
        sock = self._client.socket()
        if sock is None:
            raise LinkError(self._why("the connection broke at once"))
        self._watched = sock.fileno()
        self._loop.add_reader(self._watched, self._read)
        self._misc = self._loop.create_task(self._keep_alive())
        self._flush()

    async def _admitted(self) -> None:
        answer = await self._wait(self._connected, ANSWER_WALL_S, "the broker does not answer to CONNECT")
        if answer.value == UNSUPPORTED_VERSION:
            raise VersionError(f"the broker does not speak MQTT {self._target.version}")
        if answer.is_failure:
            raise LinkError(f"the broker refuses us: {answer}")

    def close(self) -> None:
        """Say goodbye where the line takes it at once, and let go of the socket."""
        if self._client.socket() is not None:
            self._client.disconnect()
            self._client.loop_write()
        self._end("closed")
        if (sock := self._client.socket()) is not None:
            sock.close()

    def _why(self, otherwise: str) -> str:
        failure = failure_of(self._socket)
        return explained(failure, self._own) if failure else otherwise

    def _end(self, why: str) -> None:
        if not self._ended.done():
            self._ended.set_result(self._why(why))
        if self._misc is not None:
            self._misc.cancel()
        if self._watched is not None:
            self._loop.remove_reader(self._watched)
            self._loop.remove_writer(self._watched)
            self._watched = None

    # -- the socket's side

    async def _keep_alive(self) -> None:
        while (code := self._client.loop_misc()) == paho.MQTT_ERR_SUCCESS:
            self._flush()
            await asyncio.sleep(MISC_WALL_S)
        self._end(paho.error_string(code))

    def _read(self) -> None:
        while (sock := self._client.socket()) is not None:
            if (code := self._client.loop_read()) != paho.MQTT_ERR_SUCCESS:
                self._end(paho.error_string(code))
                return
            # What TLS has decoded already makes no socket readable.
            if not (isinstance(sock, ssl.SSLSocket) and sock.fileno() >= 0 and sock.pending()):
                break
        self._flush()

    def _flush(self) -> None:
        """Write what waits now, and have the loop write what the socket does not take."""
        if self._watched is None:
            return
        code = self._client.loop_write() if self._client.want_write() else paho.MQTT_ERR_SUCCESS
        if code != paho.MQTT_ERR_SUCCESS or self._client.socket() is None:
            self._end(paho.error_string(code))
        elif self._client.want_write():
            self._loop.add_writer(self._watched, self._flush)
        else:
            self._loop.remove_writer(self._watched)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, said: Properties | None) -> None:
        # paho does not obey the broker's bound on what may wait for its PUBACK.
        most = min(getattr(said, "ReceiveMaximum", self._target.window), self._target.window)
        self._slots = asyncio.Semaphore(most)
        if (packet := getattr(said, "MaximumPacketSize", None)) is not None:
            self.payload_max = max(1, min(PAYLOAD_BYTES_MAX, packet - HEAD_BYTES))
        if not self._connected.done():
            self._connected.set_result(reason)

    def _on_socket_open(self, _client: Any, _data: Any, sock: Any) -> None:
        self._socket = sock

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _said: Any) -> None:
        self._loop.call_soon_threadsafe(self._end, f"disconnected: {reason}")

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, reasons: list[ReasonCode], _said: Any) -> None:
        self._answer(mid, reasons[0])

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: ReasonCode, _said: Any) -> None:
        self._answer(mid, reason)

    def _answer(self, mid: int, reason: ReasonCode) -> None:
        if (waiting := self._answers.get(mid)) is not None and not waiting.done():
            waiting.set_result(reason)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        # A topic that is no text is none of ours.
        with suppress(asyncio.QueueFull, UnicodeDecodeError):
            self._incoming.put_nowait((message.topic, bytes(message.payload)))

    # -- the uplink's side

    async def subscribe(self, topic: str) -> None:
        code, mid = self._client.subscribe(topic, qos=1)
        reason = await self._answer_to(mid, code, ANSWER_WALL_S)
        if reason.is_failure:
            raise DeniedError(f"the broker refuses us {topic}: {reason}")

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expiry_s: int | None = None,
        timeout_s: float = PUBLISH_WALL_S,
    ) -> None:
        if len(payload) > self.payload_max:
            # Sent, it would end this connection, and the next (MQTT 5, 3.2.2.3.6).
            raise TooLargeError(f"{topic}: {len(payload)} bytes, the broker takes {self.payload_max}: raise its limit")
        expires = expiry_s is not None and self._five
        properties = properties_of(PacketTypes.PUBLISH, MessageExpiryInterval=expiry_s) if expires else None
        async with self._slots:
            info = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
            reason = await self._answer_to(info.mid, info.rc, timeout_s)
        if reason.is_failure:
            hint = f"; our certificate is of {self._own}, and a station writes below its own name" if self._own else ""
            raise DeniedError(f"the broker refuses {topic}: {reason}{hint}")

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            yield await self._wait(asyncio.ensure_future(self._incoming.get()), None, "")

    async def _answer_to(self, mid: int | None, code: MQTTErrorCode, timeout_s: float) -> ReasonCode:
        if mid is None or code != paho.MQTT_ERR_SUCCESS:
            raise LinkError(paho.error_string(code))
        waiting = self._answers[mid] = self._loop.create_future()
        try:
            self._flush()
            return await self._wait(waiting, timeout_s, f"no answer within {timeout_s:g} s")
        finally:
            del self._answers[mid]

    async def _wait(self, waiting: "asyncio.Future[T]", timeout_s: float | None, late: str) -> T:
        """What comes, before the connection ends. Raises LinkError."""
        either: set[asyncio.Future[Any]] = {waiting, self._ended}
        try:
            await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
        finally:
            waiting.cancel()
        raise LinkError(self._ended.result() if self._ended.done() else late)
