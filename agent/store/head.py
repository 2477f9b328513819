"""The tree over a log as it grows, and what the next checkpoint says of it; without I/O."""

import base64
from collections.abc import Mapping
from typing import Any

from protocols.tlog import Frontier, make_checkpoint, split_hashes
from protocols.tlog_signs import Signs


class Head:
    """`tree` is over all records; `leaves` are those since the last checkpoint, `before` the tree they were added to.

    `before` is None where nobody knows it: the last checkpoint's file is of a time when it was not written down.
    """

    def __init__(self, tree: Frontier, before: Frontier | None, leaves: list[bytes]) -> None:
        self.tree, self._before, self._leaves = tree, before, leaves

    @property
    def uncovered(self) -> int:
        """How many records no checkpoint lists yet."""
        return len(self._leaves)

    def add(self, leaf: bytes) -> None:
        """One more record."""
        self.tree = self.tree.append(leaf)
        self._leaves.append(leaf)

    def checkpoint(self, origin: str, signer: Signs) -> dict[str, Any]:
        """Members of a checkpoint over all records so far; the next one lists from here on."""
        tree, before, leaves = self.tree, self._before, self._leaves
        self._before, self._leaves = tree, []
        members = {
            "size": tree.size,
            "root": base64.b64encode(tree.root()).decode(),
            "note": make_checkpoint(origin, tree.size, tree.root(), signer),
            "leaves": base64.b64encode(b"".join(leaves)).decode(),
        }
        return members if before is None else {**members, "before": base64.b64encode(before.to_bytes()).decode()}


def tree_behind(checkpoint: Mapping[str, Any]) -> Frontier | None:
    """The tree a checkpoint record was written over, by its own members; None where they do not say, or do not fit."""
    try:
        before = Frontier.from_bytes(base64.b64decode(checkpoint["before"], validate=True))
        tree = before.extend(split_hashes(base64.b64decode(checkpoint["leaves"], validate=True)))
    except (KeyError, TypeError, ValueError):
        return None
    return tree if base64.b64encode(tree.root()).decode() == checkpoint.get("root") else None
