"""Replay in the player, in a real browser on the real product. The recorded frames are stamped with their numbers."""

import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import av
import pytest

from ninjacam.core.packets import Codec, Packet
from tests.harness.cameras import FakeCamera
from tests.harness.chrome import CHROMIUM, Browser, Tab, stamp_js
from tests.harness.fair_clock import fair_s
from tests.harness.recordings import FRAME_NS, NOON_NS, encode_stamped, encode_tone, write_file, write_files
from tests.harness.server import PASSWORD, Product

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
]
PLAYER = "document.querySelector('ninjacam-player')"
TIMELINE = "document.querySelector('ninjacam-timeline')"
LABEL = f"{TIMELINE}.getAttribute('aria-valuetext')"
FIRST_PART, GAP_ENDS, CHANGES, END = 750, 1500, 1625, 1700
"""Stamps of the camera "door": no recording from FIRST_PART to GAP_ENDS; from CHANGES on, frames are smaller."""
LATE, LATE_ENDS = 250, 625
"""Stamps at the start and the end of the recording of the camera "late"."""
OLD_GOES_ON = 400
"""Stamp of the camera "old" at which recording resumes after a gap from 125 on."""


@dataclass(frozen=True)
class World:
    """`base_ns`: the wall clock of stamp 0."""

    product: Product
    base_ns: int

    def ms(self, stamp: float) -> float:
        """Return the middle of the frame's time."""
        return (self.base_ns + (stamp + 0.5) * FRAME_NS) / 1e6


def moved(packets: list[Packet], base_ns: int) -> list[Packet]:
    return [each._replace(captured_ns=each.captured_ns - NOON_NS + base_ns) for each in packets]


