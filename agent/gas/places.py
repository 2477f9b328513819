"""Places where a cylinder may stand: the station's words for gases, which port leads there, what it is used for."""

from typing import Any

from agent.config import Config
from calibration.standards.register import Register


def places(config: Config, register: Register) -> list[dict[str, Any]]:
    """Each place with the ports (`valve.port`) that sequences open for it, their roles by measurand, and who is there.

    Places are the names the configuration declares or a sequence uses; `holds` is [number, fill], None where empty.
    """
    used = [(each.valve, one) for each in config.sequences.values() for one in each.injections]
    names = dict.fromkeys([*config.cylinders, *(one.gas for _, one in used)])
    found = []
    for name in names:
        mine = [(valve, one) for valve, one in used if one.gas == name]
        ports = dict.fromkeys(f"{valve}.{one.port}" for valve, one in mine if valve and one.port)
        roles = {measurand: role for _, one in reversed(mine) for measurand, role in one.roles.items()}
        there = register.named(name)
        holds = list(there.row.key) if there is not None and there.in_use else None
        found.append({"name": name, "ports": list(ports), "roles": roles, "holds": holds})
    return found
