"""Talks over the talk socket to the loudspeaker of a fake camera, over real sockets."""

import asyncio
import os
import signal
import socket
import struct
import sys
import threading
from array import array
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ninjacam.codecs.g711 import encode_g711
from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import (
    AuthenticationError,
    CommandRejectedError,
    NinjacamError,
    NoLoudspeakerError,
    SourceEndedError,
    SpeakerBusyError,
    StreamUnavailableError,
    TalkEndedError,
    UnsupportedCommandError,
)
from ninjacam.core.json_lines import decode, encode
from ninjacam.core.packets import Codec
from ninjacam.core.unix_sockets import unix_address
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.rtsp.back_channel import BackChannel
from ninjacam.talk.client import Ready, Refusal, TalkConnection
from ninjacam.talk.messages import socket_path
from ninjacam.talk.server import TalkServer
from ninjacam.testing.authentication import Login
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.clips import Clip, ClipTrack, Unit
from ninjacam.testing.clock import FakeClock

VIDEO = Clip((ClipTrack(Codec.MJPEG, (Unit(0.0, 0.0, b"", True),)),), 1.0)
"""A placeholder that no test plays."""
TONE = array("h", [(n * 977) % 20_000 - 10_000 for n in range(160 * 40)]).tobytes()


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRtspCamera]:
    monkeypatch.setattr("ninjacam.testing.rtp.payloads", lambda *_args, **_options: [b""])
    with FakeRtspCamera(VIDEO) as started:
        started.faults.back_channel = ("PCMU/8000",)
        yield started


@dataclass
class User:
    """A user's connection."""

    ready: list[Ready] = field(default_factory=list)
    ends: list[Refusal | None] = field(default_factory=list)
    connection: TalkConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = TalkConnection(self.ready.append, self.ends.append)

    @property
    def refusal(self) -> Refusal:
        assert self.ends and self.ends[0] is not None
        return self.ends[0]

    @property
    def error(self) -> NinjacamError:
        return self.refusal.error


class Stage:
    """A camera, its talk server, and users."""

    def __init__(self, run_dir: Path, camera: FakeRtspCamera, server: TalkServer) -> None:
        self.run_dir = run_dir
        self.camera = camera
        self.server = server
        self.users: list[User] = []

    async def press(self, by: str = "anna") -> User:
        """Connect, and wait until the camera is ready or an error arrives."""
        user = User()
        self.users.append(user)
        await user.connection.open(self.run_dir, "door", by)
        await until(lambda: bool(user.ready or user.ends))
        return user

    @property
    def packets(self) -> list[bytes]:
        return list(self.camera.stats.audio)

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.camera.stats.requests]


def play(
    run_dir: Path,
    camera: FakeRtspCamera,
    scenario: Callable[[Stage], Awaitable[None]],
    clock: Clock = SYSTEM_CLOCK,
    **config: Any,
) -> list[dict[str, Any]]:
    """Return the server's report after each change."""
    reports: list[dict[str, Any]] = []

    async def go() -> None:
        source = SourceConfig(camera.url(login=False), **config)
        server = TalkServer(run_dir, "door", source, lambda: reports.append(server.report()), clock=clock)
        await server.start()
        stage = Stage(run_dir, camera, server)
        try:
            await scenario(stage)
        finally:
            for user in stage.users:
                user.connection.close()
            await server.close()
        await until(lambda: camera.stats.open_connections == 0)

    asyncio.run(go())
    return reports


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 (another thread or process changes it)
            await asyncio.sleep(0.005)


def headers(packet: bytes) -> tuple[int, int, int, int, int]:
    """Return (payload type, marker, sequence number, timestamp, SSRC)."""
    _, kind, sequence, timestamp, ssrc = struct.unpack("!BBHII", packet[:12])
    return kind & 0x7F, kind >> 7, sequence, timestamp, ssrc


