"""A month of a station, written by the code that writes real records, and its reports."""

import importlib.util
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BEGIN = datetime(2026, 5, 31, 16, tzinfo=UTC)
DAYS = 30
FUEL = """unit,fuel,start,end,amount,amount_u_percent,carbon_percent,carbon_u_percent,oxidation_percent,lot
main,coal,2026-05-25,2026-06-15,42000,0.5,54.2,1.0,98.5,L-0601
main,coal,2026-06-16,2026-06-30,28900,0.5,54.9,1.0,98.5,L-0616
main,limestone,2026-06-01,2026-06-30,2100,1.0,,,,S-06
"""


@pytest.fixture(scope="session")
def made_station() -> ModuleType:
    """The maker of stations with a past."""
    root = Path(__file__).resolve().parent.parent.parent
    spec = importlib.util.spec_from_file_location("report_station", root / "tools" / "benches" / "report_station.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["report_station"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def station(made_station: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped station's folder: `station.hjson`, its store, its key, and the fuel it burnt."""
    folder = tmp_path_factory.mktemp("station")
    made_station.make(folder, BEGIN, DAYS)
    (folder / "fuel.csv").write_text(FUEL, encoding="utf-8")
    return folder


@pytest.fixture
def report(station: Path, tmp_path: Path) -> Callable[..., Any]:
    """`report(kind, form, lang)`: the file that `plumeline report` writes for June 2026, and its exit code."""
    from agent.__main__ import main

    def made(kind: str, form: str = "html", lang: str = "en", *more: str) -> tuple[Path, int]:
        out = tmp_path / f"{kind}-{lang}.{form}"
        fuel = ["--fuel", str(station / "fuel.csv")] if kind == "account" else []
        span = ["--from", "2026-06", "--to", "2026-06", "--config", str(station / "station.hjson")]
        code = main(["report", kind, *fuel, *span, "--lang", lang, "--who", "Li Na", "--out", str(out), *more])
        return out, code

    return made
