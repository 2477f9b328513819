"""The process under libFuzzer: `target.py ROOT SUBJECT TARGET [libFuzzer options] CORPUS...`

ROOT is the folder whose packages are tested. Half of the inputs are mutated as bytes, half inside a frame that is then
whole again (the target's `inside`).
"""

import gc
import sys
from collections.abc import Callable
from types import ModuleType

import atheris
from subjects import SUBJECTS, target_of


def mutator(module: ModuleType) -> Callable[[bytes, int, int], bytes]:
    """Custom mutator: even seeds damage bytes, odd ones the inside of what the target reads."""

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        if seed & 1:
            made: bytes = module.inside(bytes(data), max_size, seed, atheris.Mutate)
            return made
        return bytes(atheris.Mutate(data, max_size))

    return mutate


def main() -> None:
    """Fuzz until libFuzzer has done its runs; an exception is a crash."""
    root, subject, name, *options = sys.argv[1:]
    sys.path.insert(1, root)
    with atheris.instrument_imports(include=list(SUBJECTS[subject].targets[name].lead)):
        module = target_of(subject, name)
    atheris.Setup([sys.argv[0], *options], module.one_input, custom_mutator=mutator(module))
    # What is there by now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    atheris.Fuzz()


if __name__ == "__main__":
    main()