def write_recordings(root: Path, base_ns: int) -> None:
    first = moved(encode_stamped(FIRST_PART), base_ns)
    after = encode_stamped(CHANGES - GAP_ENDS, first=GAP_ENDS)
    other = encode_stamped(END - CHANGES, first=CHANGES, size=(320, 180))
    write_files(root, first, 6, slug="door")
    write_files(root, moved(after, base_ns), 6, slug="door")
    write_files(root, moved(other, base_ns), 6, slug="door")
    write_files(root, moved(encode_stamped(FIRST_PART, bframes=2), base_ns), 10, slug="yard")
    write_files(root, moved(encode_stamped(LATE_ENDS - LATE, first=LATE), base_ns), 6, slug="late")
    write_files(root, moved(encode_stamped(125, codec=Codec.H265), base_ns), 2, slug="old")
    after = encode_stamped(50, first=OLD_GOES_ON, codec=Codec.H265)
    write_files(root, moved(after, base_ns), 2, slug="old")
    write_file(root, moved(encode_stamped(500), base_ns), slug="loud", tone=moved(encode_tone(20), base_ns))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("replay") / "data"
    base_ns = (time.time_ns() // 3_600_000_000_000 - 26) * 3_600_000_000_000
    camera = FakeCamera("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
    with camera, Product(data, workers=1) as product:
        product.add_camera("door", camera.url(), "--record", "always")
        for slug in ("yard", "late", "old", "loud"):
            product.add_camera(slug, "rtsp://127.0.0.1:1/none")
        write_recordings(data / "recordings", base_ns)  # a new camera does not inherit existing recordings
        product.cli("index", "--rebuild")
        product.wait_for_state("door")
        yield World(product, base_ns)


@pytest.fixture
def tab(chromium: Browser, world: World) -> Iterator[Tab]:
    with chromium.tab() as tab:
        world.product.sign_in(tab)
        yield tab
        assert not [line for line in tab.log if "EXCEPTION" in line or "Content Security" in line], tab.log


def open_page(tab: Tab, world: World, path: str) -> None:
    tab.navigate(world.product.url(path))
    tab.until(f"Boolean({PLAYER}?.seek && {TIMELINE}?.cameras?.length)")


def seek(tab: Tab, world: World, stamp: float, *, paused: bool = False) -> None:
    tab.js(f"{PLAYER}.{'pause' if paused else 'play'}(); {PLAYER}.seek({world.ms(stamp)}); 1")


def stamp_at(tab: Tab, world: World) -> float:
    """Return the player's position as a stamp."""
    return float((tab.js(f"Number({PLAYER}.position)") * 1e6 - world.base_ns) / FRAME_NS)


def wait_for_picture(tab: Tab, number: int, selector: str = "ninjacam-player") -> None:
    deadline_s = fair_s() + 10
    while (found := tab.read_stamp(selector)) != number:
        assert fair_s() < deadline_s, f"{found} is shown, not {number}\n" + "\n".join(tab.log[-20:])
        time.sleep(0.02)


def press(tab: Tab, *buttons: str) -> None:
    for name in buttons:
        tab.js(f"document.querySelector('#playback-controls [data-do={name}]').click()")


def show(tab: Tab, world: World, first: float, last: float) -> None:
    """Show a time range on the timeline."""
    tab.js(f"{TIMELINE}.show({world.ms(first)}, {world.ms(last)}); {TIMELINE}.scrollIntoView(); 1")


def point(tab: Tab, world: World, stamp: float, *kinds: str, shift: bool = False) -> None:
    """Move the mouse to that instant on the timeline and dispatch `kinds`: "mousePressed", "mouseReleased"."""
    x, y = tab.js(
        f"(() => {{ const {{ left, width, top }} = {TIMELINE}.getBoundingClientRect();"
        f"const {{ startMs, endMs }} = {TIMELINE}.visible;"
        f"return [left + width * ({world.ms(stamp)} - startMs) / (endMs - startMs), top + 44]; }})()"
    )
    for kind in ("mouseMoved", *kinds):
        button = {"button": "left", "clickCount": 1, "buttons": 1} if kinds else {}
        tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, modifiers=8 if shift else 0, **button)


def colour_at(tab: Tab, world: World, stamp: float) -> list[int]:
    """Return the colour in the timeline's row."""
    pixel = (
        f"(() => {{ const canvas = {TIMELINE}.shadowRoot.querySelector('canvas');"
        f"const {{ startMs, endMs }} = {TIMELINE}.visible;"
        f"const x = canvas.width * ({world.ms(stamp)} - startMs) / (endMs - startMs);"
        "return [...canvas.getContext('2d').getImageData(x, 56 * devicePixelRatio, 1, 1).data]; })()"
    )
    return [int(each) for each in tab.js(pixel)]


def test_replay_seeks_and_steps_and_plays_every_frame(tab: Tab, world: World) -> None:
    open_page(tab, world, "/cameras/door/")
    tab.js(f"{PLAYER}.pause(); 1")
    for number in (387, 0, 149, 150, 749):  # any, the first, on both sides of a file boundary, the last
        seek(tab, world, number, paused=True)
        wait_for_picture(tab, number)
    for count, number in ((-1, 748), (-1, 747), (1, 748)):
        tab.js(f"{PLAYER}.step({count})")
        wait_for_picture(tab, number)
    seek(tab, world, 203, paused=True)
    wait_for_picture(tab, 203)
    ahead = "((video) => video.buffered.end(video.buffered.length - 1) - video.currentTime)"
    tab.until(f"{ahead}({PLAYER}.shadowRoot.querySelector('video')) > 10")  # while paused
    for number in range(202, 173, -1):  # below 200, the clip may begin, and everything is fetched again
        tab.js(f"{PLAYER}.step(-1)")
        wait_for_picture(tab, number)
    tab.until(f"Math.abs({PLAYER}.position - {world.ms(173.5)}) < 5")

    # At half speed, a busy machine has enough time to paint them.
    tab.js(f"{PLAYER}.rate = 0.5; {PLAYER}.play(); 1")
    numbers = [each.number for each in tab.sample_stamps("ninjacam-player", 4)]
    missing = [b - a - 1 for a, b in pairwise(numbers)]
    assert numbers[-1] > 200, "over the end of a fragment"
    assert min(missing) == 0 and sum(missing) < 0.1 * len(numbers), numbers
    assert tab.js(f"{PLAYER}.state") == "playing"


def test_replay_at_high_speed_crosses_gaps_and_changes_of_format_and_catches_up(
    tab: Tab, world: World
) -> None:
    open_page(tab, world, "/cameras/door/")
    tab.js("window.notes = new Set(); window.modes = []; window.widths = new Set();"
           "document.addEventListener('modechange', (event) => modes.push(event.detail.mode));"
           f"{PLAYER}.onframe = (picture, meta) => {{ widths.add(meta.width);"
           f"notes.add({PLAYER}.shadowRoot.querySelector('.note').textContent); }}; 1")  # fmt: skip
    tab.js(f"{PLAYER}.rate = 8; 1")
    seek(tab, world, 100)
    tab.until(f"{PLAYER}.state === 'playing'")
    begun, at = fair_s(), stamp_at(tab, world)
    tab.until(f"{PLAYER}.position >= {world.ms(450)}")
    played_s = (stamp_at(tab, world) - at) * FRAME_NS / 1e9
    assert played_s > 4 * (fair_s() - begun), "8 times as fast, on a machine that is busy"
    tab.until(f"{PLAYER}.position >= {world.ms(CHANGES + 20)}", 20)
    assert {640, 320} <= set(tab.js("[...widths]"))
    assert any("Nothing was recorded until" in note for note in tab.js("[...notes]"))

    tab.js(f"{PLAYER}.rate = 4; {PLAYER}.seek(Date.now() - 9000); 1")  # the file that is being written
    tab.until(f"{PLAYER}.state === 'playing' && Date.now() - {PLAYER}.position < 12000")
    tab.until(f"{PLAYER}.mode === 'live' && {PLAYER}.state === 'live'", 20)
    assert tab.js("modes") == ["replay", "live"]
    press(tab, "toggle")  # pausing stops in the recording
    tab.until(f"{PLAYER}.state === 'paused'")
    assert abs(tab.js(f"Date.now() - {PLAYER}.position")) < 20_000
    press(tab, "live")
    tab.until(f"{PLAYER}.state === 'live'")
    assert tab.js("modes") == ["replay", "live"] * 2


def test_stepping_back_crosses_a_gap(tab: Tab, world: World) -> None:
    open_page(tab, world, "/cameras/door/")
    seek(tab, world, GAP_ENDS, paused=True)
    wait_for_picture(tab, GAP_ENDS)
    for button, number in (("back", FIRST_PART - 1), ("back", FIRST_PART - 2), ("forward", FIRST_PART - 1)):
        press(tab, button)
        wait_for_picture(tab, number)
    seek(tab, world, GAP_ENDS + 50, paused=True)
    wait_for_picture(tab, GAP_ENDS + 50)
    for number in (FIRST_PART - 1, FIRST_PART - 251):
        press(tab, "rewind")
        wait_for_picture(tab, number)


def test_the_last_frames_of_a_fragment_are_shown_despite_reordering(tab: Tab, world: World) -> None:
    open_page(tab, world, "/cameras/yard/")  # which has B-frames
    for number in (49, 148, 224):
        seek(tab, world, number, paused=True)
        wait_for_picture(tab, number)


def test_a_gap_of_a_day_is_skipped_at_once(tab: Tab, world: World) -> None:
    open_page(tab, world, "/cameras/door/")
    seek(tab, world, END - 10)
    tab.until(f"{PLAYER}.mode === 'replay' && Date.now() - {PLAYER}.position < 3_600_000", 20)


EVENTS = """(() => {
  const real = window.fetch, base = %f;
  window.fetch = async (input, options) => {
    const url = String(input), answer = await real(input, options);
    if (!url.includes("api/v1/timeline")) return answer;
    if (window.timelineFails) return new Response("{}", { status: 503 });
    const body = await answer.json();
    const at = (s) => new Date(base + s * 1000).toISOString();
    for (const row of body.cameras) {
      row.events = [
        { id: 1, kind: "motion", label: "Somebody at the gate", start: at(4), end: at(6), protected: false },
        { id: 2, kind: "button", label: "The bell", start: at(20), end: at(20), protected: false },
      ];
      const stepMs = (Date.parse(body.end) - Date.parse(body.start)) / 400;
      row.activity = { step_s: stepMs / 1000, bitrate_bps: Array.from({ length: 400 }, () => 1e6) };
    }
    return new Response(JSON.stringify(body), { status: 200 });
  };
})()"""


def test_the_timeline_is_rendered_and_seeks_by_pointer_and_keys(tab: Tab, world: World) -> None:
    open_page(tab, world, "/cameras/door/")
    assert tab.js(LABEL) == "Live"
    show(tab, world, -250, 2000)
    tab.until(f"{TIMELINE}.shadowRoot.querySelector('.error').textContent === ''")
    deadline_s = fair_s() + 10
    while (recorded := colour_at(tab, world, 300)) == (nothing := colour_at(tab, world, -100)):
        assert fair_s() < deadline_s, f"what is recorded looks as what is not: {recorded}"
        time.sleep(0.05)
    assert colour_at(tab, world, 1100) == nothing, "the gap"

    point(tab, world, 400)
    tab.until(f"{TIMELINE}.shadowRoot.querySelector('.tip img').naturalWidth === 240")
    tab.js(f"{PLAYER}.pause(); 1")
    point(tab, world, 400, "mousePressed", "mouseReleased")
    tab.until(f"{PLAYER}.state === 'paused' && Math.abs({PLAYER}.position - {world.ms(400)}) < 2000")
    assert tab.js(LABEL) != "Live"
    tab.js(f"{TIMELINE}.focus(); 1")
    seek(tab, world, 300, paused=True)
    for key, number in (("ArrowRight", 325), ("ArrowLeft", 300)):
        tab.press(key)
        wait_for_picture(tab, number)
    before = tab.js(f"{TIMELINE}.visible.endMs - {TIMELINE}.visible.startMs")
    tab.press("+")
    assert tab.js(f"{TIMELINE}.visible.endMs - {TIMELINE}.visible.startMs") < before
    point(tab, world, 100, "mousePressed", shift=True)
    point(tab, world, 200, "mouseReleased", shift=True)
    link = tab.until("document.querySelector('#playback-controls [data-links] a')?.href")
    answer = world.product.client.get(link.removeprefix(world.product.base))
    assert (answer.status, answer.body[4:8]) == (200, b"ftyp")
    tab.press("End")
    tab.until(f"{PLAYER}.mode === 'live'")


HOLD = """(() => {
  const real = window.fetch;
  window.fetch = async (input, options) => {
    if (!window.holds || !String(input).includes("api/v1/timeline")) return real(input, options);
    window.holds = false;
    await new Promise((resolve) => (window.release = resolve));
    try {
      return new Response(await (await real(input, options)).text());
    } finally {
      setTimeout(() => (window.released = true), 200);
    }
  };
})()"""


def test_a_late_response_does_not_replace_a_newer_one(tab: Tab, world: World) -> None:
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=HOLD)
    open_page(tab, world, "/cameras/door/")
    show(tab, world, -250, 2000)
    tab.js(f"window.holds = true; {TIMELINE}.cameras = [{{ slug: 'old', name: 'Old' }}]; 1")
    tab.until("Boolean(window.release)")
    tab.js(f"{TIMELINE}.cameras = [{{ slug: 'yard', name: 'Yard' }}]; 1")
    deadline_s = fair_s() + 10
    while colour_at(tab, world, 300) == colour_at(tab, world, -100):
        assert fair_s() < deadline_s, "what is recorded is not shown"
        time.sleep(0.05)
    tab.js("window.release(); 1")
    tab.until("window.released")
    show(tab, world, -251, 2000)
    tab.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
    assert colour_at(tab, world, 300) != colour_at(tab, world, -100)


