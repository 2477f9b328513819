"""The `hjson` library's scanner (3.1, `hjson/decoder.py`) made to note where every key and value begins.

It takes the functions that parse objects, arrays and words as attributes of its decoder, so they are wrapped here.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from hjson import HjsonDecodeError, HjsonDecoder
from hjson.decoder import JSONArray, JSONObject, getNext, make_scanner, scantfnns

_Scan = Callable[[str, int], tuple[Any, int]]

# What an unquoted word swallows when it runs to the end of its line: the next key, a comment, a closing bracket.
_NEXT_KEY: Final = re.compile(r",\s*[\w.-]+\s*:(\s|$)")
_UNFIT: Final = re.compile("[\x00\ud800-\udfff]")
_NO_ESCAPE: Final = re.compile(r"\\u(?![0-9a-fA-F]{4})")
_COMMENT: Final = re.compile(r"\s(//|/\*)|#")


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its offset. `value` is a scalar, a list of nodes, or {key: (offset of the key, node)}."""

    value: Any
    start: int

    def plain(self) -> Any:
        """Give the value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, (_, node) in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def unfit(self) -> Iterator[int]:
        """Offsets of keys and texts that no file, path or record can hold: a zero, half of a surrogate pair."""
        if isinstance(self.value, dict):
            for key, (start, node) in self.value.items():
                if _UNFIT.search(key):
                    yield start
                yield from node.unfit()
        elif isinstance(self.value, list):
            for node in self.value:
                yield from node.unfit()
        elif isinstance(self.value, str) and _UNFIT.search(self.value):
            yield self.start


@dataclass(slots=True)
class Reader:
    """One parse: what was met on the way (unquoted words, repeated keys, open blocks), kept where it fails too."""

    text: str
    words: list[tuple[int, str]] = field(default_factory=list)
    repeated: list[tuple[int, int]] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)

    def read(self) -> Node:
        """Parse the whole text. Raises HjsonDecodeError."""
        decoder = HjsonDecoder()
        decoder.parse_object, decoder.parse_array, decoder.parse_tfnns = self._object, self._array, self._word
        scan, scan_bare = make_scanner(decoder)
        try:
            first, start = getNext(self.text, 0)
            if first == "":
                return Node({}, 0)
            value, end = (scan if first == "{" else scan_bare)(self.text, start)
            rest, end = getNext(self.text, end)
        except IndexError:  # the library reads past the end inside an unclosed comment or '''text
            what, sign = ("comment", "/*") if "/*" in self.text else ("string", "'''")
            raise HjsonDecodeError(f"Unterminated {what}", self.text, max(self.text.rfind(sign), 0)) from None
        except ValueError as error:
            if isinstance(error, HjsonDecodeError):
                raise
            # The library takes the four characters of "\\u-00f" for a number, and finds no character for it.
            wrong = _NO_ESCAPE.search(self.text)
            raise HjsonDecodeError("Invalid escape", self.text, wrong.start() if wrong else 0) from None
        if rest:
            raise HjsonDecodeError("Extra data", self.text, end)
        return Node(value, start)

    def _object(
        self, state: tuple[str, int], encoding: Any, strict: Any, scan: _Scan, _hook: Any, _pairs: Any,
        memo: Any = None, bare: bool = False,
    ) -> tuple[dict[str, tuple[int, Node]], int]:  # fmt: skip
        text, begin = state
        ends = [begin]
        self.opened.append(begin if bare else begin - 1)

        def noting(text: str, at: int) -> tuple[Node, int]:
            value, end = scan(text, at)
            ends.append(end)
            return Node(value, at), end

        def members(pairs: list[tuple[str, Node]]) -> dict[str, tuple[int, Node]]:
            found: dict[str, tuple[int, Node]] = {}
            for (key, node), before in zip(pairs, ends, strict=False):
                at = _next_item(text, before)
                if key in found:
                    self.repeated.append((at, found[key][0]))
                else:
                    found[key] = at, node
            return found

        parsed: tuple[dict[str, tuple[int, Node]], int] = JSONObject(
            state, encoding, strict, noting, None, members, memo, bare
        )
        self.opened.pop()
        return parsed

    def _array(self, state: tuple[str, int], scan: _Scan) -> tuple[list[Node], int]:
        def noting(text: str, at: int) -> tuple[Node, int]:
            value, end = scan(text, at)
            return Node(value, at), end

        self.opened.append(state[1] - 1)
        parsed: tuple[list[Node], int] = JSONArray(state, noting)
        self.opened.pop()
        return parsed

    def _word(self, context: Any, text: str, at: int) -> tuple[Any, int]:
        try:
            value, end = scantfnns(context, text, at)
        except (OverflowError, ValueError) as error:
            if isinstance(error, HjsonDecodeError):
                raise
            raise HjsonDecodeError("Number too large", text, at) from error
        if isinstance(value, str):
            self.words.append((at, value))
        return value, end


def _next_item(text: str, end: int) -> int:
    """Offset of the next key after a value that ended at `end`, as the library finds it."""
    first, at = getNext(text, end)
    return int(getNext(text, at + 1)[1] if first == "," else at)


def swallowed(word: str) -> str | None:
    """What an unquoted word swallowed, None where it looks like the plain text it is."""
    if _NEXT_KEY.search(word):
        return "swallowed-key"
    if _COMMENT.search(word):
        return "swallowed-comment"
    closers = any(word.count(close) > word.count(opening) for opening, close in ("{}", "[]"))
    return "swallowed-end" if closers or word.endswith(",") else None
