"""Annotations over the video in a real browser, live and in replay. The server is a fake (`fake_media`)."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.e2e.fake_media import FPS, FakeMedia
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.fair_clock import fair_s

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
]
PROBE = (Path(__file__).parent / "player_probe.js").read_text()
PLAYER = "probe.players.p.player"
WINDOW_S = 30
EACH_S = 0.2
"""Interval between recorded lists of annotations."""
RETRY_S, EDGE_RETRY_S = 10, 3
"""The values of `recorded-annotations.js`."""


@pytest.fixture
def tab(chromium: Browser, media: FakeMedia) -> Iterator[Tab]:
    with chromium.tab(f"http://127.0.0.1:{media.port}/page") as tab:
        tab.until("Boolean(customElements.get('ninjacam-player'))")
        tab.js(PROBE)
        yield tab
        assert not [line for line in tab.log if "EXCEPTION" in line or "Content Security" in line], tab.log


def make(tab: Tab, style: str = "width:640px", **attributes: str) -> None:
    tab.js(f"probe.make('p', { ({'camera': 'door'} | attributes)!r}, '{style}')")


def stand_still(tab: Tab, media: FakeMedia) -> int:
    """Stop the live video. Returns: the capture time of the displayed frame, in us."""
    tab.until(f"{PLAYER}.state === 'live'")
    media.paused = True

    def last_us() -> int:
        return int(media.sent_at[max(media.sent_at)] * 1e6)

    painted = "probe.players.p.paints.at(-1).capturedUs"
    wait(lambda: bool(tab.js(painted) == last_us()), "the last picture that was sent is painted")
    return last_us()


def wait(condition: Callable[[], bool], what: str, timeout_s: float = 5) -> None:
    deadline_s = fair_s() + timeout_s
    while not condition():
        assert fair_s() < deadline_s, f"never true: {what}"
        time.sleep(0.02)


def box(*points: list[float], **more: Any) -> dict[str, Any]:
    return {"type": "box", "points": list(points), "color": "#ff0000", **more}


def text(label: str) -> dict[str, Any]:
    return {"type": "text", "points": [[0.5, 0.5]], "label": label}


def pixel(tab: Tab, x: float, y: float) -> list[int]:
    """Return the overlay's RGBA value at a position in CSS pixels."""
    canvas = f"{PLAYER}.shadowRoot.querySelector('canvas.annotations')"
    at = f"Math.floor({x} * devicePixelRatio), Math.floor({y} * devicePixelRatio), 1, 1"
    return [int(each) for each in tab.js(f"[...{canvas}.getContext('2d').getImageData({at}).data]")]


RED, CLEAR = [255, 0, 0, 255], [0, 0, 0, 0]


def labels(view: str = "faces") -> str:
    return f"{PLAYER}.annotations.{view}?.map((each) => each.label).join()"


def test_annotations_are_drawn_on_their_frame(tab: Tab, media: FakeMedia) -> None:
    make(tab, overlay="faces plates")
    at_us = stand_still(tab, media)
    media.annotate("faces", at_us + 40_000, [box([0.5, 0.5], [0.75, 0.75])])
    media.annotate("plates", at_us - 60_000, [text("old")])
    media.annotate("plates", at_us, [{"type": "cloud", "points": [[0, 0]]}, {"type": "box"}, text("<b>")])
    tab.until(f"{labels('plates')} === '<b>'")
    assert tab.js(f"Object.keys({PLAYER}.annotations)") == ["plates"], "the other is of a later picture"
    assert pixel(tab, 400, 180) == CLEAR

    media.annotate("faces", at_us, [box([0.25, 0.5], [0.5, 0.75], label="a", score=0.9)])
    tab.until(f"{labels()} === 'a'")
    assert pixel(tab, 160, 220) == pixel(tab, 319, 220) == RED
    assert pixel(tab, 240, 220) == CLEAR, "the picture is seen in it"


