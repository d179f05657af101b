"""The player selects one of a camera's streams and switches without a gap, in a real browser.

The server is a fake (`fake_media`) whose streams show the same frame numbers.
"""

import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fake_media import FRAMES, GOP, FakeMedia, Video, make_video
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.fair_clock import fair_s

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
]
PROBE = (Path(__file__).parent / "player_probe.js").read_text()
PLAYER = "probe.players.p.player"
MAIN_PX, SUB_PX = 640, 320
RUNGS = ["webcodecs", "mse", "mjpeg"]
CHOICE = "/static/player/stream-choice.js"


@pytest.fixture(scope="module")
def sub_video() -> Video:
    return make_video(SUB_PX, 180)


@pytest.fixture
def media(media: FakeMedia, sub_video: Video) -> FakeMedia:
    media.sources["sub"] = sub_video
    return media


@pytest.fixture
def tab(chromium: Browser, media: FakeMedia) -> Iterator[Tab]:
    with chromium.tab(f"http://127.0.0.1:{media.port}/page") as tab:
        tab.until("Boolean(customElements.get('ninjacam-player'))")
        tab.js(PROBE)
        yield tab
        assert not [line for line in tab.log if "EXCEPTION" in line or "Content Security" in line], tab.log


def make(tab: Tab, style: str, **attributes: str) -> None:
    tab.js(f"probe.make('p', { ({'camera': 'door'} | attributes)!r}, '{style}')")


def resize(tab: Tab, width_px: int) -> None:
    tab.js(f"{PLAYER}.style.width = '{width_px}px'; 1")


def set_timing(tab: Tab, **ms: int) -> None:
    tab.js(f"import('{CHOICE}').then(({{ timing }}) => {{ Object.assign(timing, {json.dumps(ms)}); }})")


def displays(tab: Tab, width_px: int) -> None:
    tab.until(f"{PLAYER}.state === 'live' && {PLAYER}.stats.width === {width_px}", 15)


def paints(tab: Tab, count: int) -> list[dict[str, Any]]:
    """Wait for `count` more paints, and return all."""
    there = tab.js("probe.players.p.paints.length")
    tab.until(f"probe.players.p.paints.length >= {there + count}")
    return list(tab.js("probe.players.p.paints"))


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline_s = fair_s() + 10
    while not condition():
        assert fair_s() < deadline_s, f"never true: {what}"
        time.sleep(0.02)


def find_steps_across(log: list[dict[str, Any]]) -> list[int]:
    """Return the steps from the last frame of a stream to the first of the next: 1 is the next frame, 0 the same."""
    half = FRAMES // 2
    return [
        (after["stamp"] - before["stamp"] + half) % FRAMES - half
        for before, after in pairwise(log)
        if before["width"] != after["width"]
    ]


@pytest.mark.parametrize(("await_ms", "begins_at_key"), [(10_000, True), (0, False)])
def test_a_new_stream_begins_at_a_live_key_frame_if_one_comes_in_time(
    tab: Tab, media: FakeMedia, await_ms: int, begins_at_key: bool
) -> None:
    media.sends_cached = True
    set_timing(tab, between=0, awaitKey=await_ms)
    make(tab, "width:300px")
    displays(tab, SUB_PX)
    tab.until(
        f"probe.players.p.paints.at(-1).stamp % {GOP} === {GOP // 4}"
    )  # the next key frame is 1.5 s later
    resize(tab, 640)
    displays(tab, MAIN_PX)
    first = next(each["stamp"] for each in paints(tab, 2) if each["width"] == MAIN_PX)
    assert (first % GOP < 3) is begins_at_key


