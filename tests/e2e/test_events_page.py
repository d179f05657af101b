"""The page of events in Chromium, with a real mouse and keyboard, and real recordings."""

import contextlib
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ninjacam.live.events import MAX_PER_USER
from tests.harness import color_words
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
    assert tab.js("[...document.querySelectorAll('.what a')].map(each => each.textContent)") == [
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


def test_events_are_found_by_words_and_exported(product: Product, tab: Tab) -> None:
    pytest.importorskip("tokenizers", reason="tokenizers is not installed (pip install 'ninjacam[search]').")
    files = color_words.write_files(product.data / "files")
    event = create(product, label="Colorful", duration_s=1)
    wait_until(lambda: read(product, event)["snapshot_at"], 40, "a snapshot", processes=[product])
    image, *others = map(str, files)
    product.cli("models", "add", image, "--text", others[0], "--tokenizer", others[1], "--name", "colors")

    def search() -> Any:
        return product.client.get(f"{API}?search=green+car&label=Colorful").json()["items"]

    wait_until(search, 40, "the vector of an earlier event", processes=[product])
    tab.navigate(product.url("/events/?label=Colorful"))
    tab.js("document.querySelector('[name=search]').value = 'green car'")
    tab.js("document.querySelector('[name=search]').form.requestSubmit()")
    tab.until(
        "document.readyState === 'complete' && document.querySelector('h2.day')?.textContent === 'Best matches'"
    )
    assert tab.js(f"{CARD}.dataset.event") == str(event)

    # The chosen event becomes a file, whose progress the page of exports shows.
    tab.js("document.getElementById('choose-all').click()")
    tab.js("document.querySelector('[value=export]').click()")
    tab.until("location.pathname === '/exports/' && document.querySelector('a[download]') !== null", 30)
    size = tab.js("fetch(document.querySelector('a[download]').href).then(r => r.blob()).then(b => b.size)")
    assert size > 10_000
    tab.js("globalThis.confirm = () => true")
    tab.js("document.querySelector('[value=delete]').click()")
    tab.until("document.querySelector('.empty') !== null")
    tab.navigate(product.url("/events/days/"))
    assert tab.js("document.querySelectorAll('.days .kind').length") >= 1


def test_the_page_needs_no_script(product: Product, tab: Tab) -> None:
    event = create(product, label="Plain")
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.navigate(product.url("/events/?label=Plain"))
    assert tab.js("document.querySelectorAll('.event').length") == 1
    tab.js(
        "document.querySelector('input[name=event]').checked = true; document.querySelector('[value=seen]').click()"
    )
    wait_until(lambda: read(product, event)["seen_by"], 10, "the mark", processes=[product])


def open_stream(product: Product) -> Any:
    request = urllib.request.Request(
        product.url(f"{API}/stream"), headers={"Authorization": f"Bearer {product.token}"}
    )
    return urllib.request.urlopen(request)


def test_new_events_appear_also_where_the_user_has_too_many_streams(product: Product, tab: Tab) -> None:
    # The wait between attempts, and what the page asks for.
    source = """
        globalThis.streams = [];
        const RealSource = EventSource, wait = setTimeout;
        globalThis.EventSource = class extends RealSource {
          constructor(url) { super(url); streams.push(this); }
        };
        globalThis.setTimeout = (run, ms) => wait(run, ms === 60000 ? 200 : ms);
    """
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=source)
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_PER_USER):
            stack.enter_context(open_stream(product))
        tab.navigate(product.url("/events/"))
        tab.until("streams.length > 2 && streams[0].readyState === EventSource.CLOSED")
        create(product, label="Late")
        tab.until("document.getElementById('new-events').hidden === false")
    tab.until("streams.at(-1).readyState === EventSource.OPEN")
    tab.log.clear()  # of refused requests


def test_a_page_in_the_background_has_no_stream(product: Product, chromium: Browser, tab: Tab) -> None:
    tab.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="globalThis.streams = []; const Real = EventSource;"
        "globalThis.EventSource = class extends Real { constructor(url) { super(url); streams.push(this); } };",
    )
    tab.navigate(product.url("/events/"))
    tab.until("streams[0]?.readyState === EventSource.OPEN")
    with chromium.tab() as other:
        other.activate()
        tab.until("document.visibilityState === 'hidden' && streams[0].readyState === EventSource.CLOSED")
        create(product, label="Meanwhile")
    tab.activate()
    tab.until("document.getElementById('new-events').hidden === false")
    assert tab.js("streams.length") == 2


def test_a_clip_without_a_recording_is_named_and_does_not_count_as_seen(product: Product, tab: Tab) -> None:
    start = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    event = create(product, label="Unrecorded", start=start, duration_s=2)
    tab.navigate(product.url("/events/?label=Unrecorded"))
    tab.until(f"document.readyState === 'complete' && {CARD} !== null")
    tab.press("j")
    tab.press(" ")
    tab.until(f"{CARD}.querySelector('.gone').hidden === false && document.querySelector('video') === null")
    assert tab.js(f"{CARD}.matches('.seen')") is False
    assert read(product, event)["seen_by"] == []
    tab.log.clear()  # of the refused clip