def test_all_kinds_of_annotations_are_drawn(tab: Tab, media: FakeMedia) -> None:
    """The video is 640 x 360 CSS pixels.

    The expected values match vision/drawing.py and tests/unit/vision/test_drawing.py.
    """
    make(tab, overlay="faces")
    red = {"color": "#ff0000"}
    media.annotate("faces", stand_still(tab, media), [
        {"type": "line", "points": [[0.125, 0.25], [0.25, 0.25], [0.25, 0.5], [0.125, 0.5]], **red},
        {"type": "keypoints", "points": [[0.375, 0.25], [0.5, 0.25], None, [0.375, 0.5]], "edges": [[0, 1], [1, 2]],
         **red},
        # ".xx" and "x..", each cell 32 x 36 pixels
        {"type": "mask", "points": [[0.625, 0.25], [0.775, 0.45]], "size": [3, 2], "runs": [1, 3, 2], **red},
        box([0.75, 0.75], [0.875, 0.875], trail=[[0.5, 0.625], [0.5, 0.8125]], label="last"),
    ])  # fmt: skip
    tab.until(f"{labels().replace('?.map', '?.slice(-1).map')} === 'last'")
    assert pixel(tab, 120, 89.5) == pixel(tab, 160, 130) == pixel(tab, 120, 180) == RED, "the line"
    assert pixel(tab, 80, 130) == CLEAR, "it is open"
    assert pixel(tab, 280, 90) == pixel(tab, 240, 90) == pixel(tab, 322, 91) == RED, "an edge and its points"
    assert pixel(tab, 240, 180) == RED and pixel(tab, 280, 180) == CLEAR, "a point without an edge"
    inside, outside = [(440, 100), (490, 120), (410, 140)], [(410, 100), (440, 140), (490, 150)]
    assert all(pixel(tab, *at) == [255, 0, 0, 102] for at in inside), "the mask"
    assert all(pixel(tab, *at) == CLEAR for at in outside)
    assert pixel(tab, 320, 260)[3] > 100 and pixel(tab, 400, 292)[3] > 100, "the trail"
    assert pixel(tab, 519, 292)[3] > 100 and pixel(tab, 530, 292) == CLEAR, "it ends at the center of the box"


def test_a_track_has_its_own_color_and_is_part_of_the_label(tab: Tab, media: FakeMedia) -> None:
    make(tab, overlay="faces")
    tab.js("(() => { const pen = CanvasRenderingContext2D.prototype, fill = pen.fillText; window.texts = [];"
           "pen.fillText = function (text, ...where) { texts.push(text); fill.call(this, text, ...where); };"
           "})()")  # fmt: skip
    tracks: list[dict[str, Any]] = [
        {"label": "person", "track": 7, "score": 0.93},
        {"label": "dog", "track": 7},
        {"track": 8},
    ]
    media.annotate("faces", stand_still(tab, media), [
        {"type": "box", "points": [[0.25 * number, 0.5], [0.25 * number + 0.125, 0.75]], **each}
        for number, each in enumerate(tracks, 1)
    ])  # fmt: skip
    tab.until("texts.length === 3")
    assert tab.js("texts") == ["person #7 93%", "dog #7", "#8"]
    first, second, third = (pixel(tab, 160 * number, 220) for number in (1, 2, 3))
    assert first == second == [61, 64, 245, 255], "hsl(239 90% 60%), as vision/drawing.py has it"
    assert third not in (first, CLEAR)


UNDRAWABLE: list[Any] = [
    {"type": "line", "points": [[0.1, 0.1]]},
    {"type": "line", "points": [[0.1, 0.1], None]},
    {"type": "keypoints", "points": [None], "edges": []},
    {"type": "keypoints", "points": [[0.1, 0.1]]},
    {"type": "keypoints", "points": [[0.1, 0.1]], "edges": [7]},
    {"type": "mask", "points": [[0, 0], [1, 1]], "size": [2, 2]},
    {"type": "mask", "points": [[0, 0], [1, 1]], "runs": [1, 3]},
    {"type": "mask", "points": [[0, 0], [1, 1]], "size": [2, 2], "runs": [1, -1, 1]},
    {"type": "mask", "points": [[0, 0], [1, 1]], "size": [2, 2], "runs": [1, 4]},
    {"type": "mask", "points": [[0, 0], [1, 1]], "size": [1e9, 1e9], "runs": [1, 1e15]},
    {"type": "mask", "points": [[0, 0], [1, 1]], "size": [2, 2], "runs": [0.5, 0.1]},
    {"type": "box", "points": [[0, 0], [1, 1]], "trail": [0]},
    {"type": "box", "points": [[0, 0], [1, 1]], "trail": "x"},
]  # fmt: skip


