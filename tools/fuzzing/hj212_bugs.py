"""Bugs that the campaigns on HJ 212 must find."""

from typing import Final

from bugs import Bug

BUGS: Final = {
    "raise": Bug(
        "decoder",
        "an exception gets out where a header is no ASCII",
        "protocols/hj212/segment.py",
        'except UnicodeDecodeError:\n        raise RefusedError("header"',
        'except UnicodeEncodeError:\n        raise RefusedError("header"',
    ),
    "twice": Bug(
        "sessions",
        "an upload that was accepted before is handed over again",
        "protocols/hj212/platform.py",
        'if _mark(message) in self._done:\n            return self._reply(message, "9014")',
        'if None in self._done:\n            return self._reply(message, "9014")',
    ),
    "bound": Bug(
        "decoder",
        "one byte more than the bound of a segment",
        "protocols/hj212/candidate.py",
        "if size > SEGMENT_MAX:",
        "if size > SEGMENT_MAX + 1:",
    ),
    "resync": Bug(
        "decoder",
        "a byte is dropped where reading goes on behind an error",
        "protocols/hj212/decoder.py",
        "at = one.offset - base + len(one.raw)",
        "at = one.offset - base + len(one.raw) + (isinstance(one, FrameError) and one.reason == 'crc')",
    ),
    "rubbish": Bug(
        "decoder",
        "a list of rubbish that is never emptied",
        "protocols/hj212/decoder.py",
        "found.append(one)",
        "found.append(one)\n"
        "                if isinstance(one, FrameError):\n"
        "                    self.__dict__.setdefault('_seen', []).append(one)",
    ),
}
