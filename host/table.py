"""Tables for a terminal: columns as wide as their texts are shown, Chinese included."""

import unicodedata
from collections.abc import Collection, Sequence

GAP = "  "


def _shown(text: str) -> str:
    """A text that cannot move the cursor, whatever an instrument or a platform put into it."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _width(text: str) -> int:
    """Columns of a terminal (Unicode standard annex 11: wide and full-width signs take two)."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Lines of a table under its head; columns in `right` end at one edge. Every row is as long as the head."""
    cells = [[_shown(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = []
        for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - _width(cell))
            padded.append(space + cell if at in right else cell + space)
        lines.append(GAP.join(padded).rstrip())
    return "\n".join(lines)
