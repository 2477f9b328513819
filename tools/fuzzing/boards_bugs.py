"""Bugs that the campaigns on micro-sensor boards must find."""

from typing import Final

from bugs import Bug

BUGS: Final = {
    "short": Bug(
        "frames",
        "a letter cut short raises another exception",
        "firmware_bridge/manage.py",
        "    if len(body) < _HEADER.size:\n",
        "    if len(body) < _HEADER.size - 1:\n",
    ),
    "bound": Bug(
        "frames",
        "bytes without a delimiter are kept for ever",
        "firmware_bridge/frame.py",
        "if len(self._piece) + len(part) > STUFFED_BYTES_MAX:",
        "if len(self._piece) + len(part) > 100 * STUFFED_BYTES_MAX:",
    ),
    "smp": Bug(
        "frames",
        "an answer that is no CBOR raises another exception",
        "firmware_bridge/smp_talk.py",
        "except (ValueError, AssertionError, cbor2.CBORDecodeError) as error:",
        "except AssertionError as error:",
    ),
}
