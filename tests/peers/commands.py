"""Commands of both programs, run in this process."""

import contextlib
import io
from collections.abc import Callable


def said(command: Callable[[list[str]], int], *words: object, code: int = 0) -> str:
    """What a command prints."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ended = command(["--lang", "en", *map(str, words)])
    assert ended == code, (out.getvalue(), err.getvalue())
    return out.getvalue() or err.getvalue()
