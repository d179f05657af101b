"""MJPEG over HTTP from the fake phone, and responses of servers that are not cameras."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ninjacam.core import errors
from ninjacam.core.packets import Codec, Flags
from ninjacam.sources.registry import runs_native_code
from ninjacam.testing.authentication import Login, Scheme
from ninjacam.testing.clips import Clip
from ninjacam.testing.http_camera import FakeHttpCamera
from ninjacam.testing.scenes import SceneOptions, make_clip
from ninjacam.testing.tls import server_context
from tests.harness.fair_clock import fair_s
from tests.integration.source_support import config, decode, record, stamps, steps


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(SceneOptions(width=640, height=360, seconds=2, codec="mjpeg"))


class _Page(http.server.BaseHTTPRequestHandler):
    answer: Callable[[http.server.BaseHTTPRequestHandler], None]

    def do_GET(self) -> None:
        type(self).answer(self)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def web_server(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    handler = type("Handler", (_Page,), {"answer": staticmethod(answer)})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, name="web-server", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


FRAMINGS: dict[str, dict[str, Any]] = {
    "healthy": {},
    "chunked": {"chunked": True},
    "no length": {"content_length": False},
    "no length, chunked": {"content_length": False, "chunked": True},
    "dashes in the boundary parameter": {"dashes_in_boundary": True},
    "length too long": {"length_error": 700},
    "length too short": {"length_error": -700},
    "no Content-Type": {"content_type": ""},
    "no boundary parameter": {"content_type": "multipart/x-mixed-replace"},
    "another boundary than announced": {"content_type": "multipart/mixed; boundary=other"},
    "an unspecific type": {"content_type": "application/octet-stream"},
    "the type of a picture": {"content_type": "image/jpeg"},
    "the type of a page": {"content_type": "text/html"},
    "pictures alone": {"content_type": "video/x-motion-jpeg", "part": b""},
    "line feeds, HTTP/1.0, no reason": {
        "line_end": "\n",
        "status_line": "HTTP/1.0 200",
        "part": b"\n--x\nContent-Type: image/jpeg\n\n",
    },
    "100 Continue first": {"status_line": "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"},
    "text first, text parts between": {
        "before": b"This is a multipart stream.\r\n",
        "part": b"--x\r\nContent-Type: text/plain\r\n\r\nmotion\r\n--x\r\nContent-Length: %d\r\n\r\n",
    },
    "gzip": {"coding": "gzip"},
    "gzip, chunked": {"coding": "gzip", "chunked": True},
}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_frames_arrive_complete_however_they_are_framed(clip: Clip, framing: str) -> None:
    with FakeHttpCamera(clip) as camera:
        for name, value in FRAMINGS[framing].items():
            setattr(camera.faults, name, value)
        recording = record(config(camera.url()), 12)
    assert recording.error is None
    first = recording.video[0]
    assert first.codec is Codec.MJPEG and first.flags & Flags.CONFIG
    assert (first.width_px, first.height_px) == (640, 360)
    assert steps(stamps(recording.video), clip.frames) == {1}
    assert recording.close_s < 1


def test_truncated_frames_are_counted_and_never_delivered(clip: Clip) -> None:
    with FakeHttpCamera(clip) as camera:
        camera.faults.garbage = 0.3
        recording = record(config(camera.url()), 20)
    assert None not in stamps(recording.video)  # decoded strictly
    assert all(packet.data.endswith(b"\xff\xd9") for packet in recording.video)
    assert recording.stats.access_units_dropped >= 4


def test_a_server_that_ends_after_some_frames_has_ended(clip: Clip) -> None:
    with FakeHttpCamera(clip) as camera:
        camera.faults.end_after = 5
        recording = record(config(camera.url()), 50)
    assert isinstance(recording.error, errors.SourceEndedError) and len(recording.video) == 5


@pytest.mark.parametrize("hang_up", ["behind 401", "within 401", "at login"])
def test_the_challenge_is_kept_when_the_camera_closes_the_connection(clip: Clip, hang_up: Any) -> None:
    with FakeHttpCamera(clip, login=Login("digest")) as camera:
        camera.faults.hang_up = hang_up
        url = camera.url(login=False)
        assert len(record(config(url, username="admin", password="secret"), 5).video) >= 5


@pytest.mark.parametrize("scheme", ["basic", "digest", "digest-sha256"])
def test_login_is_answered(clip: Clip, scheme: Scheme) -> None:
    with FakeHttpCamera(clip, login=Login(scheme)) as camera:
        url = camera.url(login=False)
        assert len(record(config(url, username="admin", password="secret"), 5).video) >= 5
        with pytest.raises(errors.AuthenticationError, match="rejects"):
            record(config(url, username="admin", password="wrong"))
        with pytest.raises(errors.AuthenticationError, match="requires a user name"):
            record(config(url))


def test_tls_is_verified(clip: Clip) -> None:
    with FakeHttpCamera(clip, ssl_context=server_context()) as camera:
        assert len(record(config(camera.url(), verify_tls=False), 5).video) >= 5
        with pytest.raises(errors.ProtocolError, match="certificate"):
            record(config(camera.url()))


def test_a_web_page_is_not_a_camera(clip: Clip) -> None:
    with FakeHttpCamera(clip) as camera:
        camera.faults.html = True
        with pytest.raises(errors.NotACameraError, match="web page"):
            record(config(camera.url()))


@pytest.mark.parametrize("scheme", ["none", "basic", "digest"])
def test_a_url_with_a_single_image_is_polled(clip: Clip, scheme: Scheme) -> None:
    with FakeHttpCamera(clip, login=Login(scheme)) as camera:
        url = camera.url("/shot.jpg#interval=0.1", login=False)
        recording = record(config(url, username="admin", password="secret"), 8)
    assert recording.error is None and recording.close_s < 1
    numbers = stamps(recording.video)
    assert None not in numbers and len(set(numbers)) > 1
    assert camera.stats.connections <= 4  # With a login: one challenge by each of the two clients.


@pytest.mark.parametrize(("status", "error"), [(404, errors.StreamNotFoundError), (403, errors.AuthenticationError),
                                               (500, errors.ProtocolError)])  # fmt: skip
def test_each_status_has_its_own_error(clip: Clip, status: int, error: type[Exception]) -> None:
    with FakeHttpCamera(clip) as camera:
        camera.faults.status = status
        with pytest.raises(error):
            record(config(camera.url()))


def test_a_missing_response_is_a_timeout(clip: Clip) -> None:
    with FakeHttpCamera(clip) as camera:
        camera.faults.hang = True
        started = fair_s()
        with pytest.raises(errors.SourceTimeoutError):
            record(config(camera.url(), open_timeout_s=0.7))
        assert fair_s() - started < 2


def test_a_frozen_camera_is_stalled(clip: Clip) -> None:
    with FakeHttpCamera(clip) as camera:

        def freeze() -> None:
            camera.faults.freeze = True

        recording = record(config(camera.url(), read_timeout_s=0.7), 500, at={10: freeze})
    assert isinstance(recording.error, errors.SourceStalledError)


def test_a_dropped_connection_has_ended(clip: Clip) -> None:
    with FakeHttpCamera(clip) as camera:
        recording = record(config(camera.url()), 500, at={10: camera.drop})
    assert isinstance(recording.error, errors.SourceEndedError)


def test_redirects_are_checked_and_counted(clip: Clip) -> None:
    locations = {"/there": "", "/round": "/round", "/meta": "http://169.254.169.254/latest"}

    def redirect(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", locations[handler.path])
        handler.end_headers()

    with FakeHttpCamera(clip) as camera, web_server(redirect) as base:
        locations["/there"] = camera.url()
        assert len(record(config(f"{base}/there"), 5).video) >= 5
        with pytest.raises(errors.ProtocolError, match="too often"):
            record(config(f"{base}/round"))
        with pytest.raises(errors.ForbiddenAddressError):
            record(config(f"{base}/meta"))


def test_a_redirect_from_tls_to_clear_text_is_not_followed(clip: Clip) -> None:
    """Neither the password nor any request is sent over plain http, even after a redirect to another https server."""
    login = Login("basic")
    with (
        FakeHttpCamera(clip, login=login) as in_clear,
        FakeHttpCamera(clip, login=login, ssl_context=server_context()) as camera,
        FakeHttpCamera(clip, login=login, ssl_context=server_context()) as hop,
    ):
        settings = config(camera.url(login=False), username="admin", password="secret", verify_tls=False)
        hop.faults.location = in_clear.url(login=False)
        for location in (in_clear.url(login=False), hop.url(login=False)):
            camera.faults.location = location
            with pytest.raises(errors.ProtocolError, match="redirects to http:, which is not followed"):
                record(settings)
        assert hop.stats.connections == 1
        assert in_clear.stats.connections == 0
        camera.faults.location = hop.url("/mjpeg", login=False)
        assert len(record(settings, 3).video) >= 3


def test_credentials_do_not_follow_a_redirect_to_another_host(clip: Clip) -> None:
    locations = {"/there": "", "/away": ""}

    def redirect(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", locations[handler.path])
        handler.end_headers()

    login = {"username": "admin", "password": "secret"}
    with (
        FakeHttpCamera(clip, login=Login("basic")) as camera,
        FakeHttpCamera(clip, login=Login("basic"), host="127.0.0.2") as thief,
        web_server(redirect) as base,
    ):
        locations.update({"/there": camera.url(login=False), "/away": thief.url(login=False)})
        assert len(record(config(f"{base}/there", **login), 5).video) >= 5
        with pytest.raises(errors.AuthenticationError, match="requires a user name"):
            record(config(f"{base}/away", **login))


def test_a_login_in_a_redirect_is_used_for_its_target_only(clip: Clip) -> None:
    """It is not used for further redirects, and the camera's own login is unaffected."""
    with (
        FakeHttpCamera(clip, login=Login("digest")) as camera,
        FakeHttpCamera(clip, login=Login("basic", "guest", "zz9")) as other,
        FakeHttpCamera(clip, login=Login("basic", "guest", "zz9"), host="127.0.0.2") as third,
    ):
        camera.faults.location = f"http://guest:zz9@127.0.0.1:{other.port}/mjpeg"
        assert len(record(config(camera.url(login=False)), 5).video) >= 5
        camera.faults.location = f"http://guest:zz9@127.0.0.1:{other.port}/video"
        other.faults.location = third.url("/mjpeg", login=False)
        with pytest.raises(errors.AuthenticationError, match="requires a user name"):
            record(config(camera.url(login=False)))
        other.faults.location = camera.url("/mjpeg", login=False)
        recording = record(config(camera.url(login=False), username="admin", password="secret"), 5)
        assert len(recording.video) >= 5


