"""What GCWerks exports of a run have in common: which words stand for air, and how flags read."""

from typing import Final

# Words of the column `type` and of inlets in public GCWerks files; another word in `type` is not air either.
AIR: Final = frozenset({"air", "amb", "ambient", "sample", "smp", "inlet"})
TANKS: Final = frozenset({
    "std", "standard", "cal", "calibration", "tgt", "target", "tank", "ref", "reference", "zero", "span", "blank", "qc",
})  # fmt: skip
# A flag without a letter in its first place leaves the value: `-`, `.`, `0`, and codes such as `--B-` or `-A--`.
_GOOD: Final = frozenset("-.0 _")


def kept(flag: str) -> bool:
    """True where a flag rejects nothing: its first sign tells, the others say how the peak was integrated."""
    return not flag or flag[0] in _GOOD


def gas_of_type(word: str) -> str:
    """Empty for air, else the word."""
    low = word.strip().lower()
    return "" if low in AIR else low


def gas_of_inlet(word: str) -> str:
    """Empty for an inlet of air; the word where it names a tank (`std`, `tgt_2`)."""
    low = word.strip().lower()
    head = low.replace("-", "_").split("_")[0].rstrip("0123456789")
    return low if head in TANKS else ""
