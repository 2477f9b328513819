"""HJ 212: the data transmission standard of the pollution-source networks, both ends, without I/O."""

from protocols.hj212.decoder import Decoder
from protocols.hj212.frame import Frame, FrameError
from protocols.hj212.message import EncodeError, Message, encode
from protocols.hj212.platform import PlatformSession
from protocols.hj212.profile import Edition, Leniency, Profile
from protocols.hj212.station import StationSession

__all__ = [
    "Decoder", "Edition", "EncodeError", "Frame", "FrameError", "Leniency", "Message", "PlatformSession", "Profile",
    "StationSession", "encode",
]  # fmt: skip
