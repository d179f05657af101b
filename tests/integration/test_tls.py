"""`ninjacam serve --tls`: its certificate, renewal while streams run, and handshakes that never end."""

import contextlib
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ninjacam.core.self_signed import read_certificate
from ninjacam.front_door.connections import IDLE_S
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.clips import Clip
from ninjacam.testing.scenes import SceneOptions, make_clip
from ninjacam.testing.tls import make_certificate
from tests.harness.http import HttpClient, unverified_tls
from tests.harness.processes import free_port, wait_until
from tests.harness.server import Product
from tests.harness.viewers import WsViewer


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(SceneOptions(width=640, height=360, seconds=2, gop=25, bitrate_bps=600_000))


@dataclass(frozen=True)
class Stage:
    product: Product
    rtmp_port: int

    @property
    def file(self) -> Path:
        return self.product.data / "tls.pem"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    rtmp_port = free_port()
    environment = {"NINJACAM_RTMP_PORT": str(rtmp_port)}
    with Product(tmp_path_factory.mktemp("tls"), environment=environment, tls=True) as product:
        yield Stage(product, rtmp_port)


def fingerprint_at(port: int) -> str:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        unverified_tls().wrap_socket(plain) as connection,
    ):
        found = connection.getpeercert(binary_form=True)
    assert found
    return read_certificate(ssl.DER_cert_to_PEM_cert(found).encode())[0]


def test_the_certificate_is_made_and_printed_and_used_for_the_pages_and_for_publishing(stage: Stage) -> None:
    product = stage.product
    printed = re.search(r"SHA-256 fingerprint of the certificate: (\S+)", product.output)
    assert printed and f"https://localhost:{product.port}/" in product.output
    assert stage.file.stat().st_mode & 0o777 == 0o600
    assert fingerprint_at(product.port) == printed[1]
    product.cli("add", "drone", "push:")

    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", stage.rtmp_port)) == 0

    wait_until(is_open, 15, "the RTMP port", processes=[product])
    assert fingerprint_at(stage.rtmp_port) == printed[1]


def test_cookies_are_secure_and_links_use_https(stage: Stage) -> None:
    product = stage.product
    page = HttpClient(product.base).get("/login/")
    assert "secure" in page.headers["set-cookie"].lower()
    assert "strict-transport-security" not in page.headers
    assert product.login().get("/").status == 200
    product.add_camera("yard", "rtsp://127.0.0.1:9/x")
    made = product.client.post("/api/v1/links", json_body={"camera": "yard", "kind": "ws"}).json()
    assert made["url"].startswith(f"wss://127.0.0.1:{product.port}/")


def test_the_certificate_can_be_downloaded_without_its_key(stage: Stage) -> None:
    answer = HttpClient(stage.product.base).get("/ninjacam.crt")
    assert answer.headers["content-type"] == "application/x-x509-ca-cert"
    assert read_certificate(answer.body)[0] == fingerprint_at(stage.product.port)
    assert "PRIVATE KEY" in stage.file.read_text() and "PRIVATE KEY" not in answer.text


def test_plain_http_on_the_port_is_closed(stage: Stage) -> None:
    with socket.create_connection(("127.0.0.1", stage.product.port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert not plain.recv(100).startswith(b"HTTP/")


def test_a_renewed_certificate_reaches_new_connections_and_drops_no_stream(stage: Stage, clip: Clip) -> None:
    product = stage.product
    with FakeRtspCamera(clip) as camera:
        product.add_camera("door", camera.url())
        product.wait_for_state("door")
        with WsViewer(product.websocket_url, product.token, [("door", "")]) as viewer:
            viewer.wait_units(5)
            before = fingerprint_at(product.port)
            draft = stage.file.with_name("new.pem")
            draft.write_bytes(b"".join(make_certificate()))
            os.replace(draft, stage.file)
            renewed = read_certificate(stage.file.read_bytes())[0]
            # Several times, because the kernel selects the worker.
            assert {fingerprint_at(product.port) for _ in range(8)} == {renewed} != {before}
            viewer.wait_units(25)
            assert not viewer.ended


def test_a_connection_that_does_not_finish_its_handshake_is_closed(stage: Stage) -> None:
    begun = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # The beginning of a ClientHello.
    sockets = [socket.create_connection(("127.0.0.1", stage.product.port)) for _ in range(3)]
    silent, stopped, dripping = sockets
    stopped.sendall(begun)
    dripping.sendall(begun)
    stop = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(0.5):
                dripping.send(b"\0")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        assert all(is_closed(each, IDLE_S + 20) for each in (silent, stopped, dripping))
    finally:
        stop.set()
        thread.join()
        for each in sockets:
            each.close()
    assert stage.product.is_healthy()


def is_closed(connection: socket.socket, timeout_s: float) -> bool:
    """Wait until the other end closes it. Return False if it does not."""
    connection.settimeout(timeout_s)
    try:
        while connection.recv(1000):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True
