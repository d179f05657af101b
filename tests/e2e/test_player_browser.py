"""The player in a real browser: all ways of playing, and its behaviour on errors.

The server is a fake with injected faults (`fake_media`). Other end-to-end tests use the real one.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.e2e.fake_media import FRAMES, FakeMedia
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.fair_clock import fair_s, spell

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
]
PROBE = (Path(__file__).parent / "player_probe.js").read_text()
RUNGS = ["webcodecs", "mse", "mjpeg"]

OpenTab = Callable[..., AbstractContextManager[Tab]]


@pytest.fixture
def open_tab(chromium: Browser, media: FakeMedia) -> OpenTab:
    @contextlib.contextmanager
    def opened(host: str = "127.0.0.1") -> Iterator[Tab]:
        with chromium.tab(f"http://{host}:{media.port}/page") as tab:
            tab.until("Boolean(customElements.get('ninjacam-player'))")
            tab.js(PROBE)
            yield tab

    return opened


@pytest.fixture
def tab(open_tab: OpenTab) -> Iterator[Tab]:
    with open_tab() as tab:
        yield tab


def make(tab: Tab, name: str = "p", **attributes: str) -> None:
    tab.js(f"probe.make('{name}', { ({'camera': 'door'} | attributes)!r})")


def state_is(tab: Tab, state: str, *, name: str = "p", timeout_s: float = 10.0) -> None:
    tab.until(f"probe.players.{name}.player.state === '{state}'", timeout_s)


def paints(tab: Tab, name: str = "p") -> list[dict[str, Any]]:
    return list(tab.js(f"probe.players.{name}.paints"))


def next_paints(tab: Tab, count: int, name: str = "p", timeout_s: float = 10.0) -> list[dict[str, Any]]:
    before = tab.js(f"probe.players.{name}.paints.length")
    tab.until(f"probe.players.{name}.paints.length >= {before + count}", timeout_s)
    return paints(tab, name)[before:]


def stats(tab: Tab, name: str = "p") -> dict[str, Any]:
    return dict(tab.js(f"probe.players.{name}.player.stats"))


def text(tab: Tab, name: str = "p") -> str:
    return str(tab.js(f"probe.text('{name}')"))


def true_age_ms(media: FakeMedia, paint: dict[str, Any]) -> float:
    """Return the age of the displayed frame, from its stamp and the server's record of when it was sent."""
    sent = [
        at
        for number, at in media.sent_at.items()
        if number % FRAMES == paint["stamp"] and at * 1000 <= paint["atMs"] + 5
    ]
    return float(paint["atMs"]) - 1000 * max(sent)


@pytest.mark.parametrize("rung", RUNGS)
def test_each_rung_paints_the_newest_frames_with_little_delay(tab: Tab, media: FakeMedia, rung: str) -> None:
    make(tab, format=rung)
    state_is(tab, "live")
    next_paints(tab, 40)
    with spell() as passed:
        settled = next_paints(tab, 50)

    assert all(paint["stamp"] is not None for paint in settled)
    assert 32 < (settled[-1]["atMs"] - settled[0]["atMs"]) / 49 < 48 * passed.slowdown
    assert median(true_age_ms(media, paint) for paint in settled) < 250 * passed.slowdown
    assert stats(tab)["rung"] == rung
    assert (stats(tab)["width"], stats(tab)["height"]) == (640, 360)


@pytest.mark.parametrize("rung", RUNGS)
def test_the_displayed_age_is_correct(tab: Tab, media: FakeMedia, rung: str) -> None:
    make(tab, "clock")  # gives the page the server's clock, because MJPEG does not
    make(tab, format=rung)
    state_is(tab, "live")
    with spell() as passed:
        tab.until("probe.players.p.paints.length > 75")
    errors_ms = [abs(paint["ageMs"] - true_age_ms(media, paint)) for paint in paints(tab)[-25:]]
    assert median(errors_ms) < 45 * passed.slowdown
    assert "live" in text(tab)


def test_a_secure_context_gets_webcodecs(tab: Tab) -> None:
    make(tab)
    state_is(tab, "live")
    assert stats(tab)["rung"] == "webcodecs"


def test_plain_http_gets_mse(open_tab: OpenTab) -> None:
    with open_tab("camera.test") as tab:
        assert tab.js("isSecureContext") is False
        make(tab)
        state_is(tab, "live")
        assert stats(tab)["rung"] == "mse"