def test_the_keyboard_applies_a_filter_only_with_enter_or_the_button(product: Product, tab: Tab) -> None:
    tab.navigate(product.url("/events/"))
    tab.until("document.readyState === 'complete'")
    tab.js("globalThis.isSame = true")
    tab.js("document.getElementById('id_day').focus()")
    for key in "03042026":
        tab.press(key)
    assert tab.js("[isSame, document.getElementById('id_day').value]") == [True, "2026-03-04"]
    tab.js("document.querySelector('#filters > button').click()")
    tab.until("location.search.includes('day=2026-03-04') && document.readyState === 'complete'")
    # A mouse chooses another period, which replaces the day.
    tab.js("document.getElementById('filters').dispatchEvent(new PointerEvent('pointerdown'))")
    tab.js(
        "(select => { select.value = 'day'; select.dispatchEvent(new Event('change')); })"
        "(document.getElementById('id_span'))"
    )
    tab.until("location.search.includes('span=day') && !location.search.includes('2026-03-04')")


def test_lists_of_choices_fit_on_a_phone_and_close(product: Product, tab: Tab) -> None:
    create(product)
    tab.size(390, 844, phone=True)
    tab.navigate(product.url("/events/"))
    tab.until("document.readyState === 'complete'")
    for number in (0, 1):
        tab.js(f"document.querySelectorAll('#filters details')[{number}].open = true")
        left, right = tab.js(
            "(box => [box.left, box.right])"
            f"(document.querySelectorAll('#filters fieldset')[{number}].getBoundingClientRect())"
        )
        assert left >= 0 and right <= 390
        tab.js(f"document.querySelectorAll('#filters fieldset')[{number}].querySelector('input').focus()")
        tab.press("Escape")
        assert tab.js("document.querySelector('#filters details[open]') === null")
        assert tab.js("document.activeElement.localName") == "summary"
    assert tab.js("document.documentElement.scrollWidth") <= 390


def test_motion_needs_a_click_where_users_want_less_of_it(product: Product, tab: Tab) -> None:
    create(product, label="Still")
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    tab.navigate(product.url("/events/?label=Still"))
    tab.until(f"document.readyState === 'complete' && {CARD} !== null")
    assert (
        tab.js(
            f"(async () => {{ {CARD}.querySelector('.picture').dispatchEvent("
            "new PointerEvent('pointerenter', {pointerType: 'mouse'}));"
            "await new Promise(done => setTimeout(done, 500)); return document.querySelector('video'); })()"
        )
        is None
    )
    tab.press("j")
    tab.press(" ")
    tab.until("document.querySelector('video') !== null")


@pytest.mark.parametrize("width", [500, 700, 1280])
def test_the_bar_does_not_cover_the_card_with_the_focus(product: Product, tab: Tab, width: int) -> None:
    for number in range(12):
        create(product, label=f"Width {width} {number}")
    tab.size(width, 500)
    tab.navigate(product.url(f"/events/?label=Width+{width}+"))
    tab.until("document.readyState === 'complete' && document.querySelectorAll('.event').length === 12")
    for key in "jjjjjjjjjkkkkkk":
        tab.press(key)
    covered, top = tab.js(
        "[document.querySelector('.bulk').getBoundingClientRect().bottom,"
        "document.activeElement.closest('.event').getBoundingClientRect().top]"
    )
    assert top >= covered


def test_a_card_shows_the_image_and_the_end_of_its_event_when_they_arrive(product: Product, tab: Tab) -> None:
    event = create(product, label="Arriving", ongoing=True)
    tab.navigate(product.url("/events/"))
    card = f"document.querySelector('[data-event=\"{event}\"]')"
    tab.until(f"document.readyState === 'complete' && {card}.querySelector('.now') !== null")
    product.client.request("PATCH", f"{API}/{event}", json_body={"end": datetime.now(UTC).isoformat()})
    tab.until(f"{card}.querySelector('.now') === null")
    tab.until(f"{card}.querySelector('.picture img')?.naturalWidth === 640", 40)
    # An image that was deleted meanwhile is not the browser's sign for a missing one.
    tab.js(f"{card}.querySelector('img').src = '/api/v1/events/999999/snapshot.jpg'")
    tab.until(f"getComputedStyle({card}.querySelector('img')).visibility === 'hidden'")
    tab.log.clear()  # of the refused image


def test_times_are_in_the_time_zone_and_language_of_the_browser(product: Product, tab: Tab) -> None:
    event_id = create(product, label="Time zone", start="2026-03-29T23:30:00Z", duration_s=1)
    path = product.url("/events/?camera=door&span=year&label=Time+zone")
    shown = "document.querySelector('time[data-show]').textContent"
    tab.call(
        "Emulation.setTimezoneOverride", timezoneId="Etc/GMT+1"
    )  # 22:30: the server's day, which is UTC.
    tab.navigate(path)
    tab.until(f"{shown}.startsWith('10:30:00')")
    assert "PM" in tab.js(shown) and "Sunday" in tab.js("document.querySelector('time[data-show]').title")
    # Another day than the one in the heading: with the date. Berlin has changed to summer time on this day.
    tab.call("Emulation.setTimezoneOverride", timezoneId="Europe/Berlin")
    tab.navigate(path)
    tab.until(f"{shown}.replace(/\\s/g, ' ') === 'Mar 30, 2026, 1:30 AM'")
    tab.call("Emulation.setTimezoneOverride", timezoneId="")
    product.client.request("DELETE", f"{API}/{event_id}")
