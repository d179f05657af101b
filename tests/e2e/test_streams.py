"""A camera with two streams in the running product: when it connects to which, and which hosts receive the password."""

import os
import signal
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from benchmarks.clips import cache_dir
from ninjacam.testing.authentication import Login
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.clips import Clip
from ninjacam.testing.scenes import SceneOptions, make_clip
from ninjacam.testing.served_stream import ServedStream
from tests.harness.processes import wait_until
from tests.harness.server import Product
from tests.harness.viewers import MjpegViewer, WsViewer

PASSWORD = "not for other hosts"
CODE = """
from ninjacam import Box, processor

@processor(width_px=300)
def small(frame):
    assert frame.width == 320, frame.width
    return [Box(100, 100, 150, 150)]
"""


def clip(width: int, height: int, bitrate_bps: int) -> Clip:
    return make_clip(
        SceneOptions(width, height, seconds=4, gop=25, bitrate_bps=bitrate_bps), cache_dir=cache_dir()
    )


@pytest.fixture(scope="module")
def camera() -> Iterator[FakeRtspCamera]:
    clips = {"/main": clip(960, 540, 900_000), "/sub": clip(320, 180, 200_000)}
    with FakeRtspCamera(clips, login=Login("digest", password=PASSWORD), gop_at_once=True) as running:
        yield running


@pytest.fixture(scope="module")
def stranger() -> Iterator[FakeRtspCamera]:
    """Another host that also requires a password."""
    with FakeRtspCamera(clip(320, 180, 200_000), login=Login("basic", password="another")) as running:
        yield running


@pytest.fixture(scope="module")
def product(
    tmp_path_factory: pytest.TempPathFactory, camera: FakeRtspCamera, stranger: FakeRtspCamera
) -> Iterator[Product]:
    product = Product(tmp_path_factory.mktemp("streams") / "data", workers=1)
    product.data.mkdir(mode=0o700)
    (product.data / "cameras.py").write_text(CODE)
    with product:
        streams = [f"--sub={camera.url('/sub', login=False)}", f"--stream=tele={stranger.url(login=False)}"]
        url = camera.url("/main", login=False)
        product.add_camera("door", url, *streams, "--record=always", username="admin", password=PASSWORD)
        product.wait_for_state("door")
        yield product
        assert "Traceback" not in product.output


@pytest.fixture
def sub(product: Product, camera: FakeRtspCamera) -> ServedStream:
    """The second stream, which is not connected."""
    stream = camera.streams["/sub"]
    wait_until(lambda: not stream.viewers, 15, "the sub-stream disconnected", processes=[product])
    return stream


def mjpeg(product: Product, query: str) -> MjpegViewer:
    return MjpegViewer(product.url(f"/live/door/mjpeg?{query}"), product.token)


def width_of(data: bytes) -> int:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return int(image.shape[1])


def test_a_stream_without_viewers_is_never_connected(
    product: Product, camera: FakeRtspCamera, sub: ServedStream
) -> None:
    plays = sub.plays
    with mjpeg(product, "quality=60") as viewer, mjpeg(product, "width=900") as wide:
        assert width_of(viewer.wait_live().data) == 960
        assert width_of(wide.wait_live().data) == 960
        wait_until(lambda: viewer.count > 40, 20, "40 frames of main")
    streams = {each["name"]: each for each in product.camera("door")["streams"]}
    assert (sub.plays, streams["sub"]["state"]) == (plays, "idle")
    assert camera.streams["/main"].viewers == 1


def test_a_small_width_connects_the_second_stream_only_while_it_is_watched(
    product: Product, camera: FakeRtspCamera, sub: ServedStream
) -> None:
    plays, plays_of_main = sub.plays, camera.streams["/main"].plays
    with mjpeg(product, "width=320") as viewer:
        assert width_of(viewer.wait_live().data) == 320
        assert sub.viewers == 1
        wait_until(lambda: stream_of(product, "sub")["width_px"] == 320, 20, "the format of the sub-stream")
    wait_until(lambda: not sub.viewers, 15, "the sub-stream disconnected", processes=[product])
    found = wait_until(lambda: idle(product), 5, "the state idle")
    assert (found["codec"], found["height_px"], found["subscribers"]) == ("h264", 180, 0)
    assert (sub.plays, camera.streams["/main"].plays) == (plays + 1, plays_of_main)


def stream_of(product: Product, name: str) -> dict[str, object]:
    streams = product.client.get("/api/v1/streams?camera=door").json()["items"]
    return next(each for each in streams if each["name"] == name)


