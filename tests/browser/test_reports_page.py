"""Reports in a real browser: charts are drawn, links lead to records, nothing is asked of anybody, nothing fails."""

import importlib.util
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped station with twelve days behind it."""
    spec = importlib.util.spec_from_file_location("report_station", ROOT / "tools" / "benches" / "report_station.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["report_station"] = module
    spec.loader.exec_module(module)
    found = tmp_path_factory.mktemp("station")
    module.make(found, datetime(2026, 5, 31, 16, tzinfo=UTC), 12)
    return found


def requests(browser: Any) -> list[str]:
    """Every address asked for since the last look."""
    found = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(message["params"]["request"]["url"])
    return found


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("kind", ["drift", "calibration", "capture", "emission"])
def test_a_report_opens_with_its_charts_and_asks_nobody(
    browser: Any, folder: Path, tmp_path: Path, kind: str, lang: str
) -> None:
    from agent.__main__ import main

    page = tmp_path / f"{kind}.html"
    main(["report", kind, "--from", "2026-06-01", "--to", "2026-06-12", "--config", str(folder / "station.hjson"),
          "--lang", lang, "--out", str(page)])  # fmt: skip
    browser.get("about:blank")
    browser.get_log("performance")
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": "addEventListener('error', e => "
                            "(window.failed ??= []).push(e.message));"})  # fmt: skip
    browser.get(page.as_uri())
    assert browser.execute_script("return document.body.dataset.ready") == "yes"
    assert browser.execute_script("return window.failed ?? []") == []
    drawn = browser.execute_script("return [...document.querySelectorAll('.plot')].map(one => one.dataset.drawn)")
    assert drawn
    assert all(int(one) > 0 for one in drawn)
    inked = browser.execute_script(INKED)
    assert min(inked) > 200, inked
    assert [one for one in requests(browser) if not one.startswith(("file:", "data:"))] == []
    link = browser.execute_script("return document.querySelector('td.ref a')?.getAttribute('href')")
    if link:
        browser.execute_script("location.hash = arguments[0]", link)
        opened = browser.execute_async_script(
            "setTimeout(() => arguments[1](document.querySelector(arguments[0]).open), 50)", link
        )
        assert opened is True
    if lang == "zh":
        # A machine without a Chinese font shows Chinese all the same.
        assert browser.execute_script(
            "return document.fonts.ready.then(() => document.fonts.check('16px \"Report SC\"'))"
        )


INKED = """return [...document.querySelectorAll('.plot canvas')].map(one => {
  const data = one.getContext('2d').getImageData(0, 0, one.width, one.height).data;
  let count = 0; for (let at = 3; at < data.length; at += 4) count += data[at] > 0; return count; })"""


def test_a_certified_value_is_not_drawn_across_the_flush_between_two_gases(browser: Any, tmp_path: Path) -> None:
    from agent.__main__ import main

    rows = ["time,so2"]
    start = datetime(2026, 6, 15, tzinfo=UTC).timestamp()
    for second in range(0, 3600, 5):
        at = datetime.fromtimestamp(start + second, UTC)
        rows.append(f"{at:%Y-%m-%dT%H:%M:%SZ},{0.4 if second < 1800 else 80.9 if second < 2700 else 84.0}")
    (tmp_path / "run.csv").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "rules.hjson").write_text(RULES, encoding="utf-8")
    page = tmp_path / "performance.html"
    main(["report", "performance", str(tmp_path / "run.csv"), "--rules", str(tmp_path / "rules.hjson"), "--out",
          str(page)])  # fmt: skip
    browser.get(page.as_uri())
    assert browser.execute_script("return document.body.dataset.ready") == "yes"
    by_third = browser.execute_script(CERTIFIED)
    assert by_third[0] > 100, "80 mg/m3 is drawn"
    assert by_third[2] > 100, "0 mg/m3 is drawn"
    assert by_third[1] == 0, "and nothing between them"
    # Of two readings of one gas both are drawn.
    assert browser.execute_script(ERRORS) == 2


RULES = """{
  standard: "hj76"
  series: { so2: { unit: "mg/m3", full_scale: 100 } }
  gases: [
    { gas: "zero", assigned: { so2: 0 }, from: "2026-06-15T00:00:00Z", to: "2026-06-15T00:30:00Z", flush_s: 60 }
    { gas: "span", assigned: { so2: 80.2 }, from: "2026-06-15T00:30:00Z", to: "2026-06-15T00:45:00Z", flush_s: 600 }
    { gas: "span", assigned: { so2: 80.2 }, from: "2026-06-15T00:45:00Z", to: "2026-06-15T01:00:00Z", flush_s: 60 }
  ]
}
"""
# Pixels in the colour of the second line, by thirds of the first chart from above.
CERTIFIED = """const one = document.querySelector('.plot canvas'), found = [0, 0, 0];
  const data = one.getContext('2d').getImageData(0, 0, one.width, one.height).data;
  for (let at = 0; at < data.length; at += 4)
    if (Math.abs(data[at] - 217) + Math.abs(data[at + 1] - 130) + Math.abs(data[at + 2] - 43) < 30)
      found[Math.floor(at / 4 / one.width / one.height * 3)]++;
  return found;"""
# Groups of rows with the colour of a point in the right third of the second chart.
ERRORS = """const one = document.querySelectorAll('.plot canvas')[1]; let groups = 0, inside = false;
  const data = one.getContext('2d').getImageData(0, 0, one.width, one.height).data;
  for (let y = 0; y < one.height; y++) {
    let blue = 0;
    for (let x = Math.floor(one.width * 2 / 3); x < one.width; x++) {
      const at = 4 * (y * one.width + x);
      const off = Math.abs(data[at] - 47) + Math.abs(data[at + 1] - 126) + Math.abs(data[at + 2] - 216);
      blue += off < 40 && data[at + 3] > 200;
    }
    if (blue && !inside) groups++;
    inside = blue > 0;
  }
  return groups;"""
