"""Configurations of one demo run, written from what the simulation says of itself (`layout.json`)."""

import json
import os
import secrets
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from demo_keys import Authority, random_seed, write_private

from protocols.tlog import signer_from_seed

Block = dict[str, Any]

DRIVERS = {
    "cems-block": "cems_block",
    "picarro-crds": "picarro",
    "senseair-s8": "senseair_s8",
    "vaisala-wxt": "vaisala_wxt5xx",
    "board": "micro_board",
    "plantower-pms": "plantower_pms",
}
FACTORS: dict[str, Block] = {
    "stack-01": {
        "a21026": {"series": "cems.so2", "decimals": 2},
        "a21002": {"series": "cems.nox", "decimals": 2},
        "a34013": {"series": "cems.dust", "decimals": 2},
        "a19001": {"series": "cems.o2", "decimals": 2},
        "a05001": {"series": "cems.co2_percent", "unit": "mg/m3", "decimals": 1, "state": "stack-dry"},
        "a01012": {"series": "cems.stack_temperature", "decimals": 1},
        "a01013": {"series": "cems.static_pressure", "decimals": 4},
        "a01014": {"series": "cems.stack_humidity", "decimals": 2},
        "a01017": {"series": "cems.differential_pressure", "decimals": 4},
    },
    "tower-01": {
        "a05001": {"series": "crds.co2_dry", "unit": "mg/m3", "decimals": 3, "state": "ambient-298K"},
        "a05002": {"series": "crds.ch4_dry", "unit": "mg/m3", "decimals": 5, "state": "ambient-298K"},
        "a01007": {"series": "weather.wind_speed", "decimals": 2},
        "a01008": {"series": "weather.wind_direction", "decimals": 1},
    },
}
# A board beside a leak reads more than air ever holds: its sensor's range is its own.
RANGES = {"ch4": {"minimum": 0, "maximum": 1000}}
# A poll each second of a world that runs a hundred times as fast is no test of the wires.
POLL_S = {"cems": 3.0, "weather": 6.0, "ndir": 6.0, "crds": 10.0}


@dataclass(frozen=True)
class Run:
    """Where everything of a run lies, and the ports it uses."""

    out: Path
    mqtt_port: int
    hj212_port: int
    http_port: int
    page_port: int | None

    @property
    def store(self) -> Path:
        """The centre's database."""
        return self.out / "central" / "store.sqlite"

    def config(self, name: str) -> Path:
        """Configuration file of a station, or of the centre."""
        return self.out / "config" / f"{name}.hjson"


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write(path: Path, document: Block) -> None:
    """Write a configuration; JSON is HJSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def factors(name: str, station: Block) -> Block:
    """HJ 212 factors of a station, as far as it has the instruments."""
    every = FACTORS.get(name, {})
    return {code: row for code, row in every.items() if row["series"].split(".")[0] in station["instruments"]}


def _identity(name: str) -> Block:
    """MN and system type of a station's outlet: 31 is stack gas, 22 ambient air (HJ 212-2017 table 5)."""
    number = list(FACTORS).index(name) + 1
    return {"mn": f"0100B1F2A00002A0{number:08d}", "st": "31" if name == "stack-01" else "22"}


def _instrument(name: str, block: Block, series: list[str]) -> Block:
    found: Block = {
        "driver": DRIVERS[block["what"]],
        "bus": block["bus"],
        "kind": block["kind"],
        "rule": block["rule"],
        "position": block["position"],
        "series": {measurand: block.get("ranges", RANGES).get(measurand, {}) for measurand in series},
    }
    for key in ("unit", "expected_per_minute"):
        if key in block:
            found[key] = block[key]
    if "poll_s" in block:
        found["poll_s"] = POLL_S.get(name, block["poll_s"])
    if block["what"] == "picarro-crds":
        found["options"] = {"columns": block["columns"], "decimals": block["decimals"], "clock": "UTC"}
        found["expected_per_minute"] = 60 / block["row_s"] / 3
        found["series"] = {m: {} for m in ("co2", "co2_dry", "ch4", "ch4_dry", "h2o", "h2o_reported")}
    return found


def _sequences(station: str) -> Block:
    """A zero and span each two hours of the world, on the tower with a target gas."""
    series = {"stack-01": ["so2", "nox", "o2", "co2_percent"], "tower-01": ["co2_dry", "ch4_dry"]}.get(station)
    if series is None:
        return {}
    roles = ["zero", "span", "target"] if station == "tower-01" else ["zero", "span"]
    injections = [
        {"gas": f"{station}-{role}", "port": role, "roles": dict.fromkeys(series, role),
         "flush_s": 240, "average_s": 120}
        for role in roles
    ]  # fmt: skip
    return {
        "daily": {
            "valve": "gas",
            "instrument": "crds" if station == "tower-01" else "cems",
            # The gas fills the cell of the CRDS, of the CEMS only what its gas path touches.
            **({} if station == "tower-01" else {"affects": series}),
            "injections": injections,
            "recovery_s": 240,
            "schedule": {"every_h": 3, "offset_h": 1.5},
        }
    }


