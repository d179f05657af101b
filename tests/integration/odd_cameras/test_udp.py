"""Cameras that send over UDP, unicast and multicast: loss, reordering, SSRCs, groups, hostile addresses."""

import asyncio
import re
import socket
from itertools import pairwise
from typing import Any

import pytest

from ninjacam.core.errors import ForbiddenAddressError, ProtocolError, SourceTimeoutError
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.registry import open_source
from tests.harness.async_server import listening
from tests.harness.odd_camera import OddCamera, OddClient, OddRequest
from tests.integration.odd_cameras.conftest import Watched

UDP = {"transport": "udp"}
GROUP = "239.255.77.7"


class UdpCamera(OddCamera):
    """Sends each packet as a datagram. `sender`: its source address."""

    settings = UDP
    sender = "127.0.0.1"
    source = ""
    """The `source=` parameter of the Transport header."""

    def __init__(self, name: str = "", **changes: Any) -> None:
        super().__init__(name, **changes)
        self.socket: socket.socket | None = None
        self.to = ("", 0)
        self.heard: list[tuple[bytes, tuple[str, int]]] = []

    def open_socket(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((self.sender, 0))
        made.setblocking(False)
        return made

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        asked = re.search(r"unicast;client_port=(\d+)-(\d+)", request.headers["transport"])
        if asked is None:
            return self.reply(request, "461 Unsupported Transport")
        self.socket = self.socket or self.open_socket()
        self.to = ("127.0.0.1", int(asked[1]))
        port = self.socket.getsockname()[1]
        source = f";source={self.source}" if self.source else ""
        transport = f"RTP/AVP;unicast;client_port={asked[1]}-{asked[2]};server_port={port}-{port + 1}{source}"
        return self.reply(request, "200 OK", f"Transport: {transport}", f"Session: {self.session}")

    def frame(self, client: OddClient, header: bytes, payload: bytes) -> bytes:
        data = header + payload
        return len(data).to_bytes(2, "big") + data

    def datagrams(self, number: int, datagrams: list[bytes]) -> list[bytes]:
        return datagrams

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        at, found = 0, []
        while at < len(out):
            size = int.from_bytes(out[at : at + 2], "big")
            found.append(out[at + 2 : at + 2 + size])
            at += 2 + size
        assert self.socket is not None
        for datagram in self.datagrams(number, found):
            self.socket.sendto(datagram, self.to)
        while True:
            try:
                self.heard.append(self.socket.recvfrom(2048))
            except BlockingIOError:
                return

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        if self.socket is not None:
            self.socket.close()


class Shuffled(UdpCamera):
    """Neighbouring packets arrive in reverse order, and every fifth one twice."""

    def datagrams(self, number: int, datagrams: list[bytes]) -> list[bytes]:
        for at in range(0, len(datagrams) - 1, 2):
            datagrams[at], datagrams[at + 1] = datagrams[at + 1], datagrams[at]
        return [each for at, each in enumerate(datagrams) for _ in range(2 if at % 5 == 0 else 1)]


class Lossy(UdpCamera):
    """One packet of every tenth picture is lost."""

    def datagrams(self, number: int, datagrams: list[bytes]) -> list[bytes]:
        return datagrams[1:] if number % 10 == 9 else datagrams


class Noisy(UdpCamera):
    """Another host sends packets of the same stream to the client's port. Each would corrupt a picture."""

    def datagrams(self, number: int, datagrams: list[bytes]) -> list[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.2", 0))
            for datagram in datagrams:
                stranger.sendto(datagram[:-20] + bytes(20), self.to)
        return datagrams


class Multicast(UdpCamera):
    """Refuses unicast, and sends to a group on the loopback interface."""

    group = GROUP

    def open_socket(self) -> socket.socket:
        made = super().open_socket()
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        return made

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        if "multicast" not in request.headers["transport"]:
            return self.reply(request, "461 Unsupported Transport")
        self.socket = self.socket or self.open_socket()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1] & ~1
        self.to = (self.group, port)
        transport = f"RTP/AVP;multicast;destination={self.group};port={port}-{port + 1};ttl=1"
        return self.reply(request, "200 OK", f"Transport: {transport}", f"Session: {self.session}")


class TcpOnly(OddCamera):
    """Supports TCP only and receives requests for UDP."""

    settings = UDP

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        if "interleaved" not in request.headers["transport"]:
            return self.reply(request, "461 Unsupported Transport")
        return await super().on_setup(client, request)


class StillEnding(TcpOnly):
    """Refuses the next session while it is still ending the refused one, as GStreamer does."""

    async def on_describe(self, client: OddClient, request: OddRequest) -> bytes | None:
        self.described = getattr(self, "described", 0) + 1
        if self.described == 2:
            return self.reply(request, "503 Service Unavailable")
        return await super().on_describe(client, request)


WHOLE = [
    UdpCamera(),
    UdpCamera("H.265", codec="hevc"),
    UdpCamera("MJPEG", codec="mjpeg"),
    Shuffled(),
    Noisy(),
    Multicast(),
    UdpCamera("asked for TCP", settings={}),  # libcamera-vid and VLC (scottlamb/retina#103)
    TcpOnly(),
    StillEnding(),
]


@pytest.mark.parametrize("camera", WHOLE, ids=repr)
def test_every_frame_arrives_over_udp(camera: OddCamera, watched: Watched) -> None:
    watched(camera).assert_whole()


@pytest.mark.parametrize("camera", [Lossy()], ids=repr)
def test_a_lost_packet_costs_only_its_frame(camera: UdpCamera, watched: Watched) -> None:
    seen = watched(camera)
    assert not seen.errors, seen
    assert seen.status["packets_lost"] >= 4
    assert seen.disconts >= 4
    steps = {round((b.pts - a.pts) * camera.fps / 90_000) for a, b in pairwise(seen.pictures)}
    assert steps == {1, 2}, seen


@pytest.mark.parametrize("camera", [UdpCamera("hole punch")], ids=repr)
def test_the_client_sends_first_so_that_a_firewall_lets_the_answers_in(
    camera: UdpCamera, watched: Watched
) -> None:
    watched(camera).assert_whole()
    assert [data[0] >> 6 for data, _ in camera.heard][:1] == [2]
    assert {address[1] for _, address in camera.heard} == {camera.to[1]}


def open_once(camera: OddCamera, **settings: Any) -> None:
    async def run() -> None:
        async with camera:
            source = await open_source(SourceConfig(camera.url(), **{**UDP, **settings}))
            await source.close()

    asyncio.run(run())


class Silent(UdpCamera):
    """Accepts PLAY and sends nothing."""

    def datagrams(self, number: int, datagrams: list[bytes]) -> list[bytes]:
        return []


def test_if_nothing_arrives_the_error_suggests_tcp() -> None:
    with pytest.raises(SourceTimeoutError, match="transport of this camera to TCP"):
        open_once(Silent(), open_timeout_s=2.0)


def test_if_a_udp_only_camera_sends_nothing_the_error_suggests_the_firewall() -> None:
    with pytest.raises(SourceTimeoutError, match=r"sends by UDP only, .* open the firewall"):
        open_once(Silent(), transport="tcp", open_timeout_s=4.0)


def test_if_a_camera_refuses_both_transports_the_error_names_the_requested_one() -> None:
    class Neither(OddCamera):
        async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
            return self.reply(request, "461 Unsupported Transport")

    with pytest.raises(ProtocolError, match="does not send RTP over TCP"):
        open_once(Neither(), transport="tcp", open_timeout_s=4.0)


class Elsewhere(UdpCamera):
    """Redirects to a forbidden address. FFmpeg followed such redirects and sent the password."""

    async def on_describe(self, client: OddClient, request: OddRequest) -> bytes | None:
        return self.reply(request, "302 Found", f"Location: rtsp://127.0.0.3:{self.port}/cam0")


def test_a_redirect_does_not_leave_the_allowed_networks() -> None:
    async def run() -> int:
        async with Elsewhere() as camera:
            reached = 0

            async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                nonlocal reached
                reached += 1

            async with listening(count, "127.0.0.3", camera.port):
                settings = SourceConfig(
                    camera.url(), "viewer", "hunter2", transport="udp", allowed_networks=("127.0.0.1/32",)
                )
                with pytest.raises(ForbiddenAddressError):
                    await open_source(settings)
            return reached

    assert asyncio.run(run()) == 0


def test_the_camera_cannot_name_another_source_or_make_us_send_to_it() -> None:
    """Its packets come from the forbidden address in its `source=`. The client discards them."""
    camera = UdpCamera(sender="127.0.0.3", source="127.0.0.3")
    with pytest.raises(SourceTimeoutError):
        open_once(camera, open_timeout_s=2.0, allowed_networks=("127.0.0.1/32",))
    assert camera.heard == []


def test_an_allowed_source_is_accepted() -> None:
    open_once(UdpCamera(sender="127.0.0.3", source="127.0.0.3"), open_timeout_s=10.0)


@pytest.mark.parametrize("group", ["127.0.0.1", "224.0.0.5", "ff05::1234", "not an address"])
def test_an_invalid_multicast_group_is_rejected(group: str) -> None:
    with pytest.raises(ProtocolError, match="multicast"):
        open_once(Multicast(group=group), open_timeout_s=5.0)