def test_undrawable_annotations_are_ignored(tab: Tab, media: FakeMedia) -> None:
    make(tab, overlay="faces")
    odd = {"type": "keypoints", "points": [[0.1, 0.1]], "edges": [[0, 9], [-1, 0], [0.5, 0]], "label": "odd"}
    media.annotate("faces", stand_still(tab, media), [*UNDRAWABLE, odd, text("last")])
    tab.until(f"{PLAYER}.annotations.faces?.at(-1)?.label === 'last'")
    assert tab.js(f"{PLAYER}.annotations.faces") == [odd, text("last")]


def test_annotations_stay_valid_for_a_second_and_are_drawn_once(tab: Tab, media: FakeMedia) -> None:
    make(tab, overlay="faces")
    tab.until(f"{PLAYER}.state === 'live'")
    tab.js("(() => { const pen = CanvasRenderingContext2D.prototype, clear = pen.clearRect; window.draws = 0;"
           "pen.clearRect = function (...where) { draws += 1; clear.apply(this, where); };"
           f"window.seen = []; {PLAYER}.onframe = (_, meta) => "
           f"seen.push([meta.capturedUs, Boolean({PLAYER}.annotations.faces)]); }})()")  # fmt: skip
    counter = max(media.sent_at) + 5
    media.describe = lambda number: [box([0.5, 0.5], [0.75, 0.75])] if number == counter else None
    tab.until(f"{labels()} !== undefined && seen.length > 0")
    assert pixel(tab, 480, 220) == RED
    tab.until(f"{labels()} === undefined")
    assert pixel(tab, 480, 220) == CLEAR
    ages_s = [(us / 1e6 - media.sent_at[counter], is_drawn) for us, is_drawn in tab.js("seen")]
    drawn_s = [age_s for age_s, is_drawn in ages_s if is_drawn]
    after_s = min(age_s for age_s, is_drawn in ages_s if not is_drawn and age_s > drawn_s[0])
    assert min(drawn_s) >= -0.001 and max(drawn_s) < 1.001 and after_s > 0.999
    assert tab.js("draws") == 2, "once, and once no more"


@pytest.mark.parametrize("rung", ["webcodecs", "mse", "mjpeg"])
def test_each_frame_shows_its_own_annotations(tab: Tab, media: FakeMedia, rung: str) -> None:
    media.describe = lambda counter: [text(str(counter))]
    make(tab, overlay="faces", format=rung)
    tab.until(f"{PLAYER}.state === 'live' && Boolean({labels()})")
    tab.js(f"window.pairs = []; {PLAYER}.onframe = (_, {{ capturedUs }}) => "
           f"capturedUs && pairs.push([capturedUs, Number({labels()})])")  # fmt: skip
    tab.until("pairs.length > 50")
    late = [
        sum(said_of < number and at_s <= us / 1e6 + 0.005 for number, at_s in media.sent_at.items())
        for us, said_of in tab.js("pairs")
    ]
    assert min(us / 1e6 - media.sent_at[said_of] for us, said_of in tab.js("pairs")) > -0.006, (
        "of no later one"
    )
    assert median(late) <= 1, "and no earlier, but for what comes after the picture"


def test_frames_are_held_until_their_annotations_have_arrived(tab: Tab, media: FakeMedia) -> None:
    """Without holding, no frame is painted with its own annotations, which arrive two frames later."""
    media.describe, media.frames_late = (lambda counter: [text(str(counter))]), 2
    make(tab, overlay="faces", format="webcodecs")
    tab.until(f"{PLAYER}.state === 'live' && Boolean({labels()})")
    tab.js(f"window.pairs = []; {PLAYER}.onframe = (_, {{ capturedUs }}) => "
           f"capturedUs && pairs.push([capturedUs, Number({labels()})])")  # fmt: skip

    def are_with_their_own() -> bool:
        own = [abs(us / 1e6 - media.sent_at[counter]) < 0.006 for us, counter in tab.js("pairs.slice(-50)")]
        return len(own) == 50 and sum(own) >= 45

    wait(are_with_their_own, "frames are painted with their own annotations")


