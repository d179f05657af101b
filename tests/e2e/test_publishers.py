"""Devices that publish to the product over RTMP and RTSP. The publishers are FFmpeg and GStreamer."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ninjacam.testing.scenes import SceneOptions, make_clip
from ninjacam.testing.tls import make_certificate
from tests.harness.processes import free_port, kill, wait_until
from tests.harness.publisher import Publisher, RtmpSocket, gst_publisher, has_gst
from tests.harness.server import Product
from tests.harness.viewers import WsViewer
from tests.integration.source_support import write_file


@dataclass(frozen=True)
class Stage:
    product: Product
    rtmp_port: int
    rtsp_port: int
    h264: Path
    h265: Path

    def add(self, slug: str) -> dict[str, str]:
        """Add a camera that waits for a publisher. Return its URLs by scheme, as printed by the command."""
        printed = self.product.cli("add", slug, "push:")
        urls = re.findall(r"Publish to (\S+)", printed)
        assert len(urls) == 4, printed
        for port in (self.rtmp_port, self.rtsp_port):  # The engine opens the ports for the first camera.
            _wait_for_port(port)
        return {url.partition(":")[0]: re.sub(r"//[^/]+:", "//127.0.0.1:", url) for url in urls}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("publishers")
    options = SceneOptions(width=640, height=360, seconds=2, gop=25, bitrate_bps=600_000)
    h264, h265 = directory / "h264.mp4", directory / "h265.mp4"
    write_file(make_clip(options), h264)
    write_file(make_clip(replace(options, width=320, height=180, codec="hevc")), h265)
    pem = directory / "server.pem"
    pem.write_bytes(b"".join(make_certificate()))
    rtmp_port, rtsp_port = free_port(), free_port()
    environment = {
        "NINJACAM_RTMP_PORT": str(rtmp_port),
        "NINJACAM_RTSP_PORT": str(rtsp_port),
        "NINJACAM_TLS_CERTIFICATE": str(pem),
        "NINJACAM_TLS_KEY": str(pem),
    }
    with Product(directory / "data", workers=1, environment=environment) as product:
        yield Stage(product, rtmp_port, rtsp_port, h264, h265)


def test_a_publisher_is_watched_and_a_second_one_is_refused(stage: Stage) -> None:
    product, urls = stage.product, stage.add("drone")
    with Publisher(urls["rtmp"], stage.h264) as first:
        product.wait_for_state("drone")
        with WsViewer(product.websocket_url, product.token, [("drone", "")]) as viewer:
            viewer.wait_units(10)
            with RtmpSocket(stage.rtmp_port) as second:
                assert second.publish(urls["rtmp"].rpartition("/")[2]) == "NetStream.Publish.BadName"
                assert second.is_closed()
            viewer.wait_units(10)
            assert first.is_running()
        told = product.camera("drone")
        assert told["state"] == "live" and not told["error"]
    told = product.wait_for_state("drone", "reconnecting")
    assert "publisher" in told["error"]["message"]


def test_the_codec_may_change_from_publisher_to_publisher(stage: Stage) -> None:
    product, urls = stage.product, stage.add("yard")
    for scheme, file, codec in (
        ("rtsp", stage.h265, "hevc"),
        ("rtmp", stage.h264, "h264"),
        ("rtmp", stage.h265, "hevc"),
        ("rtsp", stage.h264, "h264"),
    ):
        with Publisher(urls[scheme], file) as publisher:
            _wait_for_codec(product, "yard", codec, publisher)


@pytest.mark.gstreamer
@pytest.mark.skipif(
    not has_gst("x264enc", "rtspclientsink", "rtmp2sink"), reason="needs gstreamer1.0-rtsp and plugins (apt)"
)
@pytest.mark.parametrize("scheme", ["rtmp", "rtsp"])
def test_gstreamer_publishes(stage: Stage, scheme: str) -> None:
    product, urls = stage.product, stage.add(f"gst-{scheme}")
    slug = f"gst-{scheme}"
    with gst_publisher(urls[scheme]) as publisher:
        wait_until(
            lambda: product.camera(slug)["state"] == "live", 20, "video", processes=[product, publisher]
        )
        with WsViewer(product.websocket_url, product.token, [(slug, "")]) as viewer:
            units = viewer.wait_units(50)
            assert units[-1].at_s - units[0].at_s < 1.5 * 49 / 25
        health = product.camera(slug)["health"]
        assert (health["width_px"], health["height_px"], health["packets_lost"]) == (320, 240, 0)
    product.wait_for_state(slug, "reconnecting")


def test_one_that_vanishes_without_a_word_loses_its_place(stage: Stage) -> None:
    product, urls = stage.product, stage.add("phone")
    with Publisher(urls["rtmp"], stage.h264) as lost:
        product.wait_for_state("phone")
        os.kill(lost.pid, signal.SIGSTOP)
        with Publisher(urls["rtsp"], stage.h265) as found:
            _wait_for_codec(product, "phone", "hevc", found)
        os.kill(lost.pid, signal.SIGCONT)


def test_a_revoked_key_ends_its_stream_and_is_refused(stage: Stage) -> None:
    product, urls = stage.product, stage.add("roof")
    keys = "/api/v1/cameras/roof/publish-keys"
    with Publisher(urls["rtmp"], stage.h264) as publisher:
        product.wait_for_state("roof")
        (row,) = product.client.get(keys).json()["items"]
        assert urls["rtmp"].rpartition("/")[2].startswith(f"np_{row['prefix']}_") and "key" not in row
        assert product.client.request("DELETE", f"{keys}/{row['id']}").status == 204
        wait_until(lambda: not publisher.is_running(), 15, "the end of the publisher")
    with RtmpSocket(stage.rtmp_port) as again:
        assert again.publish(urls["rtmp"].rpartition("/")[2]) == "NetStream.Publish.BadName"
    made = product.client.post(keys, json_body={"name": "drone"}).json()
    assert len(made["urls"]) == 4 and made["urls"][0].startswith("rtmps://127.0.0.1:")
    with Publisher(made["urls"][2], stage.h264):
        product.wait_for_state("roof")


def test_publishers_with_tls_use_the_same_port(stage: Stage) -> None:
    urls = stage.add("gate")
    with RtmpSocket(stage.rtmp_port, tls=True) as encrypted:
        assert encrypted.publish(urls["rtmps"].rpartition("/")[2]) == "NetStream.Publish.Start"


def test_strangers_harm_no_publisher(stage: Stage) -> None:
    product, urls = stage.product, stage.add("field")
    with Publisher(urls["rtmp"], stage.h264) as publisher:
        product.wait_for_state("field")
        pids = product.pids("capture")
        idle = [
            socket.create_connection(("127.0.0.1", port)) for port in (stage.rtmp_port, stage.rtsp_port) * 40
        ]
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(600), os.urandom(4000)):
            for port in (stage.rtmp_port, stage.rtsp_port):
                with socket.create_connection(("127.0.0.1", port)) as stranger:
                    stranger.sendall(garbage)
        with WsViewer(product.websocket_url, product.token, [("field", "")]) as viewer:
            viewer.wait_units(25)
        assert publisher.is_running()
        assert product.pids("capture") == pids and product.camera("field")["state"] == "live"
        for each in idle:
            each.close()


def test_a_killed_process_opens_its_ports_again(stage: Stage) -> None:
    product, urls = stage.product, stage.add("barn")
    with Publisher(urls["rtmp"], stage.h264) as publisher:
        product.wait_for_state("barn")
        for pid in product.pids("capture"):
            kill(pid)
        wait_until(lambda: not publisher.is_running(), 10, "the end of the connection")
    _wait_for_port(stage.rtsp_port)
    with Publisher(urls["rtsp"], stage.h264):
        product.wait_for_state("barn")


def _wait_for_codec(product: Product, slug: str, codec: str, publisher: Publisher) -> None:
    def is_live() -> bool:
        camera = product.camera(slug)
        return (camera["state"], camera["health"]["codec"]) == ("live", codec)

    wait_until(is_live, 20, f"{slug} live with {codec}", processes=[product, publisher])


def _wait_for_port(port: int) -> None:
    def is_open() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    wait_until(is_open, 10, "the port")
