"""From an empty directory to the live picture of a camera, as a new user: the printed link, and clicks in Chromium."""

import contextlib
import os
import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.fair_clock import fair_s
from tests.harness.http import HttpClient
from tests.harness.processes import Process, free_port, python, wait_until

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
]
PASSWORD = "correct horse battery staple"
MAX_CLICKS = 8
MAX_S = 60.0


class User:
    """Clicks at the middle of elements and types. `clicks`: so far; a field to fill in counts as one."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.clicks = 0

    def click(self, selector: str) -> None:
        self.tab.until(
            f"document.readyState === 'complete' && Boolean(document.querySelector({selector!r}))", 20
        )
        found = f"document.querySelector({selector!r})"
        self.tab.js(f"{found}.scrollIntoView({{block: 'center'}}); 1")
        box = self.tab.js(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({found}.getBoundingClientRect())")
        at = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        self.tab.call("Input.dispatchMouseEvent", type="mousePressed", **at)
        self.tab.call("Input.dispatchMouseEvent", type="mouseReleased", **at)
        self.clicks += 1

    def fill(self, selector: str, text: str) -> None:
        self.click(selector)
        self.tab.call("Input.insertText", text=text)


def shot(tab: Tab, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        tab.screenshot(Path(folder) / f"{name}.png", whole=True)


def test_an_empty_installation_shows_a_camera_within_a_minute_and_eight_clicks(
    tmp_path: Path, chromium: Browser
) -> None:
    port = free_port()
    serve = python(
        "-m", "ninjacam", "serve", "--data", str(tmp_path / "data"), "--port", str(port), "--workers", "1"
    )
    with FakeCamera() as camera, Process("ninjacam serve", serve) as product, chromium.tab() as tab:
        begun_s = fair_s()
        printed = wait_until(
            lambda: re.search(r"http://localhost:\d+(/setup/\S+)", product.tail()),
            60,
            "link",
            processes=[product],
        )
        base = f"http://127.0.0.1:{port}"
        wait_until(lambda: _opens(tab, base + printed[1]), 60, "the page", processes=[product])
        tab.size(390, 844, phone=True)
        assert tab.js("document.documentElement.scrollWidth <= innerWidth")
        shot(tab, "setup-390")
        tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        tab.size(1280, 800)
        shot(tab, "setup-dark-1280")
        user = User(tab)
        user.fill("#id_password1", PASSWORD)
        user.fill("#id_password2", PASSWORD)
        user.click("main form button")
        tab.until("location.pathname === '/'", 20)
        shot(tab, "empty-wall")
        user.click("main a[href='/add-camera/']")
        user.fill("#id_slug", "door")
        user.fill("#id_url", camera.url())
        user.click("#camera-form .actions button")
        tab.until("location.pathname === '/cameras/door/'", 30)
        tab.wait_for_stamp("ninjacam-player", 45)
        shot(tab, "first-look")
        assert user.clicks <= MAX_CLICKS
        assert fair_s() - begun_s <= MAX_S
        tab.navigate(base + printed[1])
        assert "not valid" in tab.js("document.querySelector('[role=alert]').textContent")


def test_two_people_who_send_the_form_at_once_create_one_administrator(tmp_path: Path) -> None:
    port = free_port()
    serve = python(
        "-m", "ninjacam", "serve", "--data", str(tmp_path / "data"), "--port", str(port), "--workers", "2"
    )
    with Process("ninjacam serve", serve) as product:
        printed = re.search(r"/setup/\S+", product.wait_for_output("/setup/", 60))
        assert printed
        path, base = printed[0], f"http://127.0.0.1:{port}"
        people = [HttpClient(base) for _ in range(2)]
        pages = [person.get(path, timeout_s=60).text for person in people]
        both = threading.Barrier(2, timeout=60)

        def send(number: int) -> int:
            hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', pages[number])
            assert hidden
            form = {"username": f"boss{number}", "password1": PASSWORD, "password2": PASSWORD}
            both.wait()
            headers = {"Referer": base + path}
            return (
                people[number]
                .post(path, form={**form, "csrfmiddlewaretoken": hidden[1]}, headers=headers)
                .status
            )

        hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', pages[0])
        mistyped = {
            "username": "boss",
            "password1": PASSWORD,
            "password2": "x",
            "csrfmiddlewaretoken": hidden[1] if hidden else "",
        }
        assert people[0].post(path, form=mistyped, headers={"Referer": base + path}).status == 422
        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(send, range(2))) == [200, 404]
        assert product.output.count(path) == 1, "the log does not contain the link"
        with contextlib.closing(
            sqlite3.connect(tmp_path / "data" / "ninjacam.sqlite3", timeout=20)
        ) as database:
            assert database.execute("SELECT count(*) FROM auth_user").fetchone() == (1,)


def _opens(tab: Tab, url: str) -> bool:
    with contextlib.suppress(RuntimeError):
        tab.navigate(url)
    return bool(tab.js("Boolean(document.querySelector('#id_password1'))"))
