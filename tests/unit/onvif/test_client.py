"""The client with a camera over real HTTP: login, clocks, addresses, and false responses."""

import asyncio
import base64
import http.server
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from ninjacam.core.errors import (
    AuthenticationError,
    CommandError,
    ConfigError,
    ForbiddenAddressError,
    NotACameraError,
    ProtocolError,
    SourceEndedError,
    SourceTimeoutError,
    UnsupportedCommandError,
)
from ninjacam.onvif import device, media
from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.soap import make_envelope
from ninjacam.sources.base import SourceConfig
from ninjacam.testing.onvif_camera import FakeOnvifCamera

T = TypeVar("T")


def run(
    camera: FakeOnvifCamera | str,
    do: Callable[[OnvifClient], Awaitable[T]],
    *,
    password: str = "secret",
    timeout_s: float = 5.0,
    **changes: Any,
) -> T:
    """Run `do` with a client of the camera."""

    async def go() -> T:
        url = camera if isinstance(camera, str) else camera.url
        client = OnvifClient(
            SourceConfig(url, username="admin", password=password, **changes), timeout_s=timeout_s
        )
        try:
            return await do(client)
        finally:
            client.close()

    return asyncio.run(go())


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeOnvifCamera]:
    with FakeOnvifCamera() as camera:
        yield camera


@pytest.mark.parametrize("scheme", ["wsse", "digest", "none"])
@pytest.mark.parametrize("offset_s", [0.0, -1_760_000_000.0, 3 * 3600.0])
def test_the_login_works_whatever_the_cameras_clock_shows(scheme: Any, offset_s: float) -> None:
    with FakeOnvifCamera(scheme=scheme) as camera:
        camera.faults.clock_offset_s = offset_s
        found = run(camera, device.get_information)
        assert (found.manufacturer, found.model, found.firmware) == ("Example", "Dome 5", "1.2.3")
        assert abs(run(camera, lambda client: client.get_clock_offset()) - offset_s) < 3
        if scheme != "none":
            with pytest.raises(AuthenticationError, match="user name or password"):
                run(camera, device.get_information, password="wrong")


def test_a_wrong_password_is_tried_only_once() -> None:
    """Cameras lock accounts."""
    with FakeOnvifCamera() as camera:
        with pytest.raises(AuthenticationError):
            run(camera, device.get_information, password="wrong")
        assert camera.rejected == 1


def test_a_clock_that_is_set_during_a_session_is_read_again() -> None:
    with FakeOnvifCamera() as camera:

        async def go(client: OnvifClient) -> None:
            await device.get_information(client)
            camera.faults.clock_offset_s = 5000
            await device.get_information(client)

        run(camera, go)


def test_requests_share_a_connection_and_survive_its_end() -> None:
    with FakeOnvifCamera() as camera:

        async def go(client: OnvifClient) -> None:
            for _ in range(5):
                await device.get_information(client)
            assert camera.connections == 1
            camera.faults.closes = True
            for _ in range(3):
                await device.get_information(client)

        run(camera, go)


@pytest.mark.parametrize("legacy", [False, True])
def test_services_and_streams_are_found(legacy: bool) -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.legacy = legacy

        async def go(client: OnvifClient) -> dict[str, str]:
            profiles = await media.list_profiles(client)
            return {profile.name: await media.get_stream_url(client, profile) for profile in profiles}

        assert run(camera, go) == {"main": "rtsp://127.0.0.1:8554/main", "sub": "rtsp://127.0.0.1:8554/sub"}


