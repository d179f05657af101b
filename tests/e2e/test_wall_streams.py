"""The wall on the real product: tiles show sub-streams, one large camera shows `main`, and unused streams close."""

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
        tab.size(1600, 1200)
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
