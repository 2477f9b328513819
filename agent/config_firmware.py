"""The shape of the boards' management: what signs their firmware, and how a board is reached."""

from typing import Annotated, Literal

from pydantic import Field

from host.hjson import Strict
from host.shapes import Name


class SerialBoard(Strict):
    """A board that answers SMP on its serial console (8 data bits, no parity, 115200 as MCUmgr has it)."""

    kind: Literal["serial"]
    device: str
    baud: int = Field(default=115200, ge=300, le=4_000_000)


class UdpBoard(Strict):
    """A board that answers SMP over UDP (MCUmgr's own port is 1337)."""

    kind: Literal["udp"]
    host: str
    port: int = Field(default=1337, ge=1, le=65535)


class Firmware(Strict):
    """Firmware of micro-sensor boards.

    `key` is the file of the public key (PEM) every image must be signed by. `links` says how an instrument's board is
    managed: its serial console, or UDP; the others are reached through the frames of their own line. A new image is
    confirmed when the board delivered `readings_min` good readings within `watch_s` of the station's time.
    """

    key: str
    links: dict[Name, Annotated[SerialBoard | UdpBoard, Field(discriminator="kind")]] = Field(default={})
    watch_s: float = Field(default=600, gt=0, le=86400)
    readings_min: int = Field(default=10, ge=1, le=10000)