def test_a_jpeg_camera_plays_over_the_same_socket(tab: Tab, media: FakeMedia) -> None:
    make(tab, camera="jpeg")
    state_is(tab, "live")
    assert next_paints(tab, 25)[-1]["kind"] == "ImageBitmap"
    assert "mjpeg" in media.requests[0]["codecs"]


def test_a_codec_that_the_browser_lacks_falls_back_to_mjpeg(tab: Tab, media: FakeMedia) -> None:
    media.codec = "hvc1.1.6.L120.90"
    make(tab)
    state_is(tab, "live", timeout_s=15)
    assert stats(tab)["rung"] == "mjpeg"


def test_undecodable_video_falls_back_to_mjpeg(tab: Tab, media: FakeMedia) -> None:
    media.corrupt = True
    make(tab)
    state_is(tab, "live", timeout_s=25)
    assert stats(tab)["rung"] == "mjpeg"


def test_a_blocked_websocket_falls_back_to_mjpeg(tab: Tab, media: FakeMedia) -> None:
    media.refuse_sockets = True
    make(tab)
    state_is(tab, "live")
    assert stats(tab)["rung"] == "mjpeg"


def test_cached_frames_are_not_played_in_slow_motion(tab: Tab, media: FakeMedia) -> None:
    make(tab)
    while max(media.sent_at, default=0) % 50 < 45:  # a late subscriber receives 45 old frames at once
        time.sleep(0.02)
    make(tab, "late")
    state_is(tab, "live", name="late")
    with spell() as passed:
        next_paints(tab, 10, "late")
    drawn = [(paint["atMs"], true_age_ms(media, paint) / passed.slowdown) for paint in paints(tab, "late")]
    late_ms = [at_ms for at_ms, age_ms in drawn if age_ms > 400]
    # A slow browser may draw some of them, but not at their original rate, which would take almost two seconds.
    assert not late_ms or late_ms[-1] - drawn[0][0] < 600 * passed.slowdown, drawn
    assert drawn[-1][1] < 300


@pytest.mark.parametrize("rung", ["webcodecs", "mse"])
def test_lost_frames_do_not_freeze_the_player_until_the_next_key_frame(
    tab: Tab, media: FakeMedia, rung: str
) -> None:
    media.lost = range(10, 16)
    make(tab, format=rung)
    state_is(tab, "live")
    next_paints(tab, 25)
    with spell() as passed:
        times = [paint["atMs"] for paint in next_paints(tab, 100)]
    assert max(after - before for before, after in pairwise(times)) < 700 * passed.slowdown


@pytest.mark.parametrize("rung", RUNGS)
def test_a_busy_page_catches_up(tab: Tab, media: FakeMedia, rung: str) -> None:
    make(tab, format=rung)
    state_is(tab, "live")
    next_paints(tab, 25)
    tab.js("(() => { const start = performance.now(); while (performance.now() - start < 2000); })()")
    time.sleep(2)
    with spell() as passed:
        ages_ms = [true_age_ms(media, paint) for paint in next_paints(tab, 10)]
    assert median(ages_ms) < 300 * passed.slowdown


def test_many_players_share_one_socket(tab: Tab, media: FakeMedia) -> None:
    for name in ("a", "b", "c"):
        make(tab, name)
    for name in ("a", "b", "c"):
        state_is(tab, "live", name=name)
    assert media.opened == 1


def test_a_hidden_tab_stops_receiving_and_resumes_when_shown(tab: Tab, media: FakeMedia) -> None:
    make(tab)
    state_is(tab, "live")
    tab.js("Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });"
           "document.dispatchEvent(new Event('visibilitychange'))")  # fmt: skip
    state_is(tab, "idle")
    _wait(lambda: media.watched == 0)
    tab.js("delete document.visibilityState; document.dispatchEvent(new Event('visibilitychange'))")
    state_is(tab, "live")
    with spell() as passed:
        last = next_paints(tab, 25)[-1]
    assert true_age_ms(media, last) < 300 * passed.slowdown


