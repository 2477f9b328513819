"""A short hunt without libFuzzer, for the tests: `quick.py ROOT SUBJECT TARGET INPUTS`

The same targets, first inputs and mutators, from a fixed seed, without guidance by coverage. Prints a JSON object with
how many inputs were tried and what the first of them broke, if one did. ROOT is the folder whose packages are tested.
"""

import json
import random
import sys

from rough import rough
from subjects import target_of

SIZE_MAX = 1100


def hunt(subject: str, target: str, inputs: int, seed: int = 1) -> tuple[int, str | None]:
    """Every first input as it is, then mutated ones; how many were tried, and what was broken."""
    module = target_of(subject, target)
    known = module.seeds()
    rng = random.Random(seed)
    words = getattr(module, "WORDS", ())

    def change(data: bytes, room: int) -> bytes:
        return rough(data, room, rng.getrandbits(32), words)

    for number in range(inputs):
        one = known[number] if number < len(known) else rng.choice(known)
        if number >= len(known):
            number_of_change = rng.getrandbits(32)
            if number & 1:
                one = module.inside(
                    one, SIZE_MAX, number_of_change, lambda data, room: rough(data, room, rng.getrandbits(32))
                )
            else:
                one = rough(one, SIZE_MAX, number_of_change)
        try:
            module.one_input(one)
        except Exception as error:  # noqa: BLE001 - whatever gets out is what is looked for
            return number + 1, f"{type(error).__name__}: {error}"
    return inputs, None


if __name__ == "__main__":
    sys.path.insert(1, sys.argv[1])
    tried, broken = hunt(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    getattr(target_of(sys.argv[2], sys.argv[3]), "end", lambda: None)()
    print(json.dumps({"inputs": tried, "broken": broken}))
