"""What a look at a station finds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.config import Config


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: `code` names its sentence, `values` fill it in. A note is no weakness, but a person should know."""

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)
    note: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at: a configuration, the file it came from, and the process that runs the station, if any.

    `status` is what that process says of itself; None where none answers.
    """

    config: Config
    path: Path
    daemon: int | None
    status: Mapping[str, Any] | None = None


# Gives what is weak; nothing where all is well.
Look = Callable[[Subject], Iterator[Finding]]
