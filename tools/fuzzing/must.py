"""What a target says where something that must hold does not."""


class ViolationError(AssertionError):
    """Something that must hold did not."""


def need(holds: bool, what: str) -> None:
    """Raise ViolationError unless it holds."""
    if not holds:
        raise ViolationError(what)