def touch(tab: Tab, kind: str, *places: tuple[float, float]) -> None:
    """Dispatch "Start", "Move" or "End".

    `places`: of the fingers, as fractions of the timeline's width and px below its top.
    """
    box = tab.js(f"(({{ left, top, width }}) => [left, top, width])({TIMELINE}.getBoundingClientRect())")
    points = [
        {"x": box[0] + box[2] * x, "y": box[1] + y, "id": number} for number, (x, y) in enumerate(places)
    ]
    tab.call("Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=points)


def test_two_fingers_zoom_the_timeline_and_one_moves_it_and_a_tap_seeks(tab: Tab, world: World) -> None:
    tab.size(390, 844, phone=True)
    open_page(tab, world, "/cameras/door/")
    tab.js(f"{PLAYER}.pause(); 1")
    seek(tab, world, 50, paused=True)
    wait_for_picture(tab, 50)
    show(tab, world, 0, 1000)

    def seen() -> tuple[float, float]:
        """Return the stamps at both ends of the timeline."""
        ends = tab.js(f"[{TIMELINE}.visible.startMs, {TIMELINE}.visible.endMs]")
        start, end = ((each * 1e6 - world.base_ns) / FRAME_NS for each in ends)
        return start, end

    touch(tab, "Start", (0.4, 44))
    touch(tab, "Start", (0.4, 44), (0.6, 44))
    for apart in (0.15, 0.2, 0.25, 0.3):
        touch(tab, "Move", (0.5 - apart, 44), (0.5 + apart, 44))
    touch(tab, "End", (0.2, 44))
    touch(tab, "End")
    start, end = seen()
    assert end - start == pytest.approx(1000 / 3, rel=0.05), "the fingers went three times as far apart"
    assert (start + end) / 2 == pytest.approx(500, abs=20), "what was between them stays there"
    assert tab.read_stamp("ninjacam-player") == 50 and tab.js(f"{PLAYER}.state") == "paused"

    touch(tab, "Start", (0.8, 44))
    for at in (0.7, 0.6, 0.5, 0.4, 0.3):
        touch(tab, "Move", (at, 44))
    touch(tab, "End")
    moved_by = seen()[0] - start
    assert moved_by == pytest.approx((end - start) / 2, rel=0.2), "half of what is seen"
    assert tab.read_stamp("ninjacam-player") == 50

    show(tab, world, 0, 1000)
    touch(tab, "Start", (0.6, 44))
    touch(tab, "End")
    tab.until(f"Math.abs({PLAYER}.position - {world.ms(600)}) < 500")


def test_a_finger_selects_a_range_to_download(tab: Tab, world: World) -> None:
    tab.size(390, 844, phone=True)
    open_page(tab, world, "/cameras/door/")
    seek(tab, world, 50, paused=True)
    show(tab, world, 0, 1000)
    press(tab, "select")
    touch(tab, "Start", (0.2, 44))
    for at in (0.3, 0.4, 0.5):
        touch(tab, "Move", (at, 44))
    touch(tab, "End")
    chosen = tab.js(f"{TIMELINE}.selection")
    stamps = [(chosen[end] * 1e6 - world.base_ns) / FRAME_NS for end in ("startMs", "endMs")]
    assert stamps == pytest.approx([200, 500], abs=15)
    assert "clip.mp4" in tab.until("document.querySelector('[data-links] a')?.href")
    assert tab.js("document.documentElement.scrollWidth <= innerWidth"), "the range fits on a phone"
    tab.js("document.querySelector('[data-speed]').value = '10'")
    press(tab, "timelapse")
    lapse = tab.until(
        "[...document.querySelectorAll('[data-links] a')].find((each) => each.href.includes('/export/'))?.href",
        60,
    )
    data = world.product.client.get(lapse.removeprefix(world.product.base)).body
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        length_s = float((stream.duration or 0) * (stream.time_base or 0))
    assert length_s == pytest.approx(300 * FRAME_NS / 1e9 / 10, abs=0.25)
    before = tab.js(f"{TIMELINE}.visible.startMs")
    touch(tab, "Start", (0.8, 44))
    touch(tab, "Move", (0.5, 44))
    touch(tab, "End")
    assert tab.js(f"{TIMELINE}.visible.startMs") > before, "the next drag moves the timeline again"
    assert tab.js(f"{TIMELINE}.selection") == chosen


def test_one_click_saves_the_last_minute(tab: Tab, world: World) -> None:
    open_page(tab, world, "/cameras/door/")
    tab.until(f"{PLAYER}.state === 'live'")
    press(tab, "last-minute")
    chosen = tab.js(f"{TIMELINE}.selection")
    assert chosen["endMs"] - chosen["startMs"] == 60_000
    assert abs(chosen["endMs"] - time.time() * 1000) < 5000
    href = "[...document.querySelectorAll('[data-links] a')].find((each) => each.href.includes('/export/'))?.href"
    saved = tab.until(href, 60)
    data = world.product.client.get(saved.removeprefix(world.product.base)).body
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert 0 < float((stream.duration or 0) * (stream.time_base or 0)) < 62
    # In replay, the minute before the displayed frame.
    seek(tab, world, 100, paused=True)
    wait_for_picture(tab, 100)
    press(tab, "last-minute")
    assert tab.js(f"{TIMELINE}.selection.endMs") == pytest.approx(world.ms(100), abs=45)


def test_the_names_of_four_cameras_stay_visible(tab: Tab, world: World) -> None:
    tab.size(1280, 800)
    open_page(tab, world, "/replay/?camera=door&camera=yard&camera=late&camera=old")
    covered = (
        "[...document.querySelectorAll('.together a')].filter((name) => { const box = name.getBoundingClientRect();"
        "const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);"
        "return top !== name; }).map((name) => name.textContent)"
    )
    tab.until("document.querySelectorAll('.together a').length === 4")
    assert tab.js(covered) == []


def test_offline_cameras_stay_visible_in_dark_mode(tab: Tab, world: World) -> None:
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    tab.navigate(world.product.url("/"))
    tab.until(f"document.querySelectorAll('ninjacam-player').length === 5 && Boolean({PLAYER}.shadowRoot)")
    color = "getComputedStyle({}).backgroundColor.match(/\\d+/g).map(Number)"
    offline = "document.querySelector('ninjacam-player[camera=yard]')"
    tile, page = (tab.js(color.format(element)) for element in (offline, "document.body"))
    assert max(page) < 40, "the page is dark"
    assert sum(tile) > sum(page) + 30, (tile, page)


def test_sound_is_played_in_sync_once_it_is_unmuted(tab: Tab, world: World) -> None:
    open_page(tab, world, "/cameras/loud/")
    seek(tab, world, 25)
    tab.until(f"{PLAYER}.state === 'playing'")
    video = f"{PLAYER}.shadowRoot.querySelector('video')"
    assert tab.js(f"{video}.muted"), "nobody is startled"
    press(tab, "mute")
    assert not tab.js(f"{video}.muted")
    loudness = (
        f"(() => {{ const context = new AudioContext(), analyser = context.createAnalyser();"
        f"context.createMediaStreamSource({video}.captureStream()).connect(analyser);"
        "window.loudness = () => { const wave = new Float32Array(analyser.fftSize);"
        "analyser.getFloatTimeDomainData(wave); return Math.max(...wave.map(Math.abs)); }; return 1; })()"
    )
    tab.js(loudness)
    tab.until("loudness() > 0.05")
    at = stamp_at(tab, world)
    tab.until(f"{PLAYER}.position > {world.ms(at + 50)}")
    assert tab.js("loudness()") > 0.05, "it continues across the ends of fragments"
    assert tab.js(f"{PLAYER}.state") == "playing"


def test_events_are_drawn_and_can_be_sought_and_a_failed_load_is_reported(tab: Tab, world: World) -> None:
    source = EVENTS % (world.base_ns / 1e6)
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=source)
    open_page(tab, world, "/cameras/door/")
    tab.js(f"{PLAYER}.pause(); 1")
    seek(tab, world, 50, paused=True)
    wait_for_picture(tab, 50)
    show(tab, world, -250, 2000)
    tab.until(f"{TIMELINE}.findEvent(1)?.label === 'Somebody at the gate'")
    tab.js(f"{TIMELINE}.focus(); 1")
    for key, number in (("n", 100), ("n", 500), ("p", 100)):
        tab.press(key)
        wait_for_picture(tab, number)
    point(tab, world, 120)
    tab.until(f"{TIMELINE}.shadowRoot.querySelector('.tip small').textContent === 'Somebody at the gate'")
    tab.js("window.timelineFails = true; 1")
    show(tab, world, 10_000, 12_000)
    tab.until(f"/Retrying/.test({TIMELINE}.shadowRoot.querySelector('.error').textContent)")
    tab.js("window.timelineFails = false; 1")
    tab.until(f"{TIMELINE}.shadowRoot.querySelector('.error').textContent === ''")


