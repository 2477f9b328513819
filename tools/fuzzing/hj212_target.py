"""The process under libFuzzer: `hj212_target.py ROOT decoder|sessions [libFuzzer options] CORPUS...`

ROOT is the folder whose `protocols` is tested. Half of the inputs are mutated as bytes, half inside a frame whose
length and check sum are then repaired (`hj212_wire.damage_inside`).
"""

import importlib
import sys

import atheris

# Loops over every byte without a decision in them would only be counted, at a high price.
UNDER_TEST = ["protocols.hj212"]
NOT_INSTRUMENTED = ["protocols.hj212.crc", "protocols.hj212.tables", "protocols.hj212.factors"]


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Custom mutator: even seeds damage bytes, odd ones the inside of a frame."""
    from hj212_wire import damage_inside

    if seed & 1:
        return damage_inside(bytes(data), max_size, seed, atheris.Mutate)
    return bytes(atheris.Mutate(data, max_size))


def main() -> None:
    """Fuzz until libFuzzer has done its runs; an exception is a crash."""
    root, name, *options = sys.argv[1:]
    sys.path.insert(1, root)
    with atheris.instrument_imports(include=UNDER_TEST, exclude=NOT_INSTRUMENTED):
        one_input = importlib.import_module(f"hj212_{name}").one_input
    atheris.Setup([sys.argv[0], *options], one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
