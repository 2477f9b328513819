"""Every look there is, by area and name. A new one is a row here and its sentences in `sentences.toml`."""

from collections.abc import Mapping
from typing import Final

from agent.inspection import disk, files, keeping, network, people, programs, running, time
from agent.inspection.finding import Look

SECURITY: Final[Mapping[str, Look]] = {
    "owners": files.owners,
    "config": files.config_mode,
    "update-keys": files.update_keys,
    "secrets": files.secrets,
    "store": files.store_mode,
    "socket": files.socket_mode,
    "accounts": people.accounts,
    "mqtt": network.mqtt,
    "page": network.page,
    "hj212": network.hj212,
    "witness": network.witness,
    "tls": network.tls_library,
    "core-dumps": programs.core_dumps,
    "user": programs.privileged,
    "sqlite": programs.sqlite,
    "drivers": programs.drivers,
}
TIME: Final[Mapping[str, Look]] = {"clock": time.clock_rows}
DISK: Final[Mapping[str, Look]] = {"mount": disk.mount, "room": disk.room, "sync": disk.sync}
LOG: Final[Mapping[str, Look]] = {
    "quarantine": keeping.quarantine,
    "witness": keeping.witness,
    "index": keeping.index,
    "waiting": keeping.waiting,
    "uplinks": keeping.uplinks,
    "cosigned": keeping.cosigned,
    "calibrations": keeping.calibrations,
}
PROGRAM: Final[Mapping[str, Look]] = {
    "ports": running.ports,
    "supervised": running.supervised,
    "uses": running.uses,
    "engine": running.engine,
}
AREAS: Final[Mapping[str, Mapping[str, Look]]] = {
    "security": SECURITY, "time": TIME, "disk": DISK, "log": LOG, "program": PROGRAM,
}  # fmt: skip