ANNOTATIONS = """(() => {
  const real = window.fetch, base = %f;
  window.fetch = async (input, options) => {
    const url = new URL(String(input), location.href);
    if (!url.pathname.endsWith("/api/v1/annotations")) return real(input, options);
    const [start, end] = ["start", "end"].map((name) => Date.parse(url.searchParams.get(name)));
    const frames = [];
    const first = Math.max(0, Math.ceil((start - base) / 40));
    for (let number = first; base + number * 40 < end && number < 750; number += 1) {
      const annotations = [{ type: "text", points: [[0.5, 0.5]], label: String(number) }];
      frames.push({ view: "numbers", captured_us: Math.round((base + number * 40) * 1000), annotations });
    }
    return new Response(JSON.stringify({ start, end: new Date(end).toISOString(), frames }), { status: 200 });
  };
})()"""


def test_recorded_annotations_are_drawn_on_each_frame(tab: Tab, world: World) -> None:
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=ANNOTATIONS % (world.base_ns / 1e6))
    open_page(tab, world, "/cameras/door/")
    tab.js(f"{PLAYER}.setAttribute('overlay', 'numbers')")
    label = f"{PLAYER}.annotations.numbers?.[0].label"
    for number in (387, 0, 149, 150, 749):  # also on both sides of a file boundary
        seek(tab, world, number, paused=True)
        wait_for_picture(tab, number)
        tab.until(f"{label} === '{number}'")
    for count, number in ((-1, 748), (-1, 747), (1, 748)):
        tab.js(f"{PLAYER}.step({count})")
        tab.until(f"{label} === '{number}'")
        wait_for_picture(tab, number)

    tab.js("window.pairs = []; window.player = document.querySelector('ninjacam-player');"
           f"player.onframe = (picture) => pairs.push([({stamp_js()}).read('ninjacam-player')?.[0],"
           "Number(player.annotations.numbers?.[0].label)]); player.rate = 4; 1")  # fmt: skip
    seek(tab, world, 100)
    tab.until(f"{PLAYER}.position > {world.ms(600)}")
    pairs = [(stamp, said) for stamp, said in tab.js("pairs") if stamp is not None]
    # A busy browser skips frames. What it draws then belongs to a frame after the previous picture.
    fitting = [
        said is not None and (abs(stamp - said) <= 1 or previous < said < stamp)
        for (previous, _), (stamp, said) in pairwise(pairs)
    ]
    assert len(fitting) > 20 and sum(fitting) >= 0.9 * len(fitting), pairs
    tab.js(f"{PLAYER}.goLive(); 1")
    tab.until(f"{PLAYER}.state === 'live' && {label} === undefined")


