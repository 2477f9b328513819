"""Proofs about a station's Merkle tree: a record is in it, an older tree is a prefix of a newer (RFC 9162, 2.1).

Leaves are given as their hashes. A proof that does not fit is False, never an exception: it may come from a peer.
"""

from collections.abc import Sequence
from typing import Final

from protocols.tlog import EMPTY_ROOT, Frontier, node_hash, root_of

PROOF_HASHES_MAX: Final = 63


def _split(size: int) -> int:
    """Largest power of two below `size` (RFC 9162, 2.1.1)."""
    return 1 << ((size - 1).bit_length() - 1)


def prove_inclusion(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Path from leaf `index` to the root, sibling of the leaf first. Raises IndexError for an index outside."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of a tree of {len(leaves)}")
    path, low, high = [], 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(root_of(leaves[middle:high]))
            high = middle
        else:
            path.append(root_of(leaves[low:middle]))
            low = middle
    return path[::-1]


class Grown:
    """A tree of which the frontier of its first leaves is known, and the leaf hashes from there on."""

    def __init__(self, begin: Frontier, leaves: Sequence[bytes]) -> None:
        self._begin, self._leaves = begin, leaves
        self.size = begin.size + len(leaves)
        # The complete subtrees of the beginning: (first leaf, one behind the last) to root.
        self._known: dict[tuple[int, int], bytes] = {}
        low = 0
        for bit, root in zip(_bits(begin.size), begin.hashes, strict=True):
            self._known[low, low + bit] = root
            low += bit

    def prove_inclusion(self, index: int) -> list[bytes]:
        """The same path as of all leaves, for a leaf behind the beginning. Raises IndexError for another."""
        if not self._begin.size <= index < self.size:
            raise IndexError(f"leaf {index} is not among {self._begin.size} to {self.size - 1}")
        path, low, high = [], 0, self.size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._root(middle, high))
                high = middle
            else:
                path.append(self._root(low, middle))
                low = middle
        return path[::-1]

    def _root(self, low: int, high: int) -> bytes:
        begin = self._begin.size
        if low >= begin:
            return root_of(self._leaves[low - begin : high - begin])
        if (known := self._known.get((low, high))) is not None:
            return known
        middle = low + _split(high - low)
        return node_hash(self._root(low, middle), self._root(middle, high))


def _bits(size: int) -> list[int]:
    """Powers of two that a number is made of, the largest first."""
    return [1 << place for place in range(size.bit_length() - 1, -1, -1) if size >> place & 1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that `leaf` is leaf `index` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or len(path) > PROOF_HASHES_MAX:
        return False
    node, last, folded = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            folded = node_hash(sibling, folded)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            folded = node_hash(folded, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and folded == root


def prove_consistency(old: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Proof that the tree of the first `old` leaves is a prefix (RFC 9162, 2.1.4.1). Raises IndexError outside 0..n."""
    if not 0 <= old <= len(leaves):
        raise IndexError(f"no tree of {old} leaves in one of {len(leaves)}")
    path, low, high, known = [], 0, len(leaves), True
    while old not in (0, high):
        middle = low + _split(high - low)
        if old <= middle:
            path.append(root_of(leaves[middle:high]))
            high = middle
        else:
            path.append(root_of(leaves[low:middle]))
            low, known = middle, False
    if not known:
        path.append(root_of(leaves[low:high]))
    return path[::-1]


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the tree `old` is a prefix of the tree `size` (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= size or len(path) > PROOF_HASHES_MAX:
        return False
    if old in (0, size):
        return not path and old_root == (EMPTY_ROOT if old == 0 else root)
    # A complete old tree is itself the first node of the proof and is left out of it.
    first, *rest = [old_root, *path] if old & (old - 1) == 0 else path or [b""]
    node, last = old - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = first
    for sibling in rest:
        if last == 0:
            return False
        if node & 1 or node == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and before == old_root and after == root
