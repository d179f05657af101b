"""Guests see the view of a processor instead of the camera's own video: in the running product, whatever fails.

The fake camera stamps each picture with its number. The processor paints the picture blue, so a picture with a stamp
is the camera's own.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import av
import cv2
import numpy as np
import pytest

from ninjacam.testing import stamp
from tests.harness.cameras import FakeCamera
from tests.harness.http import HttpClient
from tests.harness.processes import kill, wait_until
from tests.harness.server import Product
from tests.harness.viewers import MjpegViewer, Picture, Unit, WsViewer

SMALL = ("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
GUEST, KEEPER, PASSWORD = "guest", "keeper", "a long way from home"
CODE = """
from ninjacam import Box, Frame, processor

@processor(replaces_video_for="view")
def private(frame: Frame) -> None:
    LINE
    frame.image[:] = (255, 0, 0)

@processor
def boxes(frame: Frame):
    return [Box(10, 10, 50, 50, "box")]
"""


def decoded(units: list[Unit]) -> list[Any]:
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    first = next(number for number, unit in enumerate(units) if unit.key)
    return [
        frame.to_ndarray(format="bgr24")
        for unit in units[first:]
        for frame in decoder.decode(av.Packet(unit.data))
    ]


def is_painted(image: Any) -> bool:
    blue, green, red = image.reshape(-1, 3).mean(axis=0)
    return bool(blue > 200 and max(green, red) < 60)


def image_of(picture: Picture) -> Any:
    image = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def is_raw(image: Any) -> bool:
    """Whether this is the camera's own picture, also if it is darker: neither painted nor a plain error."""
    return not is_painted(image) and (stamp.read(image) is not None or image.mean() > 80)


