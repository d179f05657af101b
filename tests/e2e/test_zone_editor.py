"""The zone editor in Chromium, with a real mouse and keyboard, on the real product."""

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
PATH = "/api/v1/cameras/door/zones"
SVG = "document.querySelector('[data-shapes]')"
OPEN = "document.querySelector('.zone[open]')"
HINT = "document.querySelector('[data-hint]').textContent"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with FakeCamera(*SMALL) as camera, Product(tmp_path_factory.mktemp("zones"), workers=1) as product:
        product.add_camera("door", camera.url())
        product.wait_for_state("door")
        yield product


@pytest.fixture
def tab(chromium: Browser, product: Product) -> Iterator[Tab]:
    with chromium.tab() as tab:
        product.sign_in(tab)
        load(tab, product)
        yield tab
        assert not [line for line in tab.log if "EXCEPTION" in line or "Content Security" in line]
    for zone in zones(product):
        product.client.request("DELETE", f"{PATH}/{zone}")


def load(tab: Tab, product: Product) -> None:
    tab.navigate(product.url("/cameras/door/zones/"))
    tab.until("document.querySelector('[data-tools]')?.hidden === false")
    tab.until("document.querySelector('ninjacam-player').state === 'live'", 30)


def zones(product: Product) -> dict[str, Any]:
    return {zone["name"]: zone for zone in product.client.get(PATH).json()["items"]}


def wait_zone(product: Product, name: str) -> Any:
    return wait_until(lambda: zones(product).get(name), 10, f"the zone {name}", processes=[product])


def mouse(tab: Tab, kind: str, at: tuple[float, float], clicks: int = 1) -> None:
    buttons = 0 if kind == "mouseMoved" else 1
    tab.call(
        "Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", buttons=buttons, clickCount=clicks
    )  # fmt: skip


def click(tab: Tab, at: tuple[float, float]) -> None:
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        mouse(tab, kind, at)


def drag(tab: Tab, start: tuple[float, float], end: tuple[float, float]) -> None:
    mouse(tab, "mouseMoved", start)
    mouse(tab, "mousePressed", start)
    for step in (0.5, 1):
        at = tuple(a + (b - a) * step for a, b in zip(start, end, strict=True))
        tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=at[0], y=at[1], button="left", buttons=1)
    mouse(tab, "mouseReleased", end)


def on_image(tab: Tab, x: float, y: float) -> tuple[float, float]:
    """Return the CSS pixel position of a point given in fractions of the image."""
    tab.js(f"{SVG}.scrollIntoView({{block: 'center'}}); 1")
    left, top, width, height = tab.js(
        f"(({{x, y, width, height}}) => [x, y, width, height])({SVG}.getBoundingClientRect())"
    )
    return left + x * width, top + y * height