@pytest.mark.parametrize("rung", RUNGS)
def test_the_stream_follows_the_size_without_a_gap(tab: Tab, media: FakeMedia, rung: str) -> None:
    set_timing(tab, between=0, catchUp=60_000)
    make(tab, "width:300px", format=rung)
    displays(tab, SUB_PX)
    tab.js("probe.observe('p')")
    for css_px, width_px in ((640, MAIN_PX), (200, SUB_PX), (500, MAIN_PX)):
        paints(tab, 10)
        media.sends_cached = css_px == 500  # otherwise it waits for a key frame
        resize(tab, css_px)
        displays(tab, width_px)
    log = paints(tab, 10)

    assert [each for each in log if each["stamp"] is None] == []
    across = find_steps_across(log)
    assert len(across) == 3
    assert min(across) >= -1, "MSE knows capture times to some milliseconds"
    assert max(across) < GOP // 2, "the previous stream is shown while the player waits for a key frame"
    assert tab.js("probe.players.p.seen") > 20
    assert tab.js("probe.players.p.blanks") == 0
    assert {each["state"] for each in tab.js("probe.players.p.states")} <= {"connecting", "live"}
    assert "live" in tab.js("probe.text('p')").lower()
    assert tab.js(f"{PLAYER}.shadowRoot.querySelector('.stage').children.length") == 1
    if rung == "mjpeg":
        wait(lambda: media.mjpeg_watched == ["main"], "the previous responses are closed")
    else:
        wait(lambda: media.watched_sources == ["main"], "the previous streams are left")
        assert tab.js(f"{PLAYER}.stats.stream") == "main"


def test_the_displayed_width_is_what_counts(tab: Tab, media: FakeMedia) -> None:
    set_timing(tab, between=0)
    make(tab, "width:640px;height:150px")  # a 16:9 video is 266 pixels wide in it
    displays(tab, SUB_PX)
    tab.call("Emulation.setDeviceMetricsOverride", width=800, height=600, mobile=False, deviceScaleFactor=2)
    displays(tab, MAIN_PX)  # the window moves to a display with twice the pixels
    tab.call("Emulation.setDeviceMetricsOverride", width=800, height=600, mobile=False, deviceScaleFactor=1)
    displays(tab, SUB_PX)
    tab.js(f"{PLAYER}.setAttribute('fit', 'cover')")
    displays(tab, MAIN_PX)
    tab.js(f"{PLAYER}.removeAttribute('fit')")
    displays(tab, SUB_PX)
    tab.call("Runtime.evaluate", expression=f"{PLAYER}.requestFullscreen()", userGesture=True)
    displays(tab, MAIN_PX)
    wait(lambda: media.watched_sources == ["main"], "the sub-stream is left")


@pytest.mark.parametrize(
    ("attributes", "source", "stream", "width"),
    [
        ({"stream": "sub"}, "sub", "sub", None),
        ({"stream": "main"}, "main", "main", None),
        ({"width": "320"}, "sub", "", 320),
        ({"view": "edges"}, "main", "", None),
    ],
)
def test_a_fixed_stream_does_not_follow_the_size(
    tab: Tab, media: FakeMedia, attributes: dict[str, str], source: str, stream: str, width: int | None
) -> None:
    set_timing(tab, between=0, settle=0)
    make(tab, "width:500px", **attributes)
    displays(tab, media.sources[source].width)
    for css_px in (100, 640):
        resize(tab, css_px)
        paints(tab, 20)
    (request,) = media.requests
    assert (request["stream"], request["width"]) == (stream, width)
    assert media.watched_sources == [source]
    link = tab.js(f"{PLAYER}.shadowRoot.querySelector('.snapshot').href")
    assert ("stream=" in link) == bool(stream)


def test_a_size_of_the_same_stream_changes_nothing(tab: Tab, media: FakeMedia) -> None:
    make(tab, "width:300px")
    displays(tab, SUB_PX)
    resize(tab, 310)  # the stream is wide enough: no request
    paints(tab, 25)
    assert len(media.requests) == 1
    resize(tab, 200)  # there may be a smaller stream
    wait(lambda: len(media.unsubscribed) == 1, "the server has answered with the same stream")
    assert media.watched_sources == ["sub"]
    resize(tab, 250)
    paints(tab, 25)
    assert [each["width"] for each in media.requests] == [300, 200]
    assert {each["state"] for each in tab.js("probe.players.p.states")} == {"connecting", "live"}


