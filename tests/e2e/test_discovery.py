"""The page "Find cameras" and the API's event stream, on the real product in a simulated network."""

import contextlib
import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.proc import descendants
from tests.harness import lan
from tests.harness.cameras import FakeCamera
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.lan import NETWORK, LanDevice, own_network
from tests.harness.processes import wait_until
from tests.harness.server import Product

pytestmark = pytest.mark.skipif(bool(lan.missing()), reason=lan.missing() or "network namespaces")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."
)
HOSTILE = (
    "onvif://www.onvif.org/name/%3Cimg%20src=x%20onerror=alert(1)%3E%1b%5b2J "
    "onvif://www.onvif.org/type/video_encoder"
)
DEVICES = (
    LanDevice("10.9.0.11", "44:19:b6:00:00:11", "onvif", HOSTILE),
    LanDevice("10.9.0.12", "f0:5c:77:00:00:12", "webcam"),
    LanDevice("10.9.0.13", "00:11:22:00:00:13", "mdns"),
    LanDevice("10.9.0.14", "00:11:22:00:00:14", "upnp"),
    LanDevice("10.9.0.15", "00:40:8c:00:00:15", "silent"),
)
FOUND = "document.querySelectorAll('.device').length"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    data: Path = tmp_path_factory.mktemp("discovery") / "data"
    with own_network(), lan.lan(DEVICES), Product(data, workers=2) as product:
        yield product


@pytest.fixture(autouse=True)
def no_rate_limit(product: Product) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.truncate(product.data / "run" / "throttle", 0)


@pytest.fixture(scope="module")
def browser(product: Product) -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def tab(browser: Browser, product: Product) -> Iterator[Tab]:
    with browser.tab() as tab:
        product.sign_in(tab)
        tab.navigate(product.url("/discover/"))
        yield tab


def search(tab: Tab, network: str) -> None:
    tab.until("Boolean(document.querySelector('#start:not(:disabled)'))", 30)
    tab.js(
        f"document.querySelector('#network').value = '{network}';"
        "document.querySelector('#discover').requestSubmit(); 1"
    )


def searches(product: Product) -> list[int]:
    """Return the processes that run a search."""
    found = []
    for pid in descendants(product.pid):
        with contextlib.suppress(OSError):
            if b"ninjacam.discovery" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def wait_until_idle(product: Product) -> None:
    def is_idle() -> bool:
        running = product.client.get("/api/v1/discovery").json()["running"]
        return not running and not searches(product)

    wait_until(is_idle, 20, "the search ended", processes=[product])


@contextlib.contextmanager
def events(product: Product, **body: object) -> Iterator[Iterator[tuple[str, dict[str, object]]]]:
    request = urllib.request.Request(
        product.url("/api/v1/discovery"),
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {product.token}"},
    )

    def read() -> Iterator[tuple[str, dict[str, object]]]:
        kind = ""
        for line in response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)

    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        yield read()


def test_each_device_is_one_event_with_all_that_several_sources_say(product: Product) -> None:
    with events(product, network=NETWORK, timeout_s=30, images=False) as found:
        received = list(found)
    devices = {str(data["address"]): data for kind, data in received if kind == "device"}
    assert set(devices) == {device.address for device in DEVICES}
    assert {address: data["kind"] for address, data in devices.items()} == {
        "10.9.0.11": "camera", "10.9.0.12": "phone", "10.9.0.13": "camera", "10.9.0.14": "camera",
        "10.9.0.15": "camera",
    }  # fmt: skip
    assert devices["10.9.0.11"]["title"] == "<img src=x onerror=alert(1)> [2J"
    assert len(devices["10.9.0.11"]["reasons"]) == 3  # type: ignore[arg-type]
    assert devices["10.9.0.13"]["name"] == "Garden" and devices["10.9.0.14"]["maker"] == "Axis"
    assert received[-1][0] == "done" and "progress" in {kind for kind, _ in received}
    wait_until_idle(product)


