"""The process under libFuzzer: `hj212_target.py ROOT decoder|sessions [libFuzzer options] CORPUS...`

ROOT is the folder whose `protocols` is tested. Half of the inputs are mutated as bytes, half inside a frame whose
length and check sum are then right again (`hj212_wire`).
"""

import importlib
import sys
from collections.abc import Callable

import atheris
from hj212_wire import damage_inside, damage_step

# Whose branches lead the way. Loops over every byte would only be counted, at a high price, and in the sessions'
# target the decoder has been through its own.
UNDER_TEST = {
    "decoder": ("candidate", "decoder", "frame", "message", "plain", "segment", "sm4"),
    "sessions": (
        "link_commands", "outgoing", "platform", "platform_requests", "reader", "service", "session", "split",
        "station", "transitions", "uploads",
    ),
}  # fmt: skip


def mutator(name: str) -> Callable[[bytes, int, int], bytes]:
    """Custom mutator: even seeds damage bytes, odd ones the inside of a frame or of a step."""
    inside = damage_inside if name == "decoder" else damage_step

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        if seed & 1:
            return inside(bytes(data), max_size, seed, atheris.Mutate)
        return bytes(atheris.Mutate(data, max_size))

    return mutate


def main() -> None:
    """Fuzz until libFuzzer has done its runs; an exception is a crash."""
    root, name, *options = sys.argv[1:]
    sys.path.insert(1, root)
    with atheris.instrument_imports(include=[f"protocols.hj212.{module}" for module in UNDER_TEST[name]]):
        one_input = importlib.import_module(f"hj212_{name}").one_input
    atheris.Setup([sys.argv[0], *options], one_input, custom_mutator=mutator(name))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
