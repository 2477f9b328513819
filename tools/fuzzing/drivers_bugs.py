"""Bugs that the campaigns on instruments' answers must find."""

from typing import Final

from bugs import Bug

BUGS: Final = {
    "digits": Bug(
        "polled",
        "a number of thousands of digits raises another exception",
        "drivers/values.py",
        "return int(text) if text.isdecimal() and len(text) <= WHOLE_DIGITS_MAX else None",
        "return int(text) if text.isdecimal() else None",
    ),
    "digit": Bug(
        "polled",
        "a half byte that is no digit raises another exception",
        "drivers/dlt645.py",
        "    if not digits.isdecimal():\n        return None\n",
        "",
    ),
    "bound": Bug(
        "streams",
        "a line without an end is kept for ever",
        "drivers/line_stream.py",
        "if len(self._rest) > self._line_bytes_max:",
        "if len(self._rest) > 64 * self._line_bytes_max:",
    ),
    "pieces": Bug(
        "streams",
        "the beginning of a line is dropped with the piece it came in",
        "drivers/line_stream.py",
        "*lines, self._rest = self._end.split(self._rest + data)",
        "*lines, self._rest = self._end.split(data)",
    ),
}
