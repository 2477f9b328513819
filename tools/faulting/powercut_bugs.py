"""Bugs that the power-cut campaign plants in its own writer, and that it must find."""

import os
from collections.abc import Callable
from typing import Any

import apsw

import agent.store.segment as segment
import agent.store.witness as witness


def _normal() -> None:
    opened = segment.open_database

    def open_database(*arguments: Any, **options: Any) -> apsw.Connection:
        connection = opened(*arguments, **options)
        connection.pragma("synchronous", "NORMAL")
        return connection

    segment.open_database = open_database


def _no_witness_sync() -> None:
    class Os:
        """The system, but for the sync of the witness."""

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def fdatasync(self, handle: int) -> None:
            """Nothing."""

    witness.os = Os()  # type: ignore[assignment]


def _nothing() -> None:
    """The writer itself looks at the name."""


# `missing-folder-sync`: SQLite syncs the folder of its own accord, so the model of the disk must not do it for it.
BUGS: dict[str, Callable[[], None]] = {
    "synchronous-normal": _normal,
    "acknowledge-before-commit": _nothing,
    "place-before-write": _nothing,
    "missing-folder-sync": _nothing,
    "missing-witness-sync": _no_witness_sync,
}
