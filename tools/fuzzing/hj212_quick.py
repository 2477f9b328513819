"""A short hunt without libFuzzer, for the tests: `hj212_quick.py ROOT decoder|sessions INPUTS`

The same targets, first inputs and mutators, from a fixed seed, without guidance by coverage. Prints a JSON object with
how many inputs were tried and what the first of them broke, if one did. ROOT is the folder whose `protocols` is tested.
"""

import importlib
import json
import random
import sys

SIZE_MAX = 1100


def hunt(target: str, inputs: int, seed: int = 1) -> tuple[int, str | None]:
    """Every first input as it is, then mutated ones; how many were tried, and what was broken."""
    from hj212_wire import damage_inside, damage_step, rough

    module = importlib.import_module(f"hj212_{target}")
    inside = damage_inside if target == "decoder" else damage_step
    known = module.seeds()
    rng = random.Random(seed)
    for number in range(inputs):
        one = known[number] if number < len(known) else rng.choice(known)
        if number >= len(known):
            number_of_change = rng.getrandbits(32)
            if number & 1:
                one = inside(one, SIZE_MAX, number_of_change, lambda data, room: rough(data, room, rng.getrandbits(32)))
            else:
                one = rough(one, SIZE_MAX, number_of_change)
        try:
            module.one_input(one)
        except Exception as error:  # noqa: BLE001 - whatever gets out is what is looked for
            return number + 1, f"{type(error).__name__}: {error}"
    return inputs, None


if __name__ == "__main__":
    sys.path.insert(1, sys.argv[1])
    tried, broken = hunt(sys.argv[2], int(sys.argv[3]))
    print(json.dumps({"inputs": tried, "broken": broken}))
