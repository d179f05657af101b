"""Pages in a real browser on the real product: one camera, its views, and the form that probes a camera."""

import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.processes import Process, free_port, wait_until

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
]
PLAYER = "document.querySelector('ninjacam-player')"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    data: Path = tmp_path_factory.mktemp("data")
    port = free_port()
    command = [sys.executable, "-m", "ninjacam", "demo", "--data", str(data), "--workers", "1"]
    command += ["--camera-port", str(free_port())]
    unset = {"NINJACAM_DATA": str(data), "NINJACAM_HOSTS": "camera.test,127.0.0.1"}
    with Process("demo", [*command, "--port", str(port)], environment=unset) as process:
        process.wait_for_output("Ctrl-C stops it", 40)
        process.wait_for_output("demo: live", 60)
        yield process


def address(demo: Process) -> str:
    found = re.search(r"http://localhost:(\d+)/", demo.output)
    assert found
    return f"127.0.0.1:{found[1]}"


def log_in(tab: Tab, demo: Process) -> None:
    password = demo.wait_for_output("with the password").rpartition(" ")[2]
    tab.js(
        f"document.querySelector('[name=username]').value = 'demo';"
        f"document.querySelector('[name=password]').value = '{password}';"
        "document.querySelector('form').requestSubmit(); 1"
    )
    tab.until(f"document.readyState === 'complete' && Boolean({PLAYER})")


@pytest.fixture
def tab(chromium: Browser, demo: Process) -> Iterator[Tab]:
    with chromium.tab(f"http://{address(demo)}/") as tab:
        tab.call("Network.clearBrowserCookies")
        tab.navigate(f"http://{address(demo)}/")
        log_in(tab, demo)
        yield tab


def test_the_wall_is_live_and_changes_its_view(tab: Tab, demo: Process) -> None:
    def views_are_known() -> bool:  # reported by the vision worker, which starts later than the camera
        tab.navigate(f"http://{address(demo)}/")
        return bool(tab.js("Boolean(document.getElementById('view'))"))

    wait_until(views_are_known, 30, "a choice of views", processes=[demo])
    tab.until(f"{PLAYER}.state === 'live'", 30)
    tab.until(f"{PLAYER}.stats.framesPainted > 25")
    assert tab.until("document.querySelector('[data-state]').textContent") == "Live"
    tab.js(
        "(() => { const select = document.getElementById('view'); select.value = 'edges';"
        "select.dispatchEvent(new Event('change')); })()"
    )
    tab.until(f"{PLAYER}.getAttribute('view') === 'edges' && {PLAYER}.state === 'live'", 20)
    assert tab.js("location.search") == "?view=edges"
    assert not [line for line in tab.log if "EXCEPTION" in line]


def test_plain_http_plays_the_real_fragments_with_mse(chromium: Browser, demo: Process) -> None:
    with chromium.tab(f"http://{address(demo).replace('127.0.0.1', 'camera.test')}/") as tab:
        log_in(tab, demo)
        tab.until(f"{PLAYER}.state === 'live'", 30)
        assert tab.js(f"{PLAYER}.stats.rung") == "mse"
        tab.until(f"{PLAYER}.stats.framesPainted > 25")


def test_a_camera_page_shows_its_health_and_creates_a_link(tab: Tab, demo: Process) -> None:
    tab.navigate(f"http://{address(demo)}/cameras/demo/")
    tab.until("/webcodecs/.test(document.querySelector('[data-figure=player]').textContent)", 20)
    tab.until("/Mbit/.test(document.querySelector('[data-figure=bitrate]').textContent)", 20)
    tab.js("document.getElementById('sign').click()")
    link = tab.until("document.getElementById('url-signed').value")

    def pictures() -> bytes | None:
        try:
            with urllib.request.urlopen(
                link, timeout=10
            ) as response:  # no cookie: the signature is sufficient
                return bytes(response.read(2000))
        except urllib.error.HTTPError as refusal:
            if refusal.code != 503:  # On a busy machine, there may be no frame within five seconds.
                raise
            return None

    assert b"image/jpeg" in wait_until(pictures, 30, "pictures of the link", processes=[demo])


def test_a_camera_is_tested_before_it_is_saved(tab: Tab, demo: Process) -> None:
    tab.navigate(f"http://{address(demo)}/add-camera/")
    tab.until("document.getElementById('test').hidden === false")

    def try_out(url: str) -> None:
        tab.js(
            f"document.querySelector('[name=url]').value = '{url}'; document.getElementById('test').click()"
        )
        tab.until("document.getElementById('test').disabled === false", 25)

    try_out("rtsp://127.0.0.1:1/nothing")
    assert "port 1" in tab.js("document.querySelector('#test-result .error').textContent")
    camera_port = demo.command[demo.command.index("--camera-port") + 1]
    try_out(f"rtsp://127.0.0.1:{camera_port}/cam0")
    assert "1280" in tab.js("document.querySelector('#test-result .fine').textContent")
    assert tab.js("document.querySelector('#test-result canvas').width") == 640
    tab.js("document.querySelector('[name=sub_url]').value = 'rtsp://127.0.0.1:1/sub'")
    try_out(f"rtsp://127.0.0.1:{camera_port}/cam0")
    assert "1280" in tab.js("document.querySelector('#test-result .fine').textContent")
    text = tab.js("document.querySelector('#test-result .error').textContent")
    assert text.startswith("Address of the second stream: ") and "port 1" in text
