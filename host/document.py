"""A parsed configuration file that can tell the line and column of every key and value."""

from dataclasses import dataclass
from typing import Any

from host.hjson_scan import Node
from host.problems import Lang, Problem, Severity, sentences

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file that can tell where each key and value stands."""

    path: str
    text: str
    root: Node
    lang: Lang

    def has(self, path: KeyPath) -> bool:
        """True where the file itself gives this key (not only the model's default)."""
        return self._steps(path)[0] == len(path)

    def problem(
        self, code: str, path: KeyPath, /, *, severity: Severity = "error", at_key: bool = False, **values: Any
    ) -> Problem:
        """Make a problem of the general table, placed at the value of `path` (at its key where asked)."""
        return self.placed(code, path, sentences().say(code, self.lang, **values), severity=severity, at_key=at_key)

    def placed(
        self, code: str, path: KeyPath, said: tuple[str, str], *, severity: Severity = "error", at_key: bool = False
    ) -> Problem:
        """Make a problem of sentences already chosen. A path the file lacks is placed at the last key that exists."""
        found, key, node = self._steps(path)
        line, column = line_and_column(self.text, key if at_key or found < len(path) else node.start)
        return Problem(self.path, line, column, severity, code, ".".join(map(str, path)), *said)

    def _steps(self, path: KeyPath) -> tuple[int, int, Node]:
        """How many steps of the path exist, the offset of the last key met (of an item: itself), and its node."""
        key, node = self.root.start, self.root
        for depth, step in enumerate(path):
            inner = node.value
            if isinstance(inner, dict) and step in inner:
                key, node = inner[step]
            elif isinstance(inner, list) and isinstance(step, int) and step < len(inner):
                node = inner[step]
                key = node.start
            else:
                return depth, key, node
        return len(path), key, node


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of an offset in characters."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
