"""The player goes back in time, in a real browser on the real product: recordings whose pictures bear their numbers."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest

from ninjacam.core.packets import Codec, Packet
from tests.harness.cameras import FakeCamera
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.recordings import FRAME_NS, NOON_NS, encode_stamped, write_files
from tests.harness.server import Product

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
]
PLAYER = "document.querySelector('ninjacam-player')"
TIMELINE = "document.querySelector('ninjacam-timeline')"
FIRST_PART, GAP_ENDS, CHANGES, END = 750, 1500, 1625, 1700
"""Stamps of the camera "door": there is nothing from FIRST_PART to GAP_ENDS; from CHANGES on pictures are smaller."""


@dataclass(frozen=True)
class World:
    """`base_ns`: the wall clock of stamp 0."""

    product: Product
    base_ns: int

    def ms(self, stamp: float) -> float:
        """In the middle of that picture's time."""
        return (self.base_ns + (stamp + 0.5) * FRAME_NS) / 1e6


def moved(packets: list[Packet], base_ns: int) -> list[Packet]:
    return [replace(each, captured_ns=each.captured_ns - NOON_NS + base_ns) for each in packets]


def write_recordings(root: Path, base_ns: int) -> None:
    first = moved(encode_stamped(FIRST_PART), base_ns)
    after = encode_stamped(CHANGES - GAP_ENDS, first=GAP_ENDS)
    other = encode_stamped(END - CHANGES, first=CHANGES, size=(320, 180))
    write_files(root, first, 6, slug="door")
    write_files(root, moved(after, base_ns), 6, slug="door")
    write_files(root, moved(other, base_ns), 6, slug="door")
    write_files(root, moved(encode_stamped(FIRST_PART, bframes=2), base_ns), 10, slug="yard")
    write_files(root, moved(encode_stamped(125, codec=Codec.H265), base_ns), 6, slug="old")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("replay") / "data"
    base_ns = (time.time_ns() // 3_600_000_000_000 - 26) * 3_600_000_000_000
    write_recordings(data / "recordings", base_ns)
    camera = FakeCamera("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
    with camera, Product(data, workers=1) as product:
        product.cli("index", "--rebuild")
        product.add_camera("door", camera.url(), "--record", "always")
        for slug in ("yard", "old"):
            product.add_camera(slug, "rtsp://127.0.0.1:1/none")
        product.wait_for_state("door")
        yield World(product, base_ns)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with Browser() as running:
        yield running


@pytest.fixture
def tab(chromium: Browser, world: World) -> Iterator[Tab]:
    with chromium.tab() as tab:
        world.product.sign_in(tab)
        yield tab
        assert not [line for line in tab.log if "EXCEPTION" in line or "Content Security" in line], tab.log


def open_camera(tab: Tab, world: World, slug: str = "door") -> None:
    tab.navigate(world.product.url(f"/cameras/{slug}/"))
    tab.until(f"Boolean({PLAYER}?.seek)")


def seek(tab: Tab, world: World, stamp: float, *, paused: bool = False) -> None:
    tab.js(f"{PLAYER}.{'pause' if paused else 'play'}(); {PLAYER}.seek({world.ms(stamp)}); 1")


def wait_for_picture(tab: Tab, number: int, selector: str = "ninjacam-player") -> None:
    deadline_s = time.monotonic() + 10
    while (found := tab.read_stamp(selector)) != number:
        assert time.monotonic() < deadline_s, f"{found} is shown, not {number}\n" + "\n".join(tab.log[-20:])
        time.sleep(0.02)


def test_it_seeks_steps_and_plays_every_picture(tab: Tab, world: World) -> None:
    open_camera(tab, world)
    tab.js(f"{PLAYER}.pause(); 1")
    tab.js("window.modes = []; document.addEventListener('modechange', (e) => modes.push(e.detail.mode)); 1")
    for number in (387, 0, 149, 150, 749):  # anywhere, the first, and on both sides of a file's end
        seek(tab, world, number, paused=True)
        wait_for_picture(tab, number)
    for count, number in ((-1, 748), (-1, 747), (1, 748)):
        tab.js(f"{PLAYER}.step({count})")
        wait_for_picture(tab, number)
    seek(tab, world, 200, paused=True)
    wait_for_picture(tab, 200)
    for number in range(199, 173, -1):  # below 200, where the clip begins, everything is fetched again
        tab.js(f"{PLAYER}.step(-1)")
        wait_for_picture(tab, number)
    assert tab.js(f"{PLAYER}.position.getTime()") == pytest.approx(world.ms(173.5), abs=2)

    tab.js(f"{PLAYER}.play(); 1")
    samples = tab.sample_stamps("ninjacam-player", 4)
    numbers = [each.number for each in samples]
    assert numbers[-1] > 174 + 50
    assert all(0 < b - a <= 2 for a, b in pairwise(numbers)), numbers
    assert tab.js(f"{PLAYER}.state") == "playing"