def test_addresses_of_services_on_other_hosts_are_asked_at_our_host() -> None:
    """This is the case behind NAT, and keeps a hostile camera from making the client call other hosts."""
    with FakeOnvifCamera() as camera:
        camera.faults.service_host = "192.0.2.7"
        assert run(camera, media.list_profiles)


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://169.254.169.254/latest/meta-data",
        "rtsp://192.0.2.9/stream",
        "http://127.0.0.2/",
        "file:///etc/passwd",
        "rtsp://",
        "rtsp://127.0.0.1 :1/",
        "rtsp://127.0.0.1@192.0.2.9/",
        "ftp://127.0.0.1/stream",
    ],
)
def test_a_stream_on_another_host_is_refused(shared: FakeOnvifCamera, uri: str) -> None:
    shared.faults.stream_uri = uri

    async def go(client: OnvifClient) -> str:
        return await media.get_stream_url(client, (await media.list_profiles(client))[0])

    with pytest.raises(ProtocolError, match="The camera names"):
        run(shared, go)


def test_services_of_a_camera_with_tls_are_called_with_tls() -> None:
    client = OnvifClient(SourceConfig("https://192.0.2.9/onvif/device_service"))
    assert client.own_address("http://192.0.2.9/onvif/media") == "https://192.0.2.9/onvif/media"
    assert client.own_address("https://192.0.2.9:8443/onvif/media") == "https://192.0.2.9:8443/onvif/media"


def test_a_login_in_the_address_of_a_stream_is_removed() -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.stream_uri = "rtsp://user:hunter2@127.0.0.1:554/a?b=1"

        async def go(client: OnvifClient) -> str:
            return await media.get_stream_url(client, (await media.list_profiles(client))[0])

        assert run(camera, go) == "rtsp://127.0.0.1/a?b=1"


def test_a_host_name_and_its_address_are_one_host() -> None:
    with FakeOnvifCamera() as camera:

        async def go(client: OnvifClient) -> str:
            return await media.get_stream_url(client, (await media.list_profiles(client))[1])

        assert run(camera.url.replace("127.0.0.1", "localhost"), go) == "rtsp://localhost:8554/main"


def test_a_device_at_a_forbidden_address_is_never_called() -> None:
    with pytest.raises(ForbiddenAddressError):
        run("http://169.254.169.254/onvif/device_service", device.get_information)
    with pytest.raises(ForbiddenAddressError), FakeOnvifCamera() as camera:
        run(camera, device.get_information, allowed_networks=("192.0.2.0/24",))
    assert not camera.connections
    with pytest.raises(ConfigError, match="http"):
        run("ftp://camera/", device.get_information)


def response(body: bytes, head: str = "200 OK", length: int | None = None) -> bytes:
    return (
        f"HTTP/1.1 {head}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n".encode()
        + body
    )