def test_several_cameras_play_in_sync(tab: Tab, world: World) -> None:
    open_page(tab, world, "/replay/?camera=door&camera=yard")
    pair = [f"ninjacam-player[camera={slug}]" for slug in ("door", "yard")]
    when = json.dumps({"detail": {"time": 0}}).replace("0", f"new Date({world.ms(100)})")
    tab.js(f"{TIMELINE}.dispatchEvent(new CustomEvent('seek', {when})); 1")
    tab.until(f"{PLAYER}.state === 'playing' && {PLAYER}.position > {world.ms(150)}")
    rows = tab.js(
        f"new Promise((done) => {{ const rows = [], end = performance.now() + 2500; const look = () => {{"
        f"rows.push({json.dumps(pair)}.map((each) => ({stamp_js()}).read(each)?.[0]));"
        "performance.now() < end ? requestAnimationFrame(look) : done(rows); }; look(); })"
    )
    apart = [abs(a - b) for a, b in rows if a is not None and b is not None]
    assert len(apart) > 20 and sorted(apart)[len(apart) * 9 // 10] <= 2, rows
    press(tab, "toggle")
    tab.until("[...document.querySelectorAll('ninjacam-player')].every((each) => each.state === 'paused')")
    number = tab.wait_for_stamp(pair[0])
    wait_for_picture(tab, number, pair[1])
    for button, change in (("forward", 1), ("back", -1)):
        press(tab, button)
        number += change
        for each in pair:
            wait_for_picture(tab, number, each)

    press(tab, "toggle")
    when = when.replace(str(world.ms(100)), str(world.ms(720)))
    tab.js(f"{TIMELINE}.dispatchEvent(new CustomEvent('seek', {when})); 1")
    tab.until(f"{PLAYER}.position > {world.ms(GAP_ENDS + 5)}", 20)  # beyond the gap of both
    yard = "document.querySelector('ninjacam-player[camera=yard]')"
    tab.until(f"{yard}.state === 'ended' && /Nothing was recorded/.test({yard}.shadowRoot.textContent)")


def test_a_camera_whose_recording_begins_later_waits_for_it(tab: Tab, world: World) -> None:
    open_page(tab, world, "/replay/?camera=yard&camera=late")
    late = "document.querySelector('ninjacam-player[camera=late]')"
    when = json.dumps({"detail": {"time": 0}}).replace("0", f"new Date({world.ms(LATE - 150)})")
    tab.js(f"{TIMELINE}.dispatchEvent(new CustomEvent('seek', {when})); 1")
    tab.until(f"{late}.state === 'gap' && {PLAYER}.position > {world.ms(LATE - 50)}")
    clips = "performance.getEntriesByType('resource').filter((each) => each.name.includes('late/clip.mp4'))"
    assert tab.js(f"{clips}.length") <= 3, "what it has while it waits is bounded"
    tab.until(f"{late}.state === 'playing'")
    assert LATE - 5 <= stamp_at(tab, world) < LATE + 60
    press(tab, "toggle")
    tab.until("[...document.querySelectorAll('ninjacam-player')].every((each) => each.state === 'paused')")
    wait_for_picture(tab, tab.wait_for_stamp("ninjacam-player"), "ninjacam-player[camera=late]")


def test_several_cameras_step_back_over_a_gap_together(tab: Tab, world: World) -> None:
    open_page(tab, world, "/replay/?camera=door&camera=late")
    pair = [f"ninjacam-player[camera={slug}]" for slug in ("door", "late")]
    when = json.dumps({"detail": {"time": 0}}).replace("0", f"new Date({world.ms(GAP_ENDS)})")
    tab.js(f"{TIMELINE}.dispatchEvent(new CustomEvent('seek', {when})); 1")
    press(tab, "toggle")
    wait_for_picture(tab, GAP_ENDS, pair[0])
    press(tab, "back")
    wait_for_picture(tab, FIRST_PART - 1, pair[0])
    tab.until(
        f"{TIMELINE}.getAttribute('aria-valuenow') * 1000 <= {world.ms(FIRST_PART)}"
    )  # and all players with it
    press(tab, "rewind")  # 250 frames
    for each in pair:
        wait_for_picture(tab, FIRST_PART - 251, each)


def test_a_codec_that_the_browser_lacks_is_shown_as_stills(tab: Tab, world: World) -> None:
    open_page(tab, world, "/cameras/old/")
    seek(tab, world, 30)
    tab.until(f"{PLAYER}.stats.framesPainted > 2 && {PLAYER}.state === 'playing'")
    assert tab.js(f"{PLAYER}.stats.rung") == "stills"
    assert "single frames" in tab.js(f"{PLAYER}.shadowRoot.querySelector('.note').textContent")
    seek(tab, world, 60, paused=True)
    wait_for_picture(tab, 60)
    for count, number in ((-1, 59), (1, 60)):
        tab.js(f"{PLAYER}.step({count}); 1")
        wait_for_picture(tab, number)
    seek(tab, world, OLD_GOES_ON, paused=True)
    wait_for_picture(tab, OLD_GOES_ON)
    tab.js(f"{PLAYER}.step(-1); 1")  # across a gap
    wait_for_picture(tab, 124)

    # Before the first frame is displayed.
    tab.js(f"{PLAYER}.goLive(); {PLAYER}.pause(); {PLAYER}.seek({world.ms(100)}); 1")
    tab.until(f"{PLAYER}.stats.rung === 'stills'")
    tab.js(f"{PLAYER}.seek({world.ms(100)}); {PLAYER}.step(-1); 1")
    wait_for_picture(tab, 100)  # the last before the instant
    assert tab.js(f"Number.isFinite(Number({PLAYER}.position))")

    sorted((world.product.data / "recordings" / "old").rglob("*.mp4"))[1].unlink()  # from 50 to 100
    seek(tab, world, 40)
    tab.until(f"{PLAYER}.position > {world.ms(102)}", 20)


def test_users_who_may_only_view_get_no_timeline(chromium: Browser, world: World) -> None:
    product = world.product
    product.cli("createuser", "vera", "--password-stdin", stdin=PASSWORD + "\n")
    granted = product.client.post("/api/v1/cameras/door/grants", json_body={"role": "view", "user": "vera"})
    assert granted.status == 201, granted.text
    with chromium.tab() as tab:
        product.sign_in(tab, product.login("vera"))
        tab.navigate(product.url("/cameras/door/"))
        tab.until(f"{PLAYER}?.state === 'live'")
        assert not tab.js(f"Boolean({TIMELINE} || document.getElementById('playback-controls'))")
        tab.js(f"{PLAYER}.seek({world.ms(100)}); 1")
        tab.until(f"{PLAYER}.state === 'error'")
        assert tab.js("fetch('/replay/?camera=door').then((answer) => answer.status)") == 403
        clip = f"/rec/door/clip.mp4?start={iso(world, 0)}&end={iso(world, 100)}"
        assert tab.js(f"fetch({clip!r}).then((answer) => answer.status)") == 403


def iso(world: World, stamp: float) -> str:
    return datetime.fromtimestamp(world.ms(stamp) / 1000, UTC).isoformat().replace("+00:00", "Z")