def test_a_second_search_is_refused_and_a_lost_connection_ends_the_first(product: Product) -> None:
    with events(product, network=NETWORK, timeout_s=30) as found:
        next(found)
        assert searches(product)
        refused = product.client.post("/api/v1/discovery", json_body={})
        assert (refused.status, refused.json()["code"]) == (409, "conflict")
        assert product.client.get("/api/v1/discovery").json() == {
            "running": True, "networks": [{"interface": "v0", "network": NETWORK}],
        }  # fmt: skip
    wait_until_idle(product)


def test_any_worker_cancels_a_search(product: Product) -> None:
    with events(product, network=NETWORK, timeout_s=30) as found:
        next(found)
        for _ in range(4):  # several requests, because any worker may respond
            assert product.client.request("DELETE", "/api/v1/discovery").status == 204
        last = list(found)[-1]
    assert last[0] == "error" and last[1]["code"] == "cancelled"
    wait_until_idle(product)


def test_the_command_line_prints_devices_as_lines_of_json_or_text(product: Product) -> None:
    lines = product.cli("discover", "--network", NETWORK, "--timeout", "30", "--json").splitlines()
    assert {json.loads(line)["address"] for line in lines} == {device.address for device in DEVICES}
    text = product.cli("discover", "--network", "127.0.0.2/32", "--timeout", "30")
    assert "10.9.0.11" in text and "\x1b" not in text and "needs a password" not in text


@pytest.mark.chromium
@needs_chromium
def test_a_found_camera_is_shown_with_an_image_and_added(product: Product, tab: Tab) -> None:
    small = ("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
    with FakeCamera(*small, port=8554):
        search(tab, "127.0.0.1/32")
        tab.until("Boolean(document.querySelector('.device-image canvas'))", 90)
        tab.until("!document.querySelector('#start').disabled", 60)
        assert "Found: " in tab.js("document.querySelector('#status').textContent")
        card = "document.querySelector('.device-image canvas').closest('.device')"
        assert "rtsp://127.0.0.1:8554/cam0" in tab.js(f"{card}.querySelector('select').textContent")
        tab.js(
            f"{card}.querySelector('[name=slug]').value = 'found';{card}.querySelector('form').requestSubmit(); 1"
        )
        tab.until(f"!{card}.querySelector('.device-known').hidden", 30)
    assert product.camera("found")["source"]["url"] == "rtsp://127.0.0.1:8554/cam0"


@pytest.mark.chromium
@needs_chromium
def test_hostile_texts_are_shown_as_text_and_cancel_ends_the_search(product: Product, tab: Tab) -> None:
    search(tab, NETWORK)
    tab.until(f"{FOUND} >= 4", 60)
    wait_until(lambda: searches(product), 20, "a search")
    titles = tab.js("[...document.querySelectorAll('.device h2')].map((each) => each.textContent).join('|')")
    assert "<img src=x onerror=alert(1)>" in titles
    assert tab.js("document.querySelectorAll('.device img').length") == 0
    if folder := os.environ.get("SCREENSHOTS"):
        tab.screenshot(Path(folder) / "discover.png", whole=True)
    tab.js("document.querySelector('#cancel').click(); 1")
    tab.until("!document.querySelector('#start').disabled", 30)
    assert tab.js("document.querySelector('#status').textContent") == "The search was cancelled."
    wait_until_idle(product)


def test_sigterm_ends_the_stream_and_the_search(product: Product) -> None:
    last: list[tuple[str, dict[str, object]]] = []
    begun = threading.Event()

    def read() -> None:
        with events(product, network=NETWORK, timeout_s=30) as found:
            for event in found:
                begun.set()
                last[:] = [event]

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(60)
    product.signal(signal.SIGTERM)
    reader.join(60)
    assert product.wait(60) == 0
    assert last[0][0] == "error" and last[0][1]["code"] == "cancelled"
