"""The shape of wires: what the line of a bus is made of (`agent.config` holds the whole)."""

from typing import Annotated, Literal

from pydantic import Field

from host.hjson import WHOLE, Strict
from host.secrets import SecretRef

# A topic of an instrument's own broker, whole: without the signs + and # that stand for many.
Topic = Annotated[str, Field(pattern=r"^[^+# ]{1,200}$")]


class Rs485(Strict):
    """Who turns an RS-485 line between sending and listening, where the adapter does not do it by itself.

    `kernel`: the serial driver (TIOCSRS485); `rts`: this program, by the RTS line.
    """

    turn: Literal["kernel", "rts"]
    rts_sends: Literal["high", "low"] = "high"
    before_ms: int = Field(default=0, ge=0, le=100)
    after_ms: int = Field(default=0, ge=0, le=100)


class SerialWire(Strict):
    """A serial port, by stable path. It is locked against other programs."""

    kind: Literal["serial"]
    device: str
    baud: int = Field(default=9600, ge=50, le=4_000_000)
    data_bits: Annotated[Literal[5, 6, 7, 8], WHOLE] = 8
    parity: Literal["N", "E", "O", "M", "S"] = "N"
    stop_bits: Annotated[Literal[1, 2], WHOLE] = 1
    flow: Literal["none", "rtscts", "xonxoff"] = "none"
    dtr: bool = True
    rts: bool = True
    echo: bool = False
    rs485: Rs485 | None = None

    @property
    def character_s(self) -> float:
        """Seconds one character takes on the line, start bit included."""
        return (1 + self.data_bits + (self.parity != "N") + self.stop_bits) / self.baud


class TcpWire(Strict):
    """A TCP peer."""

    kind: Literal["tcp"]
    host: str
    port: int = Field(ge=1, le=65535)


class UdpWire(Strict):
    """A UDP peer. Without `port` it is only listened to, whatever port it sends from; then `local_port` is needed."""

    kind: Literal["udp"]
    host: str
    port: int | None = Field(default=None, ge=1, le=65535)
    local_port: int | None = Field(default=None, ge=1, le=65535)


class MqttWire(Strict):
    """An instrument that is an MQTT broker itself and publishes what it measures. It is only listened to.

    `ca`: TLS, and the broker's certificate is signed by an authority of this PEM file.
    """

    kind: Literal["mqtt"]
    host: str
    port: int = Field(default=1883, ge=1, le=65535)
    topics: list[Topic] = Field(min_length=1, max_length=16)
    user: str | None = None
    password: SecretRef | None = None
    ca: str | None = None