def test_a_player_far_below_the_window_waits_until_it_is_near(tab: Tab, media: FakeMedia) -> None:
    tab.js("probe.make('p', {camera: 'door'}, 'width:320px;margin-top:5000px')")
    tab.js("new Promise((resolve) => setTimeout(resolve, 300))")
    assert media.requests == []
    tab.js("scrollTo(0, 5000)")
    state_is(tab, "live")
    tab.js("scrollTo(0, 0)")
    state_is(tab, "idle")
    _wait(lambda: media.watched == 0)


def test_a_lost_socket_is_reopened_while_the_last_frame_stays_visible(tab: Tab, media: FakeMedia) -> None:
    make(tab)
    state_is(tab, "live")
    media.cut_sockets()
    # It lasts for a quarter of a second.
    tab.until(
        "probe.players.p.states.some(({ state, text }) => state === 'reconnecting' && /Reconnecting/.test(text))"
    )
    assert tab.js("probe.players.p.player.shadowRoot.querySelector('canvas').width") == 640
    state_is(tab, "live")
    assert media.opened == 2


def test_silence_is_reported_and_ends_with_the_next_frame(tab: Tab, media: FakeMedia) -> None:
    make(tab)
    state_is(tab, "live")
    media.paused = True
    state_is(tab, "stalled", timeout_s=5)
    tab.until("/age/.test(probe.text('p'))")
    media.paused = False
    state_is(tab, "live", timeout_s=5)


def test_the_servers_message_about_the_camera_is_shown(tab: Tab, media: FakeMedia) -> None:
    make(tab)
    state_is(tab, "live")
    media.set_state("reconnecting", "The camera closed the connection.")
    state_is(tab, "reconnecting")
    assert "The camera closed the connection." in text(tab)
    media.set_state("live")
    state_is(tab, "live")
    assert "closed the connection" not in text(tab)


def test_a_processor_error_is_shown_over_the_video(tab: Tab, media: FakeMedia) -> None:
    make(tab, view="edges")
    state_is(tab, "live")
    media.set_state(
        "live", view_error={"code": "processor", "message": "ZeroDivisionError: <b>division</b> by zero"}
    )
    tab.until("probe.text('p').includes('<b>division</b> by zero')")
    assert tab.js("probe.players.p.player.state") == "live"


@pytest.mark.parametrize("rung", ["webcodecs", "mjpeg"])
def test_a_refusal_is_shown_as_a_readable_message(tab: Tab, media: FakeMedia, rung: str) -> None:
    media.refuse["safe"] = "forbidden"
    make(tab, camera="safe", format=rung)
    state_is(tab, "error")
    assert "You may not view this camera." in text(tab)
    assert "As ordered." in text(tab)


def test_mjpeg_of_a_disabled_camera_reports_it_until_the_camera_is_enabled_again(
    tab: Tab, media: FakeMedia
) -> None:
    media.off = True
    make(tab, format="mjpeg")
    state_is(tab, "disabled")
    assert "This camera is disabled." in text(tab)
    media.off = False
    state_is(tab, "live")


def test_changing_the_view_changes_the_subscription(tab: Tab, media: FakeMedia) -> None:
    make(tab)
    state_is(tab, "live")
    tab.js("probe.players.p.player.setAttribute('view', 'edges')")
    state_is(tab, "live")
    assert [request["view"] for request in media.requests] == ["", "edges"]
    _wait(lambda: media.watched == 1)


def test_a_hook_set_before_the_script_has_loaded_is_kept(chromium: Browser, media: FakeMedia) -> None:
    with chromium.tab(f"http://127.0.0.1:{media.port}/blank") as tab:
        tab.js(
            "window.count = 0; const player = document.createElement('ninjacam-player');"
            "player.setAttribute('camera', 'door'); player.onframe = () => { window.count += 1; };"
            "document.body.append(player);"
            "document.head.append(Object.assign(document.createElement('script'),"
            " { type: 'module', src: '/static/player/player.js' })); 1"
        )
        tab.until("window.count > 5")


def test_a_removed_player_leaves_nothing_behind(tab: Tab, media: FakeMedia) -> None:
    make(tab)
    state_is(tab, "live")
    tab.js("probe.players.p.player.remove()")
    _wait(lambda: media.watched == 0)
    _wait(lambda: not media.sockets, timeout_s=6)


def test_a_strict_content_security_policy_is_respected(tab: Tab) -> None:
    for rung in RUNGS:
        make(tab, rung, format=rung)
    for rung in RUNGS:
        state_is(tab, "live", name=rung)
    assert not [line for line in tab.log if "Content Security Policy" in line]