@pytest.mark.parametrize("fault", ["dead", "mute"])
def test_a_stream_that_does_not_come_is_given_up(tab: Tab, media: FakeMedia, fault: str) -> None:
    faulty: set[str] = getattr(media, fault)
    faulty.add("main")
    set_timing(tab, deliver=800, firstRetry=800)
    make(tab, "width:300px")
    displays(tab, SUB_PX)
    tab.js("probe.observe('p')")
    resize(tab, 640)
    wait(lambda: media.watched_sources == ["sub", "main"], "both are requested")
    wait(lambda: media.watched_sources == ["sub"], "the new one is given up")
    log = paints(tab, 10)
    assert {each["width"] for each in log} == {SUB_PX}
    assert tab.js("probe.players.p.blanks") == 0
    assert tab.js(f"{PLAYER}.shadowRoot.querySelector('.stage').children.length") == 1
    faulty.clear()
    displays(tab, MAIN_PX)  # the player tries it again
    assert {each["state"] for each in tab.js("probe.players.p.states")} == {"connecting", "live"}


def test_main_is_shown_while_the_chosen_stream_fails(tab: Tab, media: FakeMedia) -> None:
    media.dead = {"sub"}
    set_timing(tab, silent=500, firstRetry=1500, between=0)
    make(tab, "width:300px")
    displays(tab, MAIN_PX)
    wait(lambda: media.watched_sources == ["main"], "the other one is left")
    media.dead.clear()
    displays(tab, SUB_PX)


def test_a_slow_client_gets_the_small_stream_and_tries_again(tab: Tab, media: FakeMedia) -> None:
    media.slow = {"main"}
    set_timing(tab, between=0, firstRetry=2500)
    make(tab, "width:640px")
    displays(tab, MAIN_PX)
    displays(tab, SUB_PX)
    wait(lambda: media.watched_sources == ["sub"], "the large stream is left")
    media.slow.clear()
    displays(tab, MAIN_PX)
    assert [each["width"] for each in media.requests] == [640, 320, 640]


def test_a_player_that_is_removed_during_a_change_leaves_nothing_behind(tab: Tab, media: FakeMedia) -> None:
    media.dead = {"main"}
    make(tab, "width:300px")
    displays(tab, SUB_PX)
    resize(tab, 640)
    wait(lambda: media.watched_sources == ["sub", "main"], "both are requested")
    tab.js(f"{PLAYER}.remove()")
    wait(lambda: media.watched == 0, "both are left")


def test_replay_ends_a_change_and_live_continues_with_the_right_stream(tab: Tab, media: FakeMedia) -> None:
    media.dead = {"main"}
    make(tab, "width:300px", overlay="faces", controls="")
    displays(tab, SUB_PX)
    resize(tab, 640)
    wait(lambda: media.watched_sources == ["sub", "main"], "both are requested")
    tab.js(f"{PLAYER}.pause(); 1")
    tab.until(f"{PLAYER}.state === 'paused'")
    wait(lambda: media.watched_sources == [], "nothing live is requested")
    media.dead.clear()
    tab.js(f"{PLAYER}.goLive(); 1")
    displays(tab, MAIN_PX)
    assert media.watched_sources == ["main"]


def test_annotations_stay_across_a_change(tab: Tab, media: FakeMedia) -> None:
    media.describe = lambda counter: [{"type": "text", "points": [[0.5, 0.5]], "label": str(counter)}]
    make(tab, "width:300px", overlay="faces")
    displays(tab, SUB_PX)
    tab.until(f"Boolean({PLAYER}.annotations.faces)")
    tab.js(f"window.bare = []; const before = {PLAYER}.onframe; {PLAYER}.onframe = (picture, meta) => {{"
           f"before(picture, meta); if (!{PLAYER}.annotations.faces) bare.push(meta); }}; 1")  # fmt: skip
    resize(tab, 640)
    displays(tab, MAIN_PX)
    paints(tab, 10)
    assert tab.js("bare") == []
    assert [each["view"] for each in media.requests].count("faces") == 1


# --- the selection alone, with a simulated clock ---


