"""Every look there is, by area and name. A new one is a row here and its sentences in `sentences.toml`."""

from collections.abc import Mapping
from typing import Final

from agent.inspection import files, network, people, programs, time
from agent.inspection.finding import Look

SECURITY: Final[Mapping[str, Look]] = {
    "config": files.config_mode,
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
AREAS: Final[Mapping[str, Mapping[str, Look]]] = {"security": SECURITY, "time": TIME}