@pytest.mark.parametrize(
    "location", ["/mjpeg", "mjpeg", "//127.0.0.1:{port}/mjpeg", "/x/../mjpeg", "/mjpeg?a= b"]
)
def test_a_redirect_may_be_relative(clip: Clip, location: str) -> None:
    with FakeHttpCamera(clip) as camera:
        camera.faults.location = location.format(port=camera.port)
        assert len(record(config(camera.url()), 3).video) >= 3
        assert camera.stats.paths["/mjpeg"] == 1


def test_ssh_is_not_a_camera() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=greet, name="ssh", daemon=True)
        thread.start()
        with pytest.raises(errors.NotACameraError, match="SSH"):
            record(config(f"http://127.0.0.1:{server.getsockname()[1]}/video"))
        thread.join(5)


def test_other_video_is_passed_to_ffmpeg() -> None:
    h264 = make_clip(SceneOptions(width=320, height=240, seconds=2, gop=10, bitrate_bps=300_000))

    def video(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "video/h264")
        handler.end_headers()
        handler.wfile.write(h264.annexb())

    with web_server(video) as base:
        settings = config(f"{base}/live.h264")
        assert runs_native_code(settings)
        recording = record(settings, 40)
    assert steps(stamps(recording.video), h264.frames) == {1}
    assert len(decode(recording.video)) == len(recording.video)
