"""What a log needs of whoever signs its checkpoints."""

from typing import Protocol


class Signs(Protocol):
    """What signs note texts; `vkey` is the verification key in force."""

    @property
    def vkey(self) -> str:
        """Verification key as text."""

    def sign(self, text: str) -> str:
        """The signed note. Raises NoteError."""