def idle(product: Product) -> dict[str, object] | None:
    found = stream_of(product, "sub")
    return found if found["state"] == "idle" else None


def test_a_processor_gets_the_smallest_stream_that_is_wide_enough(
    product: Product, camera: FakeRtspCamera, sub: ServedStream
) -> None:
    with mjpeg(product, "view=small") as viewer:
        assert width_of(viewer.wait_live(30).data) == 320
        assert product.status()["views"]["door"]["small"]["stream"] == "sub"


def test_a_socket_names_the_stream_and_refuses_unknown_ones(product: Product, sub: ServedStream) -> None:
    socket = product.websocket_url
    with WsViewer(socket, product.token, [("door", "")], stream="sub") as named:
        message = named.wait_message(lambda m: m["op"] == "stream", 15, after=0)
        assert (message["source"], message["width"]) == ("sub", 320)
        with WsViewer(socket, product.token, [("door", "")], width=200) as small:
            assert small.wait_message(lambda m: m["op"] == "stream", 15, after=0)["source"] == "sub"
        with WsViewer(socket, product.token, [("door", "")]) as plain:
            assert plain.wait_message(lambda m: m["op"] == "stream", 15, after=0)["source"] == "main"
        with WsViewer(socket, product.token, [("door", "")], stream="nope") as wrong:
            error = wrong.wait_message(lambda m: m["op"] == "error", 15, after=0)
    assert error["code"] == "stream_not_found"
    for path in ("mjpeg", "snapshot.jpg"):
        answer = product.client.get(f"/live/door/{path}?stream=nope")
        assert (answer.status, answer.json()["code"]) == (404, "stream_not_found")
    hidden = product.client.get("/live/nothing/snapshot.jpg?stream=nope")
    assert (hidden.status, hidden.json()["code"]) == (404, "not_found")


def test_a_stream_that_cannot_be_connected_leaves_main_live(
    product: Product, camera: FakeRtspCamera, sub: ServedStream
) -> None:
    plays_of_main = camera.streams["/main"].plays
    camera.set_faults("/sub", describe_status=404)
    try:
        with WsViewer(product.websocket_url, product.token, [("door", "")], stream="sub") as viewer:
            viewer.wait_message(lambda m: m.get("state") in ("reconnecting", "failed"), 15, after=0)
            with WsViewer(product.websocket_url, product.token, [("door", "")], width=200) as small:
                message = small.wait_message(lambda m: m["op"] == "stream", 15, after=0)
                assert message["source"] == "main"
            assert product.camera("door")["state"] == "live"
    finally:
        camera.set_faults("/sub", describe_status=0)
    assert camera.streams["/main"].plays == plays_of_main


def test_a_killed_capture_process_connects_the_watched_stream_again(
    product: Product, sub: ServedStream
) -> None:
    with mjpeg(product, "stream=sub") as viewer:
        viewer.wait_live()
        plays = sub.plays
        os.kill(product.pids("capture")[0], signal.SIGKILL)
        wait_until(lambda: sub.plays > plays, 20, "another connection", processes=[product])
        viewer.wait_live(20)
    product.wait_for_state("door")


def test_the_password_of_a_camera_goes_to_no_other_host(
    product: Product, stranger: FakeRtspCamera, sub: ServedStream
) -> None:
    with WsViewer(product.websocket_url, product.token, [("door", "")], stream="tele") as viewer:
        viewer.wait_message(lambda m: m.get("state") in ("reconnecting", "failed"), 15, after=0)
    assert stranger.stats.requests
    assert not [each for each in stranger.stats.requests if "authorization" in each.headers]
    shown = product.cli("show", "door", "--json") + product.client.get("/api/v1/cameras/door").text
    assert PASSWORD not in shown and PASSWORD not in product.output
    assert '"sub"' in shown


def recorded_widths(product: Product) -> set[int]:
    recordings = product.client.get("/api/v1/recordings?camera=door").json()["items"]
    return {int(each["width_px"]) for each in recordings}


def test_main_is_recorded_unless_another_stream_is_named(product: Product, sub: ServedStream) -> None:
    assert recorded_widths(product) == {960}
    product.cli("set", "door", "--record-stream", "sub")
    wait_until(
        lambda: 320 in recorded_widths(product), 20, "a recording of the sub-stream", processes=[product]
    )
    assert sub.viewers == 1
    product.cli("set", "door", "--record-stream", "")
    wait_until(lambda: not sub.viewers, 20, "the sub-stream disconnected", processes=[product])
    product.wait_for_state("door")