LIES: dict[str, tuple[bytes, type[Exception], str]] = {
    "XXE": (
        response(b'<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><x>&y;</x>'),
        ProtocolError,
        "document type",
    ),
    "HTML": (response(b"<html><body>Login</body></html>"), NotACameraError, "web page"),
    "a redirect to another host": (
        b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
        ProtocolError,
        "another host",
    ),
    "a redirect to itself": (
        b"HTTP/1.1 307 Again\r\nLocation: /onvif/device_service\r\nContent-Length: 0\r\n\r\n",
        ProtocolError,
        "too often",
    ),
    "100 MB announced": (response(b"<a>" * 1_000_000, length=100 << 20), ProtocolError, "longer than"),
    "100 MB without length": (
        b"HTTP/1.1 200 OK\r\n\r\n" + b"<a>" * 1_000_000,
        ProtocolError,
        "longer than",
    ),
    "endless headers": (b"HTTP/1.1 200 OK\r\n" + b"X-Header: 1\r\n" * 10_000, NotACameraError, "web camera"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", NotACameraError, "SSH"),
    "an empty answer": (response(b""), ProtocolError, "malformed"),
    "half an answer": (response(b"<s:Envelope", length=500) + b"", SourceTimeoutError, "did not answer"),
    "no service": (response(b"not found", "404 Not Found"), NotACameraError, "no ONVIF service"),
    "an error without a fault": (
        response(make_envelope("<x/>"), "500 No"),
        CommandError,
        "could not carry out",
    ),
    "a bad gateway": (response(b"", "502 Bad Gateway"), ProtocolError, "502"),
    "a login without a challenge": (response(b"no", "401 No"), AuthenticationError, "user name or password"),
    "an unknown login": (
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n",
        ProtocolError,
        "login method",
    ),
}


def test_a_web_server_that_asks_for_basic_gets_no_password() -> None:
    class Basic(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers.get("Authorization", "") + self.rfile.read1(65_536).decode())
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="admin"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    seen: list[str] = []
    with web_server(Basic) as url, pytest.raises(ProtocolError, match="clear text"):
        run(url, device.get_information, password="hunter2!")
    encoded = base64.b64encode(b"admin:hunter2!").decode()
    assert seen and not any("hunter2" in each or encoded in each for each in seen)


def test_a_camera_with_tls_that_names_an_image_in_clear_text_gets_no_password_there() -> None:
    class Basic(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="admin"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    async def go(url: str) -> None:
        config = SourceConfig("https://127.0.0.1/onvif/device_service", username="admin", password="hunter2!")
        client = OnvifClient(config)
        try:
            await client.get(url, max_body_bytes=1000)
        finally:
            client.close()

    seen: list[str] = []
    with web_server(Basic) as url, pytest.raises(ProtocolError, match="without TLS"):
        asyncio.run(go(url))
    assert not any(seen)


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_camera_ends_in_a_typed_error(lie: str) -> None:
    raw, error, says = LIES[lie]
    with FakeOnvifCamera() as camera:
        camera.faults.raw = {"GetDeviceInformation": raw}
        with pytest.raises(error, match=says):
            run(camera, device.get_information, timeout_s=1.0 if error is SourceTimeoutError else 10.0)


def test_an_answer_that_comes_too_late_ends_in_a_timeout() -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.delays_s = {"GetDeviceInformation": 60}
        with pytest.raises(SourceTimeoutError, match="did not answer"):
            run(camera, device.get_information, timeout_s=0.3)


def test_an_answer_that_trickles_ends_in_a_timeout() -> None:
    class Trickle(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not ended.wait(0.05):
                self.wfile.write(b" ")

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    ended = threading.Event()
    with web_server(Trickle) as url:
        try:
            with pytest.raises(SourceTimeoutError):
                run(url, device.get_information, timeout_s=0.5)
        finally:
            ended.set()


@contextmanager
def web_server(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/onvif"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_camera_that_hangs_up_ends_in_a_typed_error() -> None:
    class HangUp(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with web_server(HangUp) as url, pytest.raises(SourceEndedError):
        run(url, device.get_information)


def test_wrong_namespaces_are_read() -> None:
    with FakeOnvifCamera() as camera:
        name = "GetDeviceInformationResponse"
        wrong = f"<zz:{name} xmlns:zz='urn:wrong'><yy:Model>M1</yy:Model></zz:{name}>"
        camera.faults.body = {"GetDeviceInformation": wrong}
        assert run(camera, device.get_information).model == "M1"


def test_faults_are_typed_errors(shared: FakeOnvifCamera) -> None:
    shared.faults.fail = {"GetDeviceInformation": "OutofMemory"}
    try:
        with pytest.raises(CommandError, match=r"OutofMemory.*It does not work"):
            run(shared, device.get_information)
    finally:
        shared.faults.fail = {}


def test_a_missing_service_is_unsupported() -> None:
    with FakeOnvifCamera(has_ptz=False) as camera, pytest.raises(UnsupportedCommandError, match="PTZ"):
        run(camera, lambda client: client.call("ptz", "GetNodes"))


def test_nothing_of_the_password_is_sent_or_shown() -> None:
    with FakeOnvifCamera(password="hunter2!") as camera:
        client_config = SourceConfig(camera.url, username="admin", password="hunter2!")
        assert "hunter2" not in repr(client_config)
        run(camera, device.get_information, password="hunter2!")
        assert not any(b"hunter2" in body for body in camera.bodies)
