"""A block of solenoid valves on Modbus coils, and what flows out of it."""

from collections.abc import Mapping

from simulation.modbus import COIL


class ValveBlock:
    """One coil per port. `names` are the ports by coil; the first is the sample inlet.

    Without a powered coil the block is open to the sample inlet (`on_power_loss: sample`). Two gases open at once is
    what must never happen: it is counted in `clashes`, and the lower coil's gas wins.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._coils = [1] + [0] * (len(names) - 1)
        self.clashes = 0

    @property
    def open(self) -> str:
        """Name of the port that feeds the instrument."""
        powered = [name for name, coil in zip(self.names, self._coils, strict=True) if coil]
        return powered[0] if powered else self.names[0]

    @property
    def coils(self) -> Mapping[str, int]:
        """Coil number of each port."""
        return {name: number for number, name in enumerate(self.names)}

    def read(self, table: int, address: int, count: int) -> list[int] | None:
        """Coils as written."""
        if table != COIL or address + count > len(self._coils):
            return None
        return self._coils[address : address + count]

    def write(self, table: int, address: int, value: int) -> bool:
        """Power or release one coil."""
        if table != COIL or address >= len(self._coils):
            return False
        self._coils[address] = value
        self.clashes += sum(self._coils) > 1
        return True