def test_frames_are_not_held_without_annotations_or_for_slow_ones(tab: Tab, media: FakeMedia) -> None:
    media.describe = lambda counter: [text(str(counter))]
    make(tab, overlay="faces", format="webcodecs")
    frame_ms = 1000 / FPS
    tab.js(f"window.ages = []; {PLAYER}.onframe = (_, {{ capturedUs }}) => "
           "capturedUs && ages.push(Date.now() - capturedUs / 1000)")  # fmt: skip

    def age_ms() -> float:
        tab.js("ages.length = 0")
        tab.until("ages.length >= 25", 20)
        return float(median(tab.js("ages")))

    # One late frame on a busy machine counts for four seconds (`KEPT`), and 80 ms leave it 66 ms to the maximum.
    held, usual, some_s = (lambda: age_ms() > 2 * frame_ms), (lambda: age_ms() < 2 * frame_ms), 20.0
    media.frames_late = 2
    wait(held, "frames are held", some_s)
    media.frames_late = 8  # 320 ms
    wait(usual, "frames are not held for slow annotations", some_s)
    media.frames_late = 2
    wait(held, "frames are held again", some_s)
    tab.js(f"{PLAYER}.removeAttribute('overlay')")
    wait(usual, "frames are not held without annotations", some_s)


def test_a_refused_view_does_not_affect_the_video(tab: Tab, media: FakeMedia) -> None:
    media.refuse["ghosts"] = "view_not_found"
    media.describe = lambda counter: [text("here")]
    make(tab, overlay="ghosts,faces", view="edges")
    tab.until(f"{labels()} === 'here'")
    tab.until(f"{PLAYER}.state === 'live'")
    media.cut_sockets()
    # It lasts for a single instant.
    tab.until("probe.players.p.states.some(({ state }) => state === 'reconnecting')")
    tab.until(f"{PLAYER}.state === 'live'")
    warned = [line for line in tab.log if "ghosts" in line]
    assert len(warned) == 1 and "view_not_found" in warned[0]
    assert [each["view"] for each in media.requests].count("ghosts") == 1
    assert {state["state"] for state in tab.js("probe.players.p.states")} <= {
        "connecting", "live", "reconnecting",
    }  # fmt: skip


def test_other_views_are_drawn_without_a_new_stream(tab: Tab, media: FakeMedia) -> None:
    media.describe = lambda counter: [text("here")]
    make(tab)
    tab.until(f"{PLAYER}.state === 'live'")
    for overlay, views in (
        ("faces", ["faces"]),
        ("plates faces", ["faces", "plates"]),
        ("plates", ["plates"]),
    ):
        tab.js(f"{PLAYER}.setAttribute('overlay', '{overlay}')")
        tab.until(f"Object.keys({PLAYER}.annotations).sort().join() === '{','.join(views)}'")
    tab.js(f"{PLAYER}.removeAttribute('overlay')")
    assert tab.js(f"{PLAYER}.annotations") == {}
    wait(lambda: media.watched == 1, "annotations that nobody sees are not subscribed to")
    assert [each["view"] for each in media.requests] == ["", "faces", "plates"]
    assert "idle" not in [state["state"] for state in tab.js("probe.players.p.states")]


def test_the_overlay_covers_the_video_at_any_fit_and_size(tab: Tab, media: FakeMedia) -> None:
    tab.call("Emulation.setDeviceMetricsOverride", width=800, height=600, mobile=False, deviceScaleFactor=2)
    make(tab, "width:360px;height:360px", overlay="faces", fit="cover")
    media.annotate("faces", stand_still(tab, media), [box([0.25, 0.25], [0.75, 0.75])])
    tab.until(f"{labels()} !== undefined")
    assert tab.js(f"{PLAYER}.shadowRoot.querySelector('.annotations').width") == 720, "device pixels"
    assert pixel(tab, 20, 180) == pixel(tab, 180, 90) == pixel(tab, 339.5, 180) == RED
    tab.js(f"{PLAYER}.setAttribute('fit', 'contain')")
    assert pixel(tab, 20, 180) == CLEAR
    assert pixel(tab, 90, 180) == pixel(tab, 269.5, 180) == RED
    tab.js(f"{PLAYER}.style.width = '640px'; {PLAYER}.style.height = '480px'; 1")
    tab.until(f"{PLAYER}.shadowRoot.querySelector('.annotations').height === 960")
    assert pixel(tab, 160, 240) == pixel(tab, 320, 150) == RED
    assert pixel(tab, 90, 240) == CLEAR


