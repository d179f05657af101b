"""The wall on the real product: the size of its tiles and what they show, an enlarged tile, and layouts."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.processes import wait_until
from tests.harness.server import Product

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
]
PLAYERS = "[...document.querySelectorAll('ninjacam-player')]"
TILES = 4


@dataclass(frozen=True)
class World:
    product: Product
    sub: FakeCamera


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """TILES cameras with two streams each."""
    data = tmp_path_factory.mktemp("wall") / "data"
    main = FakeCamera(
        "--size", "1280x720", "--bitrate", "300000", "--fps", "10", "--gop", "10", streams=TILES
    )
    sub = FakeCamera("--size", "480x270", "--bitrate", "100000", "--fps", "10", "--gop", "10", streams=TILES)
    with main, sub, Product(data, workers=1) as product:
        for number in range(TILES):
            streams = [{"name": "sub", "url": sub.url(number)}]
            fields = {"slug": f"cam{number}", "url": main.url(number), "streams": streams}
            assert product.client.post("/api/v1/cameras", json_body=fields).status == 201
        for number in range(TILES):
            product.wait_for_state(f"cam{number}")
        yield World(product, sub)


@pytest.fixture
def tab(chromium: Browser, world: World) -> Iterator[Tab]:
    with chromium.tab() as tab:
        world.product.sign_in(tab)
        tab.size(960, 800)
        yield tab
        assert not [line for line in tab.log if "EXCEPTION" in line or "Content Security" in line], tab.log


def test_a_wall_shows_sub_streams_and_a_large_camera_shows_main(tab: Tab, world: World) -> None:
    assert world.sub.state()["connects"] == 0, "nobody has watched a sub-stream"
    tab.navigate(world.product.url("/"))
    tab.until(f"{PLAYERS}.length === {TILES} && {PLAYERS}.every((each) => each.stats?.stream === 'sub')", 40)
    tab.until(f"{PLAYERS}.every((each) => each.stats.width === 480 && each.state === 'live')", 40)
    assert world.sub.state()["open"] == TILES

    tab.navigate(world.product.url("/cameras/cam3/"))
    tab.until(f"{PLAYERS}[0].stats?.width === 1280 && {PLAYERS}[0].stats.stream === 'main'", 30)
    tab.until("/^main, 1280/.test(document.querySelector('[data-figure=player]').textContent)")
    wait_until(lambda: world.sub.state()["open"] == 0, 30, "sub-streams closed", processes=[world.product])
    tab.js(f"{PLAYERS}[0].style.width = '320px'; 1")
    tab.until(f"{PLAYERS}[0].stats?.width === 480 && {PLAYERS}[0].stats.stream === 'sub'", 30)
    assert world.sub.state()["open"] == 1


def test_an_enlarged_tile_shows_main_without_a_new_connection(tab: Tab, world: World) -> None:
    tab.navigate(world.product.url("/"))
    tab.until(f"{PLAYERS}.length === {TILES} && {PLAYERS}.every((each) => each.stats?.width === 480)", 40)
    tab.js(f"for (const each of {PLAYERS}) each.states = []; 1")
    tab.js(
        "document.addEventListener('ninjacam-state', (event) => event.target.states.push(event.detail.state)); 1"
    )
    assert tab.js("document.documentElement.scrollHeight <= innerHeight + 40"), "all tiles are visible"
    tab.js("document.querySelectorAll('[data-enlarge]')[2].click()")
    tab.until(f"{PLAYERS}[2].stats.width === 1280 && {PLAYERS}[2].stats.stream === 'main'", 30)
    assert tab.js(f"{PLAYERS}[2].clientWidth > 2 * {PLAYERS}[0].clientWidth")
    assert tab.js(f"{PLAYERS}.every((each) => each.states.every((state) => state === 'live'))")
    tab.press("Escape")
    tab.until(f"{PLAYERS}[2].stats.stream === 'sub'", 30)
    assert tab.js("document.querySelector('.large') === null")


def test_a_single_camera_fills_the_wall(tab: Tab, world: World) -> None:
    layout = tab_layout(tab, world, "Only one", ["cam1"])
    tab.until(f"{PLAYERS}.length === 1 && {PLAYERS}[0].state === 'live'", 40)
    assert tab.js("document.querySelector('#layout').selectedOptions[0].textContent") == "Only one"
    assert tab.js(f"{PLAYERS}[0].clientWidth > 0.85 * innerWidth")
    tab.navigate(world.product.url(f"/layouts/{layout}/"))
    tab.js("globalThis.confirm = () => true; document.querySelector('[value=delete]').click()")
    tab.until("document.querySelector('#layout') === null && document.querySelectorAll('.tile').length > 1")


def tab_layout(tab: Tab, world: World, name: str, cameras: list[str]) -> str:
    """Save a layout on its page, with these cameras. Return its id."""
    tab.navigate(world.product.url("/layouts/new/"))
    tab.js(f"document.getElementById('name').value = '{name}'")
    tab.js(
        f"for (const box of document.querySelectorAll('[name=camera]')) box.checked = {cameras}.includes(box.value); 1"
    )
    tab.js("document.querySelector('[value=save]').click()")
    return str(tab.until("new URLSearchParams(location.search).get('layout')"))


def test_cameras_are_arranged_with_the_mouse_and_the_keyboard(tab: Tab, world: World) -> None:
    order = "[...document.querySelectorAll('[name=camera]')].map((box) => box.value).join(' ')"
    tab.navigate(world.product.url("/layouts/new/"))
    tab.until("[...document.querySelectorAll('.layout img')].every((image) => image.naturalWidth > 0)", 40)
    assert tab.js(order) == "cam0 cam1 cam2 cam3"
    centers = tab.js(
        "[...document.querySelectorAll('.layout img')].map((image) => { const box = image.getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]; })"
    )
    for kind, (x, y) in (
        ("mousePressed", centers[0]),
        ("mouseMoved", centers[1]),
        ("mouseReleased", centers[1]),
    ):
        tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
    assert tab.js(order) == "cam1 cam0 cam2 cam3"
    tab.js("document.querySelector('[value=cam3]').closest('li').querySelector('[data-move=\"-1\"]').focus()")
    tab.press("Enter")
    assert tab.js(order) == "cam1 cam0 cam3 cam2"
    assert (
        tab.js("document.querySelector('#layout [role=status]').textContent")
        == "cam3 is now at position 3 of 4."
    )
    tab.press("Enter")
    assert tab.js(order) == "cam1 cam3 cam0 cam2", "the button keeps the focus"
    tab.js(
        "document.querySelector('[value=cam0]').checked = false; document.getElementById('name').value = 'Mine'"
    )
    tab.js("document.querySelector('[value=save]').click()")
    tab.until("location.search.startsWith('?layout=') && document.querySelectorAll('.tile').length === 3")
    assert tab.js(f"{PLAYERS}.map((each) => each.getAttribute('camera')).join(' ')") == "cam1 cam3 cam2"
