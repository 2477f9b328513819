"""Lines to the instruments: wires, buses with one owner each, polls and listeners."""