class Choice:
    """`stream-choice.js` in the page, without random delays."""

    def __init__(self, tab: Tab, width_px: int) -> None:
        self._tab = tab
        tab.js(
            f"import('{CHOICE}').then(({{ StreamChoice }}) => {{ Math.random = () => 0;"
            f"window.choice = new StreamChoice({width_px}); choice.displayed(choice.selection, '', 0); }})"
        )

    def next(self, at_s: float, width_px: int) -> Any:
        """Return the stream to request: its name, or a width; None: keep the current one."""
        selection = self._tab.js(f"choice.next({at_s * 1000}, {width_px})")
        return selection and (selection["stream"] or selection["width"])

    def displayed(self, source: str, width_px: int) -> None:
        self._tab.js(f"choice.displayed(choice.selection, '{source}', {width_px}), 1")

    def switched(self, at_s: float, source: str, width_px: int) -> None:
        self._tab.js(f"choice.switched({at_s * 1000}), 1")
        self.displayed(source, width_px)

    def call(self, name: str, at_s: float) -> None:
        self._tab.js(f"choice.{name}({at_s * 1000}), 1")


def test_a_size_must_be_stable(tab: Tab) -> None:
    choice = Choice(tab, 300)
    choice.displayed("sub", 320)
    sizes = [(0.0, 640), (0.4, 700), (0.8, 640), (1.2, 640)]
    assert [choice.next(at_s, width) for at_s, width in sizes] == [None] * 4
    assert choice.next(1.3, 640) == 640
    assert choice.next(1.4, 0) == 640, "a hidden box has no size"


def test_sizes_that_flap_cause_one_switch_in_five_seconds(tab: Tab) -> None:
    choice = Choice(tab, 300)
    choice.displayed("sub", 320)
    switches = []
    for tick in range(200):  # 50 s
        at_s, width = tick / 4, 640 if tick // 4 % 2 else 300
        if selection := choice.next(at_s, width):
            switches.append(at_s)
            choice.switched(at_s, "main" if selection > 320 else "sub", 1920 if selection > 320 else 320)
    assert len(switches) >= 5
    assert all(after - before >= 5 for before, after in pairwise(switches))


def test_losses_lead_to_the_small_stream_for_growing_times(tab: Tab) -> None:
    choice = Choice(tab, 1920)
    choice.displayed("main", 1920)
    at_s, tries = 100.0, []
    for _ in range(4):
        choice.call("lost", at_s)
        assert choice.next(at_s, 1920) is None, "one loss may be an accident"
        choice.call("lost", at_s + 5)
        assert choice.next(at_s + 5, 1920) == 320
        choice.switched(at_s + 5, "sub", 640)
        begun_s = at_s = at_s + 5
        while choice.next(at_s, 1920) is None:
            at_s += 1
        tries.append(at_s - begun_s)
        choice.switched(at_s, "main", 1920)
    assert tries == [15, 30, 60, 120]
    at_s += 400
    choice.call("lost", at_s)
    choice.call("lost", at_s + 1)
    choice.switched(at_s + 1, "sub", 640)
    assert [choice.next(at_s + 1 + wait_s, 1920) for wait_s in (14, 15)] == [None, 1920], "as the first time"


def test_losses_long_apart_change_nothing(tab: Tab) -> None:
    choice = Choice(tab, 1920)
    choice.displayed("main", 1920)
    for at_s in (0, 21, 42, 63):
        choice.call("lost", at_s)
        assert choice.next(at_s, 1920) is None


def test_a_camera_without_a_smaller_stream_is_asked_once(tab: Tab) -> None:
    choice = Choice(tab, 1920)
    choice.displayed("main", 1920)
    for at_s in (0, 1):
        choice.call("lost", at_s)
    assert choice.next(1, 1920) == 320
    tab.js("choice.confirmed({ stream: '', width: 320 }), 1")
    for at_s in range(2, 400):
        choice.call("lost", at_s)
        assert choice.next(at_s, 1920) is None


def test_a_stream_narrower_than_requested_is_the_widest(tab: Tab) -> None:
    choice = Choice(tab, 2000)
    choice.displayed("main", 1920)
    assert [choice.next(at_s, 3840) for at_s in (0, 10)] == [None, None]
    assert [choice.next(at_s, 1000) for at_s in (20, 21)] == [None, 1000]
