"""The page of events in Chromium, with a real mouse and keyboard, and real recordings."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.processes import wait_until
from tests.harness.server import Product

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
]
SMALL = ("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
API = "/api/v1/events"
CARD = "document.querySelector('.event')"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with FakeCamera(*SMALL) as camera, Product(tmp_path_factory.mktemp("events"), workers=1) as product:
        product.add_camera("door", camera.url(), "--record", "always")
        product.wait_for_state("door")
        yield product


@pytest.fixture
def tab(chromium: Browser, product: Product) -> Iterator[Tab]:
    with chromium.tab() as tab:
        product.sign_in(tab)
        yield tab
        assert not [line for line in tab.log if "EXCEPTION" in line or "Content Security" in line]


def create(product: Product, **fields: Any) -> int:
    body = {"camera": "door", "kind": "person", "label": "Visitor", "record": False, **fields}
    return int(product.client.post(API, json_body=body).json()["id"])


def read(product: Product, event_id: int) -> Any:
    return product.client.get(f"{API}/{event_id}").json()


def move_to(tab: Tab, x: float, y: float) -> None:
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


def test_a_user_looks_through_the_events(product: Product, tab: Tab) -> None:
    first = create(product, duration_s=1)
    second = create(product, kind="car", label="")
    wait_until(lambda: read(product, first)["snapshot_at"], 40, "a snapshot", processes=[product])
    tab.navigate(product.url("/events/"))
    tab.until("document.readyState === 'complete' && document.querySelectorAll('.event').length === 2")
    assert tab.js("[...document.querySelectorAll('.what')].map(each => each.textContent)") == [
        "car",
        "Visitor",
    ]

    # The keyboard: to the second card, choose, seen, and back.
    for key in ("j", "j", "x", "s"):
        tab.press(key)
    tab.until("document.querySelectorAll('.event')[1].matches('.seen:has(input:checked)')")
    wait_until(lambda: read(product, first)["seen_by"], 10, "the mark", processes=[product])
    assert read(product, second)["seen_by"] == []
    tab.press("s")
    wait_until(lambda: not read(product, first)["seen_by"], 10, "no mark", processes=[product])

    # The mouse: the clip plays while the pointer is on the card, and the event is then seen.
    tab.until("document.querySelectorAll('.event')[1].querySelector('img').naturalWidth === 640")
    x, y = tab.js(
        "(() => { const box = document.querySelectorAll('.event')[1].querySelector('.picture').getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    move_to(tab, x, y)
    tab.until("document.querySelector('video.playing')?.currentTime > 0.2", 20)
    wait_until(lambda: read(product, first)["seen_by"], 10, "the mark", processes=[product])
    move_to(tab, 1, 1)
    tab.until("document.querySelector('video') === null")

    # A filter, then a new event.
    tab.navigate(product.url("/events/?unseen=on"))
    tab.until("document.querySelectorAll('.event').length === 1")
    assert tab.js(f"{CARD}.dataset.event") == str(second)
    third = create(product, label="New")
    tab.until("document.getElementById('new-events').hidden === false", 20)
    assert tab.js("document.getElementById('new-events').textContent") == "Show 1 new event"
    tab.js("document.getElementById('new-events').click()")
    tab.until(f"document.readyState === 'complete' && {CARD}?.dataset.event === '{third}'")

    # Delete: only after a confirmation.
    tab.js("globalThis.confirm = () => false")
    tab.js("document.getElementById('choose-all').click()")
    tab.js("document.querySelector('[value=delete]').click()")
    tab.js("globalThis.confirm = () => true")
    assert tab.js("document.querySelectorAll('.event').length") == 2
    tab.js("document.querySelector('[value=delete]').click()")
    tab.until("document.querySelector('.empty') !== null")
    assert [product.client.get(f"{API}/{each}").status for each in (first, second, third)] == [200, 404, 404]


def test_the_page_needs_no_script(product: Product, tab: Tab) -> None:
    event = create(product, label="Plain")
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.navigate(product.url("/events/?label=Plain"))
    assert tab.js("document.querySelectorAll('.event').length") == 1
    tab.js(
        "document.querySelector('input[name=event]').checked = true; document.querySelector('[value=seen]').click()"
    )
    wait_until(lambda: read(product, event)["seen_by"], 10, "the mark", processes=[product])
