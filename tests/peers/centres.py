"""A centre with an authority of its own, whose enrolment runs for real; and a broker set up as its files say."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from central.__main__ import main
from central.ca_cli import authority_of
from central.config import AuthorityBlock
from central.config import Config as CentreConfig
from central.enrolment import Enrolment
from central.enrolments import make_code
from central.store import Store
from central.writer import Writer
from host.clock import RealClock
from host.hjson import load

PLACE = {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


class EnrollingCentre:
    """Stations tower-01 and tower-02 of network n may enrol; `days` is how long a certificate is valid."""

    def __init__(self, folder: Path, root: Path, days: float = 90, broker_port: int = 8883) -> None:
        self.folder, self.root = folder, root
        self.file = folder / "central.hjson"
        self.port = free_port()
        station = {"network": "n", "name_zh": "塔", "name_en": "tower", "position": PLACE}
        self.document: dict[str, Any] = {
            "store": str(folder / "centre.db"),
            "stations": {"tower-01": station, "tower-02": station},
            "authority": {
                "folder": str(folder / "authority"), "names": ["localhost", "127.0.0.1"], "days": days,
                "listen": {"port": self.port}, "broker": {"host": "localhost", "port": broker_port},
            },
        }  # fmt: skip
        self.file.write_text(json.dumps(self.document))
        assert main(["ca", "init", str(self.file)]) == 0
        self.config = load(str(self.file), CentreConfig)
        self.store = Store(self.config.store, self.config.stations, time.time)
        self._writer = Writer()
        self._loop = asyncio.new_event_loop()
        self._enrolment = Enrolment(
            self.block, self.config.stations, self.store, self._writer, RealClock(), "centre+key"
        )  # fmt: skip
        self._task = self._loop.create_task(self._enrolment.run())
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(asyncio.wait([self._task])))
        self._thread.start()

    @property
    def block(self) -> AuthorityBlock:
        assert self.config.authority is not None
        return self.config.authority

    @property
    def address(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def fingerprint(self) -> str:
        return authority_of(self.block).fingerprint

    def code(self, station: str = "tower-01", valid_s: float = 3600) -> str:
        return make_code(self.store.db, station, "Li Wei", valid_s, time.time())

    def events(self, what: str) -> list[dict[str, Any]]:
        rows: Any = self.store.db.execute("SELECT detail FROM event WHERE what = ? ORDER BY at", (what,)).fetchall()
        return [json.loads(detail) for (detail,) in rows]

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
        self._loop.close()
        self._writer.close()
        self.store.close()

    def broker(self, broker_with: Callable[[str], Any]) -> Any:
        """mosquitto with the example's own lines, but for port and folder."""
        example = (self.root / "config" / "mosquitto" / "plumeline.conf").read_text()
        files = self.folder / "authority" / "broker"
        (files / "acl").write_text((self.root / "config" / "mosquitto" / "acl").read_text())
        lines = [one for one in example.splitlines() if not one.startswith("listener ")]
        return broker_with("\n".join(lines).replace("/etc/mosquitto/plumeline", str(files)))