def _wait(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = fair_s() + timeout_s
    while not condition():
        assert fair_s() < deadline, "never true"
        time.sleep(0.02)


ZOOM = """(() => {
  const { player } = probe.players.p;
  const box = player.getBoundingClientRect();
  const { width, x, y } = player.shadowRoot.querySelector(".stage").getBoundingClientRect();
  const values = [width / box.width, (x - box.x) / box.width, (y - box.y) / box.height];
  return values.map((value) => Math.round(value * 1000) / 1000);
})()"""


def test_the_picture_is_enlarged_by_keys_and_wheel_and_moved_by_dragging(tab: Tab, media: FakeMedia) -> None:
    make(tab, controls="")
    state_is(tab, "live")
    tab.js("probe.players.p.player.focus()")
    x, y, width, height = tab.js(
        "(() => { const b = probe.players.p.player.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()"
    )

    def mouse(kind: str, across: float, down: float, **parameters: Any) -> None:
        at = {"x": x + across * width, "y": y + down * height}
        tab.call("Input.dispatchMouseEvent", type=kind, **at, **parameters)

    mouse("mouseWheel", 0.5, 0.5, deltaX=0, deltaY=-100)
    assert tab.js(ZOOM) == [1, 0, 0], "the wheel alone scrolls the page"
    for _ in range(2):
        tab.press("+")
    assert tab.js(ZOOM) == [2.25, -0.625, -0.625]
    # Dragging ends at the edge of the picture.
    for _ in range(2):
        mouse("mousePressed", 0.5, 0.5, button="left", buttons=1, clickCount=1)
        mouse("mouseMoved", 0.9, 0.5, button="left", buttons=1)
        mouse("mouseReleased", 0.9, 0.5, button="left", clickCount=1)
    tab.until(f"{ZOOM}[1] === 0")
    assert tab.js(ZOOM)[2] == -0.625
    # The wheel keeps what is below the pointer, here the left edge.
    mouse("mouseWheel", 0, 0.5, deltaX=0, deltaY=-200)
    tab.until(f"{ZOOM}[0] > 3.3 && {ZOOM}[1] === 0")
    for _ in range(20):
        mouse("mouseWheel", 0.5, 0.5, deltaX=0, deltaY=-300)
    tab.until(f"{ZOOM}[0] === 8")
    next_paints(tab, 5)
    mouse("mousePressed", 0.5, 0.5, button="left", buttons=1, clickCount=2)
    mouse("mouseReleased", 0.5, 0.5, button="left", clickCount=2)
    tab.until(f"{ZOOM}[0] === 1")
    assert tab.js("document.fullscreenElement") is None
    tab.press("+")
    tab.press("0")
    assert tab.js(ZOOM) == [1, 0, 0]


def test_two_fingers_enlarge_the_picture(tab: Tab, media: FakeMedia) -> None:
    tab.size(390, 800, phone=True)
    make(tab, controls="")
    state_is(tab, "live")
    x, y, width, height = tab.js(
        "(() => { const b = probe.players.p.player.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()"
    )

    def fingers(kind: str, *across: float) -> None:
        points = [
            {"x": x + each * width, "y": y + height / 2, "id": number} for number, each in enumerate(across)
        ]
        tab.call("Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=points)

    page = tab.js("visualViewport.scale")
    fingers("Start", 0.4, 0.6)
    for step in range(1, 6):
        fingers("Move", 0.4 - 0.04 * step, 0.6 + 0.04 * step)
    fingers("End")
    tab.until(f"Math.abs({ZOOM}[0] - 3) < 0.1")
    assert tab.js("visualViewport.scale") == page, "the page is not enlarged"
    fingers("Start", 0.5)
    fingers("Move", 0.6)
    fingers("Move", 0.7)
    fingers("End")
    tab.until(f"Math.abs({ZOOM}[1] + 0.8) < 0.1")
    # Players without controls, as on the wall, scroll and enlarge the page.
    tab.js("probe.players.p.player.removeAttribute('controls')")
    tab.js("probe.players.p.player.dispatchEvent(new MouseEvent('dblclick'))")
    fingers("Start", 0.4, 0.6)
    fingers("Move", 0.2, 0.8)
    fingers("End")
    assert tab.js(ZOOM)[0] == 1