def test_audio_reaches_the_loudspeaker_in_correct_packets(tmp_path: Path, camera: FakeRtspCamera) -> None:
    async def scenario(stage: Stage) -> None:
        user = await stage.press()
        assert user.ready == [Ready(8000, "pcm_mulaw")]
        user.connection.send(TONE[: 320 * 10])
        await until(lambda: len(stage.packets) == 10)
        user.connection.close()
        await until(lambda: "TEARDOWN" in stage.methods)

    assert play(tmp_path, camera, scenario) == [{"state": "yes", "reason": ""}]
    packets = list(camera.stats.audio)
    assert b"".join(packet[12:] for packet in packets) == encode_g711(TONE[: 320 * 10], "ulaw")
    found = [headers(packet) for packet in packets]
    assert {(kind, ssrc) for kind, _, _, _, ssrc in found} == {(0, 0xBEEF)}
    assert [marker for _, marker, _, _, _ in found] == [1] + [0] * 9
    first = found[0]
    assert [(each[2] - first[2]) & 0xFFFF for each in found] == list(range(10))
    assert [(each[3] - first[3]) & 0xFFFFFFFF for each in found] == [160 * n for n in range(10)]
    required = [request for request in camera.stats.requests if request.method != "OPTIONS"]
    assert [request.method for request in required] == ["DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
    assert all("backchannel" in request.headers["require"] for request in required)


def test_a_server_that_closes_during_a_talk_logs_no_error(
    tmp_path: Path, camera: FakeRtspCamera, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.press()
        await stage.server.close()
        await until(lambda: camera.stats.open_talks == 0)

    play(tmp_path, camera, scenario)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_pause_advances_the_timestamp_and_marks_the_next_packet(
    tmp_path: Path, camera: FakeRtspCamera
) -> None:
    clock = FakeClock()

    async def scenario(stage: Stage) -> None:
        user = await stage.press()

        async def say(milliseconds: int, packets: int) -> None:
            user.connection.send(TONE[: milliseconds * 16])
            await asyncio.sleep(0.05)  # the message crosses a socket
            for _ in range(200):
                if len(stage.packets) < packets:
                    await clock.run(0.02)
                    await asyncio.sleep(0.005)

        await say(60, 3)
        await clock.run(1.0)
        await say(60, 6)

    play(tmp_path, camera, scenario, clock)
    found = [headers(packet) for packet in camera.stats.audio]
    assert [marker for _, marker, _, _, _ in found] == [1, 0, 0, 1, 0, 0]
    assert [(each[2] - found[0][2]) & 0xFFFF for each in found] == list(range(6))
    assert (found[3][3] - found[2][3]) & 0xFFFFFFFF >= 8000


def test_a_second_user_is_refused_and_the_first_continues(tmp_path: Path, camera: FakeRtspCamera) -> None:
    async def scenario(stage: Stage) -> None:
        first = await stage.press("anna")
        second = await stage.press("ben")
        assert isinstance(second.error, SpeakerBusyError) and second.refusal.speaker == "anna"
        assert "anna" not in str(second.error)
        first.connection.send(TONE[:960])
        await until(lambda: len(stage.packets) == 3)
        first.connection.close()
        await until(lambda: camera.stats.open_talks == 0)
        third = await stage.press("ben")
        assert third.ready

    play(tmp_path, camera, scenario)


def test_a_press_right_after_a_release_waits_for_the_end_of_the_previous_talk(
    tmp_path: Path, camera: FakeRtspCamera
) -> None:
    async def scenario(stage: Stage) -> None:
        for by in ("anna", "anna", "ben"):
            user = await stage.press(by)
            assert user.ready, user.ends
            user.connection.send(TONE[:3200])
            user.connection.close()

    play(tmp_path, camera, scenario)
    assert [request.method for request in camera.stats.requests].count("TEARDOWN") == 3


def test_a_release_and_the_next_press_that_arrive_together_are_not_a_conflict(
    tmp_path: Path, camera: FakeRtspCamera
) -> None:
    def pressed(run_dir: Path, by: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        with unix_address(socket_path(run_dir, "door")) as address:
            connection.connect(address)
        connection.sendall(encode({"by": by}))
        return connection

    async def scenario(stage: Stage) -> None:
        # Nothing is awaited in between: the server reads all of this at once.
        pressed(stage.run_dir, "anna").close()
        reader, writer = await asyncio.open_unix_connection(sock=pressed(stage.run_dir, "anna"))
        async with asyncio.timeout(20):
            assert "ready" in decode(await reader.readline())
        writer.close()

    play(tmp_path, camera, scenario)


def test_a_release_before_the_camera_is_ready_leaves_no_connection(
    tmp_path: Path, camera: FakeRtspCamera
) -> None:
    camera.faults.hang = ("DESCRIBE",)

    async def scenario(stage: Stage) -> None:
        user = User()
        await user.connection.open(stage.run_dir, "door", "anna")
        await until(lambda: "DESCRIBE" in stage.methods)
        user.connection.close()
        await until(lambda: camera.stats.open_connections == 0)
        camera.faults.hang = ()
        assert (await stage.press()).ready

    play(tmp_path, camera, scenario)


def test_a_killed_speaker_ends_the_talk(tmp_path: Path, camera: FakeRtspCamera) -> None:
    async def scenario(stage: Stage) -> None:
        code = (
            "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
            's.sendall(b\'{"by": "anna"}\\n\'); s.recv(99)\nwhile True: s.sendall(bytes(320)); time.sleep(0.02)'
        )
        path = str(socket_path(tmp_path, "door"))
        speaker = await asyncio.create_subprocess_exec(sys.executable, "-c", code, path)
        try:
            await until(lambda: len(stage.packets) > 5)
        finally:
            os.kill(speaker.pid, signal.SIGKILL)
            await speaker.wait()
        await until(lambda: camera.stats.open_talks == 0)
        assert stage.methods[-1] == "TEARDOWN"

    play(tmp_path, camera, scenario)


@pytest.mark.parametrize(
    ("faults", "kind", "state"),
    [
        ({"back_channel": ()}, NoLoudspeakerError, "no"),
        ({"back_channel": (), "require_status": 0}, NoLoudspeakerError, "no"),
        ({"back_channel": ("G726-16/8000",)}, UnsupportedCommandError, "no"),
        ({"back_channel_status": 461}, UnsupportedCommandError, "no"),
        ({"back_channel_status": 453}, CommandRejectedError, "unknown"),
        ({"back_channel_status": 500}, CommandRejectedError, "unknown"),
        ({"describe_status": 401}, AuthenticationError, "unknown"),
    ],
)
def test_a_camera_that_refuses_costs_one_typed_error(
    tmp_path: Path, camera: FakeRtspCamera, faults: dict[str, Any], kind: type[NinjacamError], state: str
) -> None:
    camera.set_faults(**faults)

    async def scenario(stage: Stage) -> None:
        user = await stage.press()
        assert type(user.error) is kind, user.error
        assert stage.server.report()["state"] == state
        assert bool(stage.server.report()["reason"]) is (state == "no")

    play(tmp_path, camera, scenario)
    assert camera.stats.connections == 1


def test_a_camera_that_only_records_is_asked_to_record(tmp_path: Path, camera: FakeRtspCamera) -> None:
    camera.faults.back_channel_record_only = True

    async def scenario(stage: Stage) -> None:
        assert (await stage.press()).ready

    play(tmp_path, camera, scenario)


def test_a_camera_that_closes_during_a_talk_ends_it_with_an_error(
    tmp_path: Path, camera: FakeRtspCamera
) -> None:
    camera.faults.back_channel_packets = 3

    async def scenario(stage: Stage) -> None:
        user = await stage.press()
        user.connection.send(TONE[:3200])
        await until(lambda: bool(user.ends))
        assert isinstance(user.error, SourceEndedError)

    play(tmp_path, camera, scenario)


@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_the_camera_s_login_is_used(tmp_path: Path, camera: FakeRtspCamera, scheme: Any) -> None:
    camera.login = Login(scheme, "admin", "secret")

    async def scenario(stage: Stage) -> None:
        assert (await stage.press()).ready

    play(tmp_path, camera, scenario, username="admin", password="secret")


def test_a_wrong_password_is_sent_once(tmp_path: Path, camera: FakeRtspCamera) -> None:
    camera.login = Login("digest", "admin", "secret")

    async def scenario(stage: Stage) -> None:
        user = await stage.press()
        assert isinstance(user.error, AuthenticationError)
        assert stage.methods == ["DESCRIBE", "DESCRIBE"]

    play(tmp_path, camera, scenario, username="admin", password="wrong")


def test_a_redirect_is_followed_without_the_password(tmp_path: Path, camera: FakeRtspCamera) -> None:
    with FakeRtspCamera(VIDEO, login=Login("digest", "admin", "secret")) as other:
        other.faults.back_channel = ("PCMU/8000",)
        camera.faults.redirect_to = other.url(login=False).replace("127.0.0.1", "localhost")

        async def scenario(stage: Stage) -> None:
            user = await stage.press()
            assert isinstance(user.error, AuthenticationError)
            other.login = Login()
            assert (await stage.press()).ready

        play(tmp_path, camera, scenario, username="admin", password="secret")
        assert not any("authorization" in request.headers for request in other.stats.requests)


def test_a_talk_without_audio_ends(tmp_path: Path, camera: FakeRtspCamera) -> None:
    clock = FakeClock()

    async def scenario(stage: Stage) -> None:
        user = await stage.press()
        for _ in range(20):
            await clock.run(0.5)
            await asyncio.sleep(0.005)
        assert isinstance(user.error, TalkEndedError) and "2 s" in str(user.error)

    play(tmp_path, camera, scenario, clock)


def test_a_talk_ends_after_two_minutes(tmp_path: Path, camera: FakeRtspCamera) -> None:
    clock = FakeClock()

    async def scenario(stage: Stage) -> None:
        user = await stage.press()
        for second in range(125):
            assert not user.ends or second >= 119
            user.connection.send(TONE[:320])
            await asyncio.sleep(0.001)
            await clock.run(1.0)
        await until(lambda: bool(user.ends))
        assert isinstance(user.error, TalkEndedError) and "120 s" in str(user.error)
        assert stage.methods.count("OPTIONS") >= 3  # they keep the session alive

    play(tmp_path, camera, scenario, clock)


def test_garbage_on_the_socket_ends_only_its_connection(tmp_path: Path, camera: FakeRtspCamera) -> None:
    async def scenario(stage: Stage) -> None:
        for garbage in (b"\xff" * 100 + b"\n", b"[]\n", b"x" * 100_000, b""):
            reader, writer = await asyncio.open_unix_connection(str(socket_path(tmp_path, "door")))
            writer.write(garbage)
            writer.write_eof()
            answer = await reader.read()
            assert b"ready" not in answer
            writer.close()
        assert (await stage.press()).ready

    play(tmp_path, camera, scenario)


def test_a_flood_is_dropped_and_not_kept(tmp_path: Path, camera: FakeRtspCamera) -> None:
    async def scenario(stage: Stage) -> None:
        user = await stage.press()
        for _ in range(200):
            user.connection.send(TONE)  # 0.8 s each
            await asyncio.sleep(0)
        await until(lambda: len(stage.packets) >= 3)
        user.connection.close()
        await until(lambda: camera.stats.open_talks == 0)

    play(tmp_path, camera, scenario)
    spoken_s = 200 * 0.8
    assert len(camera.stats.audio) * 0.02 < spoken_s / 4


def test_packets_are_dropped_while_the_camera_does_not_read(
    tmp_path: Path, camera: FakeRtspCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsent = [100_000]
    monkeypatch.setattr(BackChannel, "unsent_bytes", property(lambda _: unsent[0]))
    clock = FakeClock()

    async def scenario(stage: Stage) -> None:
        user = await stage.press()
        for _ in range(10):
            user.connection.send(TONE[:640])
            await asyncio.sleep(0.005)
            await clock.run(0.04)
        assert not stage.packets
        unsent[0] = 0
        user.connection.send(TONE[:1920])
        for _ in range(10):
            await asyncio.sleep(0.005)
            await clock.run(0.02)
        await until(lambda: bool(stage.packets))
        sequences = [headers(packet)[2] for packet in stage.packets]
        assert (sequences[-1] - sequences[0]) & 0xFFFF == len(
            sequences
        ) - 1  # dropped packets have no sequence number

    play(tmp_path, camera, scenario, clock)
    assert len(camera.stats.audio) <= 12


def test_without_a_capture_process_a_talk_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StreamUnavailableError, match="door"):
        asyncio.run(TalkConnection(lambda _: None, lambda _: None).open(tmp_path, "door", "anna"))


def test_the_end_of_the_server_ends_the_talk(tmp_path: Path, camera: FakeRtspCamera) -> None:
    async def scenario(stage: Stage) -> None:
        user = await stage.press()
        await stage.server.close()
        await until(lambda: user.ends == [None])
        assert not socket_path(tmp_path, "door").exists()

    play(tmp_path, camera, scenario)
    assert "TEARDOWN" in [request.method for request in camera.stats.requests]
    assert threading.active_count() < 20