class Scene:
    def __init__(self, product: Product) -> None:
        self.product = product
        self.file = product.data / "cameras.py"
        self.tokens = {name: product.make_token(f"of-{name}", "*", user=name) for name in (GUEST, KEEPER)}

    def save(self, code: str) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(code)
        fresh.replace(self.file)

    def mjpeg(self, user: str, query: str = "") -> MjpegViewer:
        return MjpegViewer(self.product.url(f"/live/door/mjpeg{query}"), self.tokens[user])

    def ws(self, user: str, view: str = "", **fields: Any) -> WsViewer:
        return WsViewer(self.product.websocket_url, self.tokens[user], [("door", view)], **fields)

    def client(self, user: str) -> HttpClient:
        return HttpClient(self.product.base, token=self.tokens[user])

    def guest_view(self) -> str:
        return str(self.product.client.get("/api/v1/cameras/door").json()["guest_view"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    data = tmp_path_factory.mktemp("guests")
    data.joinpath("cameras.py").write_text(CODE.replace("LINE", "pass"))
    with FakeCamera(*SMALL) as camera, Product(data, workers=2) as product:
        product.add_camera("door", camera.url())
        product.wait_for_state("door")
        for name, role in ((GUEST, "view"), (KEEPER, "configure")):
            product.cli("createuser", name, "--password-stdin", stdin=PASSWORD + "\n")
            product.client.post("/api/v1/cameras/door/grants", json_body={"role": role, "user": name})
        scene = Scene(product)
        wait_until(lambda: scene.guest_view() == "private", 15, "the declaration is stored")
        yield scene


def check_guest_pictures(mjpegs: list[MjpegViewer], sockets: list[WsViewer]) -> None:
    """Check all that these guests have received so far. They receive more meanwhile."""
    for mjpeg in mjpegs:
        received = {picture.data: picture for picture in list(mjpeg.pictures)}
        assert received and not any(is_raw(image_of(picture)) for picture in received.values())
    for socket in sockets:
        images = decoded(list(socket.units))
        assert images and not any(is_raw(image) for image in images)


def snapshot_is_raw(scene: Scene) -> bool:
    """Whether a guest's snapshot is the camera's own picture, and neither painted, an error image nor an error."""
    answer = scene.client(GUEST).get("/live/door/snapshot.jpg")
    assert answer.status in (200, 503), answer.text[:200]
    return answer.status == 200 and is_raw(image_of(Picture(0, answer.body)))


def check_unavailable(scene: Scene) -> None:
    """A guest who connects gets an error or, as long as the view is still open for others, the image of its error."""
    with scene.ws(GUEST) as socket:
        told = socket.wait_message(lambda each: each["op"] == "error" or each.get("view_error"), 15, after=0)
        if told["op"] == "error":
            assert told["code"] == "stream_unavailable" and not socket.units
        else:
            wait_until(lambda: socket.units, 15, "the image of the error")
            check_guest_pictures([], [socket])


def wait_painted(viewer: MjpegViewer, timeout_s: float = 20) -> None:
    viewer.wait_for(lambda picture: is_painted(image_of(picture)), timeout_s, "a painted picture")


def test_a_guest_gets_painted_pictures_by_each_way_and_a_configurer_the_cameras_own(running: Scene) -> None:
    """Eight connections of each kind, so that both workers serve some."""
    with ExitStack() as stack:
        pictures = [
            stack.enter_context(running.mjpeg(GUEST, query))
            for query in (
                "",
                "?view=raw",
                "?view=private",
                "?width=320",
                "?stream=main",
                "?quality=50",
                "",
                "",
            )
        ]
        sockets = [
            stack.enter_context(running.ws(GUEST, view, **fields))
            for view in ("", "private")
            for fields in ({}, {"stream": "main"}, {"width": 320}, {"codecs": ["h264"]})
        ]
        own = stack.enter_context(running.mjpeg(KEEPER))
        own_socket = stack.enter_context(running.ws(KEEPER))
        painted = stack.enter_context(running.mjpeg(KEEPER, "?view=private"))
        for viewer in (*pictures, painted):
            wait_painted(viewer)
        own.wait_live()
        for socket in (*sockets, own_socket):
            socket.wait_units(30)
        check_guest_pictures(pictures, sockets)
        assert any(stamp.read(image) is not None for image in decoded(list(own_socket.units)))
        fragments = stack.enter_context(running.ws(GUEST, format="fmp4"))
        described = fragments.wait_message(lambda each: each.get("op") == "stream", 15, after=0)
        assert "mp4a" not in described["codec"] and (described["width"], described["height"]) == (640, 360)
        for query in ("", "?view=raw", "?width=160", "?stream=main"):
            answer = running.client(GUEST).get(f"/live/door/snapshot.jpg{query}")
            assert answer.status == 200 and is_painted(image_of(Picture(0, answer.body))), answer.text
        own_answer = running.client(KEEPER).get("/live/door/snapshot.jpg")
        assert stamp.read(image_of(Picture(0, own_answer.body))) is not None


def test_a_guest_is_refused_all_other_views_and_their_annotations(running: Scene) -> None:
    assert running.client(GUEST).get("/live/door/snapshot.jpg?view=boxes").status == 403
    assert running.client(GUEST).get("/live/door/mjpeg?view=boxes").status == 403
    for form in ("annexb", "annotations"):
        with running.ws(GUEST, "boxes", format=form) as socket:
            refused = socket.wait_message(lambda each: each.get("op") == "error", 10, after=0)
            assert refused["code"] == "forbidden"
    listed = running.client(GUEST).get("/api/v1/cameras/door/views").json()["items"]
    assert [each["view"] for each in listed] == ["private"]


def test_the_holder_of_a_link_is_a_guest(running: Scene) -> None:
    """Also of a link that an administrator has made."""
    made = running.product.client.post(
        "/api/v1/links", json_body={"camera": "door", "kind": "snapshot"}
    ).json()
    answer = HttpClient(running.product.base).get(made["url"].removeprefix(running.product.base))
    assert answer.status == 200 and is_painted(image_of(Picture(0, answer.body)))
    narrow = running.product.make_token("narrow", "view:door")
    answer = HttpClient(running.product.base, token=narrow).get("/live/door/snapshot.jpg")
    assert is_painted(image_of(Picture(0, answer.body)))


def test_guests_see_nothing_else_while_vision_and_the_engine_are_killed(running: Scene) -> None:
    product = running.product
    with ExitStack() as stack:
        pictures = [stack.enter_context(running.mjpeg(GUEST)) for _ in range(2)]
        sockets = [stack.enter_context(running.ws(GUEST)) for _ in range(2)]
        own = stack.enter_context(running.ws(KEEPER))
        for viewer in pictures:
            wait_painted(viewer)
        for victims in ([product.engine_pid()], product.pids("vision")):
            for pid in victims:
                kill(pid)
            # New guests at the worst moment, too.
            pictures.append(stack.enter_context(running.mjpeg(GUEST)))
            sockets.append(stack.enter_context(running.ws(GUEST)))
            for _ in range(3):
                assert not snapshot_is_raw(running)
        for viewer in pictures[:2]:
            viewer.wait_for(lambda _: True, 60, "a picture after the restart")
        for socket in sockets[:2]:
            socket.wait_units(5, 60)
        own.wait_units(10)
        check_guest_pictures(
            [each for each in pictures if each.count], [each for each in sockets if each.units]
        )


@pytest.mark.parametrize(
    "line",
    ["raise ValueError('no model')", "return []", "import os; os._exit(3)", "import time; time.sleep(3600)"],
)
def test_a_view_that_fails_shows_guests_an_error_and_never_the_frame(running: Scene, line: str) -> None:
    with ExitStack() as stack:
        pictures = [stack.enter_context(running.mjpeg(GUEST)) for _ in range(2)]
        socket = stack.enter_context(running.ws(GUEST))
        for viewer in pictures:
            wait_painted(viewer)
        running.save(CODE.replace("LINE", line))
        for viewer in pictures:
            viewer.wait_for(lambda picture: not is_painted(image_of(picture)), 30, "an error")
        late = stack.enter_context(running.ws(GUEST))
        assert not snapshot_is_raw(running)
        running.save(CODE.replace("LINE", "pass"))
        for viewer in pictures:
            wait_painted(viewer, 45)
        check_guest_pictures(pictures, [each for each in (socket, late) if each.units])


def test_without_its_code_the_view_stays_and_only_an_administrator_returns_the_video(running: Scene) -> None:
    path = "/api/v1/cameras/door"
    refused = running.product.client.request("PATCH", path, json_body={"guest_view": ""})
    assert refused.status == 422 and "replaces_video_for" in refused.text
    with running.mjpeg(GUEST) as before:
        wait_painted(before)
        running.save("from ninjacam import processor\n")
        before.wait_for(lambda picture: not is_painted(image_of(picture)), 15, "an error")
        check_guest_pictures([before], [])
    client = running.client(GUEST)
    refused = client.get("/live/door/snapshot.jpg?width=320")  # Not of a feed that is still open.
    assert refused.status == 503 and not snapshot_is_raw(running)
    told = refused.json()["detail"]
    assert "not available" in told and "boxes" not in told
    check_unavailable(running)
    assert running.guest_view() == "private"
    wait_until(
        lambda: running.product.client.request("PATCH", path, json_body={"guest_view": ""}).status == 200,
        15,
        "the code is unloaded",
    )
    with running.mjpeg(GUEST) as viewer:
        viewer.wait_live(15)
        # An administrator hides it again while a guest watches.
        assert (
            running.product.client.request("PATCH", path, json_body={"guest_view": "private"}).status == 200
        )
        viewer.wait_ended(20)
    check_unavailable(running)
    running.save(CODE.replace("LINE", "pass"))
    wait_until(lambda: client.get("/live/door/snapshot.jpg").status == 200, 15, "the view is back")
    with running.mjpeg(GUEST) as viewer:
        wait_painted(viewer)
