"""Configurations of a line's two ends."""

from typing import TYPE_CHECKING, Any

from gateway_driver import NAME

from protocols.tlog import signer_from_seed

if TYPE_CHECKING:
    from line import Line

STATION, PORTS = "faults-01", 5
PLACE = {"latitude": 31.2, "longitude": 121.5, "height_m": 10, "datum": "WGS-84"}
FACTORS = {"a34013": {"series": "dev001.static_pressure", "decimals": 3}}
MN = "0100B1F2A00002A000000001"


def station_of(line: "Line") -> dict[str, Any]:
    """The daemon's."""
    buses = {f"bus{number}": {"wire": {"kind": "tcp", "host": "127.0.0.1", "port": port}, "protocol": "modbus-tcp"}
             for number, port in enumerate(line.unit_ports)}  # fmt: skip
    instruments = {
        f"dev{unit:03d}": {"driver": NAME, "bus": f"bus{unit % PORTS}", "unit": unit, "poll_s": line.shape.poll_s,
                           "kind": "regulated", "rule": "hj-stack"}
        for unit in range(1, line.shape.units + 1)
    }  # fmt: skip
    uplinks: dict[str, Any] = {
        "centre": {"kind": "mqtt", "host": line.shape.host, "port": line.ports["mqtt"]},
    }
    if line.shape.hj212:
        uplinks["province"] = {"kind": "hj212", "host": line.shape.host, "port": line.ports["hj212"],
                               "outlet": "main", **_identity(line), "factors": FACTORS}  # fmt: skip
    return {
        "station": {"id": STATION, "network": "faults", "name_zh": "测试", "name_en": "Faults",
                    "simulated": line.shape.host == "127.0.0.1", "position": PLACE},
        "store": {"path": str(line.store), "commit_ms": 50, "quota_GB": line.shape.quota_GB},
        "ledger": {"key": {"file": str(line.folder / "key")}},
        "buses": buses, "instruments": instruments, "uplinks": uplinks, "socket": str(line.socket),
    }  # fmt: skip


def _identity(line: "Line") -> dict[str, Any]:
    return {"mn": MN, "st": "31", "pw": {"file": str(line.folder / "pw")}}


def central_of(line: "Line", seed: str) -> dict[str, Any]:
    """The centre's; `seed` is of the station's key."""
    station: dict[str, Any] = {
        "network": "faults", "name_zh": "测试", "name_en": "Faults", "position": PLACE,
        "vkey": signer_from_seed(seed, f"plumeline/{STATION}").vkey,
    }  # fmt: skip
    if line.shape.hj212:
        station["outlets"] = {"main": {**_identity(line), "factors": FACTORS}}
    return {
        "store": str(line.central),
        "hj212": {"port": line.ports["hj212"], "host": line.shape.host},
        "mqtt": {"host": line.shape.host, "port": line.ports["mqtt"]},
        "stations": {STATION: station},
    }
