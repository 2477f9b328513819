"""A proof made of a frontier and the leaves behind it is the proof made of all leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.tlog import Frontier, leaf_hash, root_of
from protocols.tlog_proofs import Grown, prove_inclusion, verify_inclusion

LEAVES = [leaf_hash(str(number).encode()) for number in range(260)]


@given(st.data())
def test_the_path_is_the_same_wherever_the_known_leaves_begin(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    begin = data.draw(st.integers(0, index))
    leaves = LEAVES[:size]
    grown = Grown(Frontier().extend(leaves[:begin]), leaves[begin:])
    path = grown.prove_inclusion(index)
    assert path == prove_inclusion(index, leaves)
    assert verify_inclusion(leaves[index], index, size, path, root_of(leaves))


def test_a_leaf_before_the_beginning_is_not_proven() -> None:
    grown = Grown(Frontier().extend(LEAVES[:5]), LEAVES[5:9])
    with pytest.raises(IndexError, match="not among 5 to 8"):
        grown.prove_inclusion(4)
    with pytest.raises(IndexError):
        grown.prove_inclusion(9)
