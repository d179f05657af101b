"""Annotations of a processor, live and in recordings, in the running product: each belongs to the right frame.

The processor reads the number stamped in each frame and returns it as a text, so a wrong pairing is a wrong number.
"""

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cv2
import numpy as np
import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.chrome import CHROMIUM, Browser, stamp_js
from tests.harness.http import HttpClient
from tests.harness.processes import wait_until
from tests.harness.recorded import assert_decodes, by_time
from tests.harness.server import Product
from tests.harness.viewers import Picture, WsViewer

SMALL = ("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
CODE = """
import numpy as np
from ninjacam import Box, Frame, Keypoints, Line, Mask, Text, processor
from ninjacam.testing import stamp

@processor(record={record})
def numbers(frame: Frame):
    number = stamp.read(frame.gray)
    return [
        Text(frame.width / 2, frame.height / 2, str(number)),
        Box(100, 100, 300, 200, color="#0000ff"),
        Box(320, 0, 640, 36, track=7, trail=[(0, 0), (320, 36)]),
        Line([(0, 180), (640, 180)], color="#0000ff"),
        Keypoints([(64, 36), (128, 36, 0.1), (64, 72)], [(0, 1), (0, 2)]),
        Mask(np.eye(2, dtype=np.uint8), left=320, top=180, track=8),
    ]
"""
LOOP = 250
PLAYER = "document.querySelector('ninjacam-player')"


def rfc3339(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat().replace("+00:00", "Z")


class Scene:
    def __init__(self, product: Product) -> None:
        self.product = product

    def save(self, *, record: bool) -> None:
        fresh = self.product.data / "cameras.new"
        fresh.write_text(CODE.format(record=record))
        fresh.replace(self.product.data / "cameras.py")

    def recorded(self, from_s: float, to_s: float, client: HttpClient | None = None) -> list[dict[str, Any]]:
        """Return the annotations of [from_s, to_s), wall clock."""
        query = urlencode({"camera": "door", "start": rfc3339(from_s), "end": rfc3339(to_s)})
        answer = (client or self.product.client).get(f"/api/v1/annotations?{query}")
        assert answer.status == 200, answer.text
        frames: list[dict[str, Any]] = answer.json()["frames"]
        return frames

    def wait_recorded(self, from_s: float, timeout_s: float = 15) -> list[dict[str, Any]]:
        """Wait for 25 annotated frames that are consecutive by time and by number, and return them.

        Earlier frames may not be consecutive: the camera's clock may settle first, and a busy processor skips frames.
        """

        def in_a_row() -> list[dict[str, Any]] | None:
            found = self.recorded(from_s, from_s + 60)
            steady = [
                35_000 < after["captured_us"] - before["captured_us"] < 45_000
                and (number_of(after) - number_of(before)) % LOOP == 1
                for before, after in pairwise(found)
            ]
            at = next((at for at in range(len(steady) - 23) if all(steady[at : at + 24])), None)
            return None if at is None else found[at : at + 25]

        return wait_until(in_a_row, timeout_s, "a second of annotations", processes=[self.product])

    def view_state(self) -> str:
        views = self.product.client.get("/api/v1/cameras/door/views").json()["items"]
        return next((str(view["state"]) for view in views if view["view"] == "numbers"), "none")

    def picture_of(self, seen: dict[str, Any]) -> Picture:
        """Return the recorded frame of that moment."""
        time_ = rfc3339(seen["captured_us"] / 1e6 + 0.001)
        answer = self.product.client.get(f"/rec/door/at.jpg?{urlencode({'time': time_})}")
        assert answer.status == 200, answer.text
        return Picture(0, answer.body)


def is_drawn(shown: int | None, number: float | None, recorded: list[dict[str, Any]]) -> bool:
    """Return whether `number` belongs to the frame `shown`.

    If that frame has no recorded annotations because a busy processor skipped it, the last earlier frame that has some
    counts.
    """
    if shown is None or number is None:
        return False
    known = {number_of(seen) for seen in recorded}
    return number == next((at % LOOP for at in range(shown, shown - 25, -1) if at % LOOP in known), None)


def number_of(seen: dict[str, Any]) -> int:
    return int(seen["annotations"][0]["label"])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    data = tmp_path_factory.mktemp("annotations")
    with FakeCamera(*SMALL) as camera, Product(data, workers=2) as product:
        scene = Scene(product)
        scene.save(record=True)
        product.add_camera("door", camera.url(), "--record", "always")
        product.wait_for_state("door")
        yield scene


def test_recorded_frames_have_their_annotations_even_without_viewers(scene: Scene) -> None:
    now_s = time.time()
    found = scene.wait_recorded(now_s)
    for seen in found[::6]:
        assert scene.picture_of(seen).stamp == number_of(seen)
        assert seen["annotations"][1] == {
            "type": "box", "points": [[0.1562, 0.2778], [0.4688, 0.5556]], "color": "#0000ff"
        }  # fmt: skip
        assert seen["annotations"][2:] == [
            {"type": "box", "points": [[0.5, 0], [1, 0.1]], "track": 7, "trail": [[0, 0], [0.5, 0.1]]},
            {"type": "line", "points": [[0, 0.5], [1, 0.5]], "color": "#0000ff"},
            {"type": "keypoints", "points": [[0.1, 0.1], None, [0.1, 0.2]], "edges": [[0, 2]]},
            {"type": "mask", "points": [[0.5, 0.5], [0.5031, 0.5056]], "size": [2, 2], "runs": [0, 1, 2, 1],
             "track": 8},
        ]  # fmt: skip
    assert scene.view_state() == "running"


@pytest.mark.ffmpeg
def test_ffmpeg_reads_files_with_annotations_like_files_without(scene: Scene) -> None:
    scene.wait_recorded(time.time())
    path = by_time(scene.product.data / "recordings")[0]
    held = path.read_bytes()
    assert held.count(b"urn:ninjacam:annotations") > 0
    assert_decodes(path)
    assert "differ" not in scene.product.cli("fsck", check=False)


def test_a_player_receives_annotations_live_with_the_cameras_own_video(scene: Scene) -> None:
    before_us = time.time_ns() // 1000
    product = scene.product
    with WsViewer(
        product.websocket_url, product.token, [("door", "numbers")], format="annotations"
    ) as viewer:

        def second() -> list[dict[str, Any]] | None:
            heard = [message for message in viewer.messages if message["op"] == "annotations"]
            return heard if len(heard) >= 25 else None

        heard = wait_until(second, 10, "annotations over the WebSocket", processes=[product])
    numbers = [number_of(each) for each in heard]
    # A busy processor does not get all frames.
    assert all(0 < (after - before) % LOOP < LOOP // 2 for before, after in pairwise(numbers)), numbers
    assert all(each["id"] == 0 and each["view"] == "numbers" for each in heard)
    assert before_us - 2_000_000 < heard[0]["captured_us"] < time.time_ns() // 1000
    last = heard[-1]
    scene.wait_recorded(last["captured_us"] / 1e6)
    assert scene.picture_of(last).stamp == number_of(last)


def test_subscriptions_to_annotations_check_the_role_and_the_view(scene: Scene) -> None:
    product = scene.product
    for view, code in (("", "bad_request"), ("nonsense", "view_not_found")):
        with WsViewer(product.websocket_url, product.token, [("door", view)], format="annotations") as viewer:
            told = viewer.wait_message(lambda message: message["op"] == "error", 10, after=0)
            assert told["code"] == code
    product.cli("createuser", "guest", "--password-stdin", stdin="a long way from home\n")
    token = product.make_token("guest", "*", user="guest")
    with WsViewer(product.websocket_url, token, [("door", "numbers")], format="annotations") as viewer:
        assert viewer.wait_message(lambda m: m["op"] == "error", 10, after=0)["code"] in (
            "forbidden",
            "not_found",
        )


def test_viewers_of_the_processed_view_see_the_annotations_in_the_image(scene: Scene) -> None:
    answer = scene.product.client.get("/live/door/snapshot.jpg?view=numbers")
    assert answer.status == 200

    image = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert Picture(0, answer.body).stamp is not None
    left_side = image[150, 97:104].astype(int)
    assert (left_side[:, 0] - left_side[:, 2]).max() > 100  # blue


@pytest.mark.parametrize("kind", ["vision", "capture"])
def test_a_killed_process_costs_only_seconds_of_annotations(scene: Scene, kind: str) -> None:
    scene.wait_recorded(time.time())
    (pid,) = scene.product.pids(kind)
    os.kill(pid, signal.SIGKILL)
    killed_s = time.time()
    wait_until(
        lambda: scene.recorded(killed_s + 1, killed_s + 6), 15, "annotations again", processes=[scene.product]
    )
    found = scene.wait_recorded(killed_s + 6, timeout_s=20)
    assert scene.picture_of(found[3]).stamp == number_of(found[3])


def test_a_page_draws_annotations_over_live_and_recorded_video(scene: Scene) -> None:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt install chromium).")
    scene.wait_recorded(time.time())
    drawn = f"Number({PLAYER}.annotations?.numbers?.[0]?.label ?? NaN)"
    with Browser() as chromium, chromium.tab() as tab:
        scene.product.sign_in(tab)
        tab.navigate(scene.product.url("/cameras/door/"))
        both = f"[({stamp_js()}).read('ninjacam-player')?.[0], {drawn}]"
        stamp, number = tab.until(f"(both => both.every((each) => each >= 0) && both)({both})", 20)
        # The annotation arrives after its frame and is displayed for a second.
        assert (stamp - number) % LOOP <= 25
        sought_s = time.time() - 3
        tab.js(f"{PLAYER}.pause(); {PLAYER}.seek({sought_s * 1000}); 1")
        tab.until(f"{PLAYER}.mode === 'replay' && {PLAYER}.state === 'paused'", 20)
        for _ in range(4):
            wait_until(
                lambda: is_drawn(
                    tab.read_stamp("ninjacam-player"),
                    tab.js(drawn),
                    scene.recorded(sought_s - 2, sought_s + 2),
                ),
                15,
                "what was seen on the picture",
            )
            tab.js(f"{PLAYER}.step(3); 1")
        assert not [line for line in tab.log if "EXCEPTION" in line], tab.log


def test_a_view_that_is_no_longer_recorded_is_no_longer_decoded(scene: Scene) -> None:
    scene.wait_recorded(time.time())
    scene.save(record=False)
    wait_until(lambda: scene.view_state() == "idle", 10, "the view at rest", processes=[scene.product])
    (pid,) = scene.product.pids("vision")
    threads = Path(f"/proc/{pid}/task")
    wait_until(
        lambda: not any((t / "comm").read_text().startswith("vision-door") for t in threads.iterdir()),
        10,
        "no decoder any more",
    )
    scene.save(record=True)
    scene.wait_recorded(time.time() + 3, timeout_s=20)