def record(media: FakeMedia, base_s: int) -> None:
    """Record a list with its number every 0.2 s, for 75 s from `base_s` on, except from 40 s to 45 s."""
    numbers = [number for number in range(375) if not 40 <= number * EACH_S < 45]
    media.recorded = [
        {
            "view": "faces",
            "captured_us": round((base_s + number * EACH_S) * 1e6),
            "annotations": [text(str(number))],
        }
        for number in numbers
    ]


def seek(tab: Tab, when_s: float) -> None:
    tab.js(f"{PLAYER}.pause(); {PLAYER}.seek({when_s * 1000}); 1")
    tab.until(f"{PLAYER}.state === 'paused' && Math.abs({PLAYER}.position - {when_s * 1000}) < 41")


def asked(media: FakeMedia, base_s: int) -> list[float]:
    """Return the start of each request, in s after `base_s`, sorted.

    Pausing also requests the present; such requests are omitted.
    """
    starts = [round(start - base_s, 2) for start, _ in media.recorded_asked]
    return sorted(start for start in starts if start < 100)


def test_recorded_annotations_are_requested_ahead_and_only_once(tab: Tab, media: FakeMedia) -> None:
    base_s = int(time.time()) // WINDOW_S * WINDOW_S - 3600
    record(media, base_s)
    media.recorded_at_once_s = 20
    make(tab, overlay="faces")
    tab.until(f"{PLAYER}.state === 'live'")
    seek(tab, base_s + 10.1)
    tab.until(f"{labels()} === '50'")
    parts = [-1, 19, 29, 49]  # two windows; each response covers up to 20 s
    wait(lambda: set(parts) <= set(asked(media, base_s)), "the window and the next one are asked for")
    seek(tab, base_s + 30.1)
    tab.until(f"{labels()} === '150'")
    seek(tab, base_s + 40.5)  # the last list before the gap still applies
    tab.until(f"{labels()} === '199'")
    seek(tab, base_s + 42)
    tab.until(f"Object.keys({PLAYER}.annotations).length === 0")
    seek(tab, base_s + 0.37)
    tab.until(f"{labels()} === '1'")
    tab.js(f"{PLAYER}.step(1)")
    tab.until(f"{labels()} === '2'")
    starts = asked(media, base_s)
    assert starts == sorted(set(starts)) and starts[:4] == parts and len(starts) <= 6


def test_annotations_that_are_no_longer_needed_are_not_awaited(tab: Tab, media: FakeMedia) -> None:
    base_s = int(time.time()) // WINDOW_S * WINDOW_S - 3600
    record(media, base_s)
    media.recorded_slow_from_s = base_s + 20
    make(tab, overlay="faces")
    tab.until(f"{PLAYER}.state === 'live'")
    seek(tab, base_s + 50)
    wait(lambda: any(start == base_s + 29 for start, _ in media.recorded_asked), "the window is asked for")
    begun_s = fair_s()
    seek(tab, base_s + 10.1)
    tab.until(f"{labels()} === '50'")
    assert fair_s() - begun_s < 3


def test_a_server_that_refuses_is_not_asked_repeatedly(tab: Tab, media: FakeMedia) -> None:
    base_s = int(time.time()) - 3600
    media.recorded_status = 404
    make(tab, overlay="faces")
    tab.until(f"{PLAYER}.state === 'live'")
    begun_s = time.monotonic()
    for minute in range(5):
        seek(tab, base_s + 60 * minute)
    retries = (time.monotonic() - begun_s) // RETRY_S
    assert len(media.recorded_asked) <= 2 + retries  # one may have been in flight at the first seek
    assert not [line for line in tab.log if "ninjacam" in line and "annotations" in line]


def test_the_live_edge_of_a_recording_is_requested_again(tab: Tab, media: FakeMedia) -> None:
    make(tab, overlay="faces")
    tab.until(f"{PLAYER}.state === 'live'")
    begun_s = time.monotonic()
    when_s = time.time() - 4.5
    seek(tab, when_s)
    tab.until("performance.getEntriesByType('resource').some((each) => each.name.includes('/annotations?'))")
    assert tab.js(f"{PLAYER}.annotations") == {}
    captured_us = int((when_s - 0.1) * 1e6)
    media.recorded = [{"view": "faces", "captured_us": captured_us, "annotations": [text("late")]}]
    tab.until(f"{labels()} === 'late'")
    assert 2 <= len(media.recorded_asked) <= 3 + (time.monotonic() - begun_s) // EDGE_RETRY_S
