"""Child processes of the daemon, carried out at once inside the simulation: `python -m module arguments`."""

import asyncio
import io
import os
import runpy
import sys
from contextlib import redirect_stdout
from typing import Any


class Child:
    """A child that has ended before its parent looks."""

    def __init__(self, code: int, out: bytes, said: bytes) -> None:
        self.returncode, self._out, self._said = code, out, said

    async def communicate(self) -> tuple[bytes, bytes]:
        """Give all it printed, some time later."""
        await asyncio.sleep(0.5)
        return self._out, self._said

    async def wait(self) -> int:
        """Give its exit code."""
        return self.returncode

    def terminate(self) -> None:
        """Do nothing: it has ended."""

    kill = terminate


async def create(program: str, *line: str, **_: Any) -> Child:
    """Stand for asyncio.create_subprocess_exec."""
    assert line[0] == "-m", "only the project's own modules are started"
    out, arguments, nice = io.StringIO(), sys.argv, os.nice
    try:
        sys.argv, os.nice = [line[1], *line[2:]], lambda _: 0
        with redirect_stdout(out):
            runpy.run_module(line[1], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return Child(int(ended.code or 0), out.getvalue().encode(), b"")
    except Exception as error:  # noqa: BLE001  what a child says when it fails
        return Child(1, out.getvalue().encode(), f"{type(error).__name__}: {error}".encode())
    finally:
        sys.argv, os.nice = arguments, nice
    return Child(0, out.getvalue().encode(), b"")


def adopt() -> None:
    """Have every child of this process be one of these."""
    asyncio.create_subprocess_exec = create  # type: ignore[assignment]