def station_config(run: Run, name: str, station: Block, cylinders: Block, authority: Authority) -> str:
    """Write one station's configuration; gives its verification key."""
    private = run.out / "secrets"
    seed = random_seed(private / f"{name}.seed")
    certificate, key = authority.issue(name)
    uplinks: Block = {
        "centre": {
            "kind": "mqtt", "host": "127.0.0.1", "port": run.mqtt_port,
            "tls": {"ca": str(authority.certificate), "certificate": str(certificate), "key": {"file": str(key)}},
        }
    }  # fmt: skip
    if name in FACTORS:
        password = write_private(private / f"{name}.pw", str(secrets.randbelow(900000) + 100000).encode())
        uplinks["province"] = {
            "kind": "hj212", "host": "127.0.0.1", "port": run.hj212_port, "outlet": "main",
            **_identity(name), "pw": {"file": str(password)}, "factors": factors(name, station),
        }  # fmt: skip
    document: Block = {
        "station": {key: station[key] for key in ("network", "name_zh", "name_en", "position", "simulated")},
        "store": {"path": str(run.out / "stations" / name), "quota_GB": 200},
        "ledger": {"key": {"file": str(private / f"{name}.seed")}},
        "buses": {bus: {**block, "timeout_s": 3} for bus, block in station["buses"].items()},
        "instruments": {n: _instrument(n, b, b.get("measurands", [])) for n, b in station["instruments"].items()},
        "valves": station["valves"],
        "cylinders": {n: c for n, c in cylinders.items() if n.startswith(name)},
        "sequences": _sequences(name) if station["valves"] else {},
        "uplinks": uplinks,
        "socket": str(run.out / "stations" / name / "control.sock"),
    }
    document["station"]["id"] = name
    if run.page_port and name == "stack-01":
        document["page"] = {"port": run.page_port}
    write(run.config(name), document)
    return signer_from_seed(seed, f"plumeline/{name}").vkey


def central_config(run: Run, layout: Block, vkeys: dict[str, str], authority: Authority) -> None:
    """Write the centre's configuration."""
    certificate, key = authority.issue("plumeline-central")
    stations: Block = {}
    for name, station in layout["stations"].items():
        stations[name] = {
            "network": station["network"],
            "name_zh": station["name_zh"],
            "name_en": station["name_en"],
            "position": station["position"],
            "vkey": vkeys[name],
            "instruments": {n: b["position"] for n, b in station["instruments"].items()},
        }
        if name in FACTORS:
            stations[name]["outlets"] = {
                "main": {
                    **_identity(name),
                    "pw": {"file": str(run.out / "secrets" / f"{name}.pw")}, "factors": factors(name, station),
                }
            }  # fmt: skip
    document: Block = {
        "store": str(run.store),
        "http": {"port": run.http_port},
        "hj212": {"port": run.hj212_port},
        "mqtt": {
            "host": "127.0.0.1", "port": run.mqtt_port,
            "tls": {"ca": str(authority.certificate), "certificate": str(certificate), "key": {"file": str(key)}},
        },
        "witness": {"name": "plumeline-demo/centre", "key": {"file": str(run.out / "secrets" / "witness.seed")}},
        "stations": stations,
    }  # fmt: skip
    random_seed(run.out / "secrets" / "witness.seed")
    if "field-01" in stations:
        document["attribution"] = {"meteorology": {"station": "field-01", "mast": "weather"}}
    run.store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write(run.config("central"), document)


def broker_config(run: Run, authority: Authority) -> Path:
    """Write the broker's configuration: certificates only, each station in its own branch."""
    certificate, key = authority.issue("broker")
    acl = run.out / "config" / "acl"
    acl.parent.mkdir(parents=True, exist_ok=True)
    acl.write_text(
        "pattern write plumeline/v1/+/%u/up/#\npattern read plumeline/v1/+/%u/down/#\n"
        "user plumeline-central\ntopic read plumeline/v1/+/+/up/#\ntopic write plumeline/v1/+/+/down/#\n"
    )
    path = run.out / "config" / "mosquitto.conf"
    path.write_text(
        f"listener {run.mqtt_port} 127.0.0.1\ncafile {authority.certificate}\ncertfile {certificate}\n"
        f"keyfile {key}\nrequire_certificate true\nuse_identity_as_username true\nacl_file {acl}\n"
        "persistence false\nlog_type error\nlog_type warning\nmax_queued_messages 0\nmax_inflight_messages 50\n"
    )
    # Started by root the broker would change to a user of its own, who may not read this run's key.
    if os.geteuid() == 0:
        with path.open("a") as file:
            file.write("user root\n")
    return path


def set_up(run: Run) -> list[str]:
    """Write every configuration of a run; gives the stations' names."""
    (run.out / "secrets").mkdir(parents=True, exist_ok=True, mode=0o700)
    layout = json.loads((run.out / "layout.json").read_text())
    cylinders = json.loads((run.out / "cylinders.json").read_text())
    authority = Authority(run.out / "secrets" / "tls")
    vkeys = {
        name: station_config(run, name, station, cylinders, authority) for name, station in layout["stations"].items()
    }
    central_config(run, layout, vkeys, authority)
    broker_config(run, authority)
    return list(vkeys)