def click_on(tab: Tab, selector: str) -> None:
    x, y = tab.js(
        f"(() => {{ const found = {selector}; found.scrollIntoView({{block: 'center'}});"
        "const box = found.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    click(tab, (x, y))


def add(tab: Tab, kind: str) -> None:
    click_on(tab, f"document.querySelector('[data-add={kind}]')")


def save(tab: Tab) -> None:
    click_on(tab, f"{OPEN}.querySelector('.actions button')")
    tab.until(f"{OPEN}.querySelector('[data-note]').textContent.startsWith('Saved')")
    assert tab.js(f"{OPEN}.querySelector('[data-unsaved]').hidden")


def near(points: list[list[float]], expected: list[tuple[float, float]]) -> bool:
    return len(points) == len(expected) and all(
        abs(a - b) < 0.01
        for point, other in zip(points, expected, strict=True)
        for a, b in zip(point, other, strict=True)
    )


def test_a_zone_is_drawn_with_the_mouse_and_changed(tab: Tab, product: Product) -> None:
    corners = [(0.2, 0.3), (0.7, 0.25), (0.8, 0.8), (0.15, 0.7)]
    aspect = tab.js(f"(({{width, height}}) => width / height)({SVG}.getBoundingClientRect())")
    assert aspect == pytest.approx(16 / 9, abs=0.01)
    add(tab, "zone")
    assert tab.js(HINT).startswith("Click the corners")
    for corner in [*corners, corners[0]]:
        click(tab, on_image(tab, *corner))
    assert tab.until(f"{OPEN}.querySelector('[name=name]').value") == "zone-1"
    assert tab.js("document.activeElement.name") == "name"
    tab.call("Input.insertText", text="driveway")
    assert tab.js(f"{OPEN}.querySelector('[data-title]').textContent") == "driveway"
    assert tab.js(f"{SVG}.querySelector('text').textContent") == "driveway"
    save(tab)
    assert near(wait_zone(product, "driveway")["points"], corners)

    drag(tab, on_image(tab, *corners[2]), on_image(tab, 0.9, 0.9))
    assert not tab.js(f"{OPEN}.querySelector('[data-unsaved]').hidden")
    drag(tab, on_image(tab, 0.45, 0.275), on_image(tab, 0.4, 0.1))  # a new point on the first edge
    save(tab)
    changed = [(0.2, 0.3), (0.4, 0.1), (0.7, 0.25), (0.9, 0.9), (0.15, 0.7)]
    assert near(zones(product)["driveway"]["points"], changed)

    click(tab, on_image(tab, 0.4, 0.1))
    click_on(tab, "document.querySelector('[data-do=remove]')")
    drag(tab, on_image(tab, 0.5, 0.5), on_image(tab, 0.4, 0.5))  # the whole zone
    save(tab)
    moved = [(0.1, 0.3), (0.6, 0.25), (0.8, 0.9), (0.05, 0.7)]
    assert near(zones(product)["driveway"]["points"], moved)
    drag(tab, on_image(tab, 0.4, 0.5), on_image(tab, -0.5, 0.5))  # not beyond the image
    save(tab)
    assert min(x for x, _ in zones(product)["driveway"]["points"]) == 0

    load(tab, product)
    assert tab.js("document.querySelectorAll('[data-list] > li').length") == 1
    click(tab, on_image(tab, 0.4, 0.5))
    assert tab.until(f"{OPEN}.id") == "zone-driveway"
    tab.js("window.confirm = () => true; 1")
    click_on(tab, f"{OPEN}.querySelector('[name=delete]')")
    tab.until("!document.querySelector('.zone')")
    assert zones(product) == {} and not tab.js("document.querySelector('[data-empty]').hidden")


def test_a_line_and_a_mask_are_drawn_and_shapes_can_be_cancelled(tab: Tab, product: Product) -> None:
    add(tab, "mask")
    click(tab, on_image(tab, 0.5, 0.5))
    tab.press("Escape")
    assert tab.js(f"document.querySelectorAll('.zone').length + {SVG}.childElementCount") == 0
    add(tab, "line")
    for point in ((0.1, 0.6), (0.9, 0.6)):
        click(tab, on_image(tab, *point))
    tab.until(f"Boolean({OPEN} && {SVG}.querySelector('.arrow'))")
    save(tab)
    add(tab, "mask")
    for point in ((0.0, 0.0), (1.0, 0.0), (0.99, 0.15), (0.01, 0.15)):
        click(tab, on_image(tab, min(point[0], 0.999), max(point[1], 0.001)))
    tab.press("Enter")
    tab.until(f"{OPEN}?.querySelector('[name=name]').value === 'mask-1'")
    save(tab)
    found = zones(product)
    assert (found["line-1"]["kind"], found["mask-1"]["kind"]) == ("line", "mask")
    assert near(found["line-1"]["points"], [(0.1, 0.6), (0.9, 0.6)]) and len(found["mask-1"]["points"]) == 4


def test_zones_are_drawn_with_the_keyboard_alone(tab: Tab, product: Product) -> None:
    tab.js("document.querySelector('[data-add=zone]').focus(); 1")
    tab.press("Enter")
    tab.until(f"{OPEN}?.querySelector('[name=name]').value === 'zone-1'")
    tab.js(f"{SVG}.querySelector('[data-point]').focus(); 1")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        tab.press(key)
    assert tab.js("document.activeElement.getAttribute('aria-label')") == (
        "Point 1 of 4: 32 % from the left, 29 % from the top"
    )
    tab.press("Insert")
    assert tab.js("document.activeElement.dataset.point") == "1"
    tab.press("Delete")
    tab.press("Delete")
    tab.press("Delete")  # A zone keeps at least three points.
    tab.js(f"{OPEN}.querySelector('[name=name]').focus(); 1")
    tab.press("Enter")
    tab.until(f"{OPEN}.querySelector('[data-note]').textContent.startsWith('Saved')")
    assert len(wait_zone(product, "zone-1")["points"]) == 3

    tab.js(
        f"{OPEN}.querySelector('.as-text').open = true;"
        f"{OPEN}.querySelector('[name=points]').focus(); {OPEN}.querySelector('[name=points]').select(); 1"
    )
    tab.call("Input.insertText", text="0.1,0.1 0.9,0.1 0.5,0.9")
    assert tab.js(f"{SVG}.querySelectorAll('.point').length") == 3
    save(tab)
    assert zones(product)["zone-1"]["points"] == [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]
    tab.js(f"{OPEN}.querySelector('[name=points]').select(); 1")
    tab.call("Input.insertText", text="0.1,0.1 0.9")
    click_on(tab, f"{OPEN}.querySelector('.actions button')")
    assert tab.until(f"{OPEN}.querySelector('[data-error]').textContent").startswith("Write each point")
    tab.js(f"{OPEN}.querySelector('[name=points]').select(); 1")
    tab.call("Input.insertText", text="0.1,0.1 0.9,0.1 0.5,0.8")
    save(tab)  # Otherwise, Chromium would ask for confirmation before leaving the page.


def test_what_the_server_refuses_is_shown_and_a_phone_can_draw(tab: Tab, product: Product) -> None:
    product.client.post(PATH, json_body={"name": "lawn", "points": [[0, 0], [1, 0], [1, 1]]})
    tab.size(390, 844, phone=True)
    load(tab, product)
    assert tab.js("document.documentElement.scrollWidth <= innerWidth")
    width = tab.js(f"document.querySelector('ninjacam-player').clientWidth - {SVG}.clientWidth")
    assert abs(width) <= 1, "the shapes are on the image"
    tab.js("document.querySelector('[data-add=line]').focus(); 1")
    tab.press("Enter")
    tab.until(f"{OPEN}?.querySelector('[name=name]').value === 'line-1'")
    tab.call("Input.insertText", text="lawn")
    tab.js(f"{OPEN}.querySelector('.actions button').click(); 1")
    assert "already has a zone “lawn”" in tab.until(f"{OPEN}.querySelector('[data-error]').textContent")
    at = on_image(tab, 0.25, 0.5)
    to = on_image(tab, 0.25, 0.8)
    for kind, points in (("touchStart", [at]), ("touchMove", [to]), ("touchEnd", [])):
        tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in points])
    tab.js(f"{OPEN}.querySelector('[name=name]').select(); 1")
    tab.call("Input.insertText", text="fence")
    tab.js(f"{OPEN}.querySelector('.actions button').click(); 1")
    assert near(wait_zone(product, "fence")["points"], [(0.25, 0.8), (0.75, 0.5)])
