"""The centre's pages in a real browser: what a visitor does on the first day, and that nothing leaves the machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from central.app import accounts

pytestmark = pytest.mark.browser
PASSWORD = "a heron over the weir"
DEADLINE_S = 15


class Window:
    """The browser on one site."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        self.address = address
        self._requests: list[str] = []
        driver.get("about:blank")  # nothing of the site before asks for anything any more
        driver.get_log("performance")

    def open(self, path: str) -> None:
        self.driver.get(self.address + path)

    def find(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def text(self, selector: str) -> str:
        return str(self.find(selector)[0].text)

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def until(self, what: Callable[[], Any]) -> Any:
        """Wait until `what` gives something; an element that was just replaced counts as nothing."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.wait import WebDriverWait

        ignored = [IndexError, StaleElementReferenceException]
        return WebDriverWait(self.driver, DEADLINE_S, 0.05, ignored).until(lambda _: what())

    def fill(self, **fields: str) -> None:
        """Fill a form in and send it; back when the next page is there."""
        for name, value in fields.items():
            self.find(f"[name={name}]")[0].send_keys(value)
        self.press("form.card button")

    def press(self, selector: str) -> None:
        """Press what leads to another page, and wait for that."""
        self.run("document.old = true")
        self.find(selector)[0].click()
        self.until(lambda: self.run("return !document.old && document.readyState === 'complete'"))

    def requests(self) -> list[str]:
        """Every address asked for so far."""
        for row in self.driver.get_log("performance"):
            message = json.loads(row["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self._requests.append(message["params"]["request"]["url"])
        return self._requests

    def path(self) -> str:
        return urlsplit(self.driver.current_url).path


@pytest.fixture
def window(browser: Any, address: str) -> Window:
    return Window(browser, address)


@pytest.fixture
def signed_in(window: Window, site: Any, with_account: Callable[..., Any]) -> Window:
    """Behind the sign-in, on the map."""
    with_account(Path(site.config.store).parent)
    window.open("/")
    window.fill(name="Li Wei", password=PASSWORD)
    return window


def test_the_first_day(window: Window, site: Any) -> None:
    window.open("/")
    assert window.path() == "/set-up"
    code = accounts(site.config).setup_path.read_text()
    window.fill(code=code.strip(), name="Li Wei", password=PASSWORD, again=PASSWORD)
    assert window.path() == "/"
    window.press("#sign-out")
    window.open("/")
    assert window.path() == "/sign-in"
    window.fill(name="Li Wei", password="not the password")
    assert window.text(".problem:not(#lost)") == "Wrong name or password."
    window.fill(password=PASSWORD)
    assert window.path() == "/"

    # The map: three stations, all instruments with the gas, the grid, the source.
    window.until(lambda: window.find(".source-mark"))
    assert {mark.get_attribute("data-station") for mark in window.find(".station-mark")} == set(site.config.stations)
    assert window.run("return document.getElementById('map').dataset.instruments") == "25"
    assert window.run("return document.getElementById('map').dataset.cells") == "196"
    assert window.find(".source-mark")[0].is_displayed()
    shown = window.text("#sources")
    for part in ("14.6 kg/h", "12 – 17.7 kg/h", "99.4 %"):
        assert part in shown
    assert [pill.text for pill in window.find("#stations .pill")] == ["offline", "online", "online"]
    assert window.text("#speed") == "Simulated data: the world runs 120 times as fast as the clock."

    # A station's chart moves by itself.
    window.find("#stations a")[1].click()
    window.until(lambda: window.find("#chart canvas"))
    assert window.path() == "/station/tower-01"
    before = window.until(lambda: window.find("#chart")[0].get_attribute("data-newest"))
    site.run(minutes=3)
    window.until(lambda: window.find("#chart")[0].get_attribute("data-newest") > before)
    assert window.find("#chart")[0].get_attribute("data-points") == "43"
    assert "2026-06-15 09:12:00" in window.text("#values")

    # The language switches, and the page stays.
    window.press("#other-language")
    assert window.path() == "/station/tower-01"
    assert "高塔" in window.text("h1")
    window.until(lambda: "正常" in window.text("#values"))
    window.press("#other-language")
    assert "Tower" in window.text("h1")

    asked = [url for url in window.requests() if not url.startswith("data:")]
    assert len(asked) > 20
    assert [url for url in asked if not url.startswith(f"{window.address}/")] == []


def test_the_map_changes_in_place(signed_in: Window, site: Any) -> None:
    window = signed_in
    window.until(lambda: window.find(".source-mark"))
    window.run("marks.get('field-01/board-14').openPopup()")
    popup = window.until(lambda: window.find(".leaflet-popup-content"))[0]
    window.until(lambda: "Well field · board-14" in popup.text)
    mark = window.find(".station-mark")[0]
    before = popup.text
    site.run(minutes=2)
    site.attribute(rate_kg_h=21.3)
    window.until(lambda: "21.3 kg/h" in window.text("#sources"))
    window.until(lambda: popup.text != before)
    # The same elements as before: nothing was torn down under the visitor's hand.
    assert popup.is_displayed()
    assert mark.is_displayed()
    assert len(window.find(".source-mark")) == 1


def test_the_extra_layer_comes_and_goes(signed_in: Window, site: Any) -> None:
    window = signed_in
    window.until(lambda: window.find(".source-mark"))
    assert not window.find("#extra")[0].is_displayed()
    layer = accounts(site.config).setup_path.with_name("layer.geojson")
    point = {"type": "Point", "coordinates": [113.6016, 34.8007]}
    known = {"type": "Feature", "geometry": point, "properties": {"name_en": "<b>Valve 7</b>", "name_zh": "七号阀"}}
    layer.write_text(json.dumps({"type": "FeatureCollection", "features": [known]}), encoding="utf-8")
    window.until(lambda: window.find(".extra-mark"))
    assert "<b>Valve 7</b>" in window.text("#extra-places"), "text is shown as text"
    assert "from the nearest source found" in window.text("#extra-places")
    layer.unlink()
    window.until(lambda: not window.find(".extra-mark"))


def test_a_centre_that_is_gone_is_said(signed_in: Window, site: Any) -> None:
    window = signed_in
    window.until(lambda: window.find(".source-mark"))
    assert not window.find("#lost")[0].is_displayed()
    window.run("window.fetch = () => Promise.reject(new TypeError('gone'))")
    window.until(lambda: "gone" in window.text("#lost"))
    assert window.find(".source-mark"), "what was known stays"
