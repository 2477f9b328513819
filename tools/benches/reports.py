"""Seconds and peak memory of reports: a month at a station with its minutes, and a year of hours.

    tools/bench reports [--days 365] [--kinds drift,emission] [--json]

Each report is made by `plumeline report` in a process of its own, from the files of a stopped station, as page,
workbook and PDF, in both languages. Required: a month below 20 s, a year below 60 s and 500 MB. Exit 1 where not.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Files beside this one have names of packages they measure.
sys.path = [one for one in sys.path if Path(one or ".").resolve() != HERE] + [str(ROOT)]
UNTIL = datetime(2026, 6, 30, 16, tzinfo=UTC)
KINDS = ("drift", "calibration", "capture", "emission", "account")
FORMS = ("html", "xlsx", "pdf")
MONTH_S, YEAR_S, PEAK_MB = 20.0, 60.0, 500.0


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("report_station", HERE / "report_station.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["report_station"] = module
    spec.loader.exec_module(module)
    return module


def _fuel(folder: Path, begin: datetime) -> Path:
    """A lot of coal for every week, and limestone."""
    rows = ["unit,fuel,start,end,amount,amount_u_percent,carbon_percent,carbon_u_percent,oxidation_percent"]
    at = begin + timedelta(hours=8)
    while at < UNTIL:
        end = at + timedelta(days=7)
        rows.append(f"main,coal,{at:%Y-%m-%d},{end - timedelta(days=1):%Y-%m-%d},11900,0.5,54.2,1.0,98.5")
        at = end
    rows.append(f"main,limestone,{begin + timedelta(hours=8):%Y-%m-%d},{UNTIL:%Y-%m-%d},25000,1.0,,,")
    path = folder / "fuel.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def measured(folder: Path, begin: datetime, kind: str, lang: str, form: str) -> dict[str, Any]:
    """One report: wall seconds, peak resident MB, size of the file."""
    out = folder / f"{kind}-{lang}.{form}"
    fuel = ["--fuel", str(folder / "fuel.csv")] if kind == "account" else []
    span = ["--from", begin.isoformat(), "--to", UNTIL.isoformat()]
    words = [sys.executable, "-m", "agent", "report", kind, *fuel, *span, "--config", str(folder / "station.hjson"),
             "--lang", lang, "--out", str(out)]  # fmt: skip
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.chdir(ROOT)
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 1)
        os.execv(words[0], words)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - started
    if os.waitstatus_to_exitcode(status) not in (0, 1) or not out.exists():
        raise SystemExit(f"{kind} {lang} {form}: not made")
    return {"kind": kind, "lang": lang, "form": form, "seconds": round(seconds, 2),
            "peak_MB": round(usage.ru_maxrss / 1024, 1), "file_kB": round(out.stat().st_size / 1024)}  # fmt: skip


def _span(days: int, minutes: bool, kinds: list[str], limit_s: float, as_json: bool) -> bool:
    begin = UNTIL - timedelta(days=days)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _maker().make(folder, begin, days, minutes=minutes)
        _fuel(folder, begin)
        rows = [measured(folder, begin, kind, lang, form) for kind in kinds for lang in ("en", "zh") for form in FORMS]
    worst_s, worst_MB = max(row["seconds"] for row in rows), max(row["peak_MB"] for row in rows)
    good = worst_s < limit_s and worst_MB < PEAK_MB
    if as_json:
        print(json.dumps({"days": days, "minutes": minutes, "reports": rows, "met": good}))
        return good
    print(f"\n{days} days{', with minutes' if minutes else ''}")
    print(f"{'kind':<14}{'lang':<6}{'form':<7}{'s':>7}{'peak MB':>10}{'file kB':>10}")
    for row in rows:
        print(f"{row['kind']:<14}{row['lang']:<6}{row['form']:<7}{row['seconds']:>7.2f}{row['peak_MB']:>10.1f}"
              f"{row['file_kB']:>10}")  # fmt: skip
    said = "met" if good else "MISSED"
    print(f"slowest {worst_s:.2f} s of {limit_s:.0f}, largest {worst_MB:.0f} MB of {PEAK_MB:.0f}: {said}")
    return good


def main() -> int:
    """Measure both spans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365, help="length of the long span")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--json", action="store_true")
    line = parser.parse_args()
    kinds = line.kinds.split(",")
    met = _span(30, True, kinds, MONTH_S, line.json)
    return 0 if _span(line.days, False, kinds, YEAR_S, line.json) and met else 1


if __name__ == "__main__":
    sys.exit(main())
