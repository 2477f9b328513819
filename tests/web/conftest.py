"""Both real pages over HTTP, with an account of each role: what strangers and the wrong people meet."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from agent.page import Page
from agent.page_access import ACCESS as STATION_ACCESS
from central.app import Pages
from central.config import Config
from central.ingest_hj212 import Hj212Ingest
from central.page_access import ACCESS as CENTRE_ACCESS
from central.store import Store
from central.writer import Writer
from host.acts import WaitingActs
from host.clock import ManualClock
from metrology.periods import parse_iso
from web.access import Access
from web.accounts import ROLES, Accounts

NOW = parse_iso("2026-03-01T05:00:00Z")
MN = "A000000000000000000000ZZ"
FACTORS = {"a05001": {"series": "gas.co2", "unit": "mg/m3", "decimals": 1, "state": "ambient-298K"}}


@dataclass
class Site:
    """One page: where it is, its application, who may do what on it, and the acts put on record."""

    name: str
    address: str
    app: Starlette
    access: Access
    accounts: Accounts
    acts: Callable[[], list[dict[str, Any]]]


@pytest.fixture
def centre_config(tmp_path: Path) -> Config:
    (tmp_path / "pw").write_text("123456")
    (tmp_path / "pw").chmod(0o600)
    outlet = {"mn": MN, "pw": {"file": str(tmp_path / "pw")}, "factors": FACTORS}
    station = {
        "network": "n", "name_zh": "塔", "name_en": "Tower", "outlets": {"main": outlet},
        "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
        "vkey": "example.com/station/A0001+0345a97d+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
    }  # fmt: skip
    return Config.model_validate(
        {"store": str(tmp_path / "central.db"), "hj212": {"port": 0}, "stations": {"tower": station}}
    )


def station_page(folder: Path, _: Any, __: Any) -> tuple[Starlette, Access, Any]:
    """The station page, whose daemon is away: acts wait for it."""
    app = Page(str(folder / "none.sock"), folder).application()
    return app, STATION_ACCESS, WaitingActs(folder).read


def centre_page(folder: Path, config: Config, recorded: Any) -> tuple[Starlette, Access, Any]:
    """The centre's page with everything it may have, over an empty store."""
    Store(config.store, config.stations, lambda: 0.0).close()
    assert config.hj212 is not None
    clock = ManualClock(NOW)
    store = Store(config.store, config.stations, lambda: 0.0)
    desk = Hj212Ingest(config.hj212, config.stations, store, Writer(), clock).desk
    return Pages(config, clock, dict, desk, recorded).application(), CENTRE_ACCESS, lambda: recorded


@pytest.fixture(scope="session")
def four_accounts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of accounts, one of each role and named as it; made once, for a hash is dear."""
    accounts = Accounts(tmp_path_factory.mktemp("accounts"))
    for role in ROLES:
        accounts.add(role, role, "a heron over the weir")
    return accounts.path


@pytest.fixture(params=[station_page, centre_page], ids=["station", "centre"])
def site(
    request: pytest.FixtureRequest, tmp_path: Path, centre_config: Config, serve_page: Any, four_accounts: Path,
    recorded: Any,
) -> Site:  # fmt: skip
    """A page with an account of each role, named as the role."""
    accounts = Accounts(tmp_path)
    shutil.copy(four_accounts, accounts.path)
    app, access, acts = request.param(tmp_path, centre_config, recorded)
    return Site(request.param.__name__, serve_page(app), app, access, accounts, acts)


@pytest.fixture
def signed_in(site: Site, visitor: Any) -> Callable[[str], Any]:
    """`signed_in(role)`: somebody with that role."""

    def enter(role: str) -> Any:
        found = visitor(site.address)
        assert found.sign_in(role).status == 303
        return found

    return enter
