"""Publishing pages behind a web worker: the messages, and a publisher with a fake transport and clock."""

import asyncio
import json
import tracemalloc
from typing import Any

import pytest

from ninjacam.core.errors import NinjacamError, ProtocolError, SourceEndedError
from ninjacam.core.packets import Codec, Kind, Packet
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.browser.messages import (
    AUDIO,
    MAX_MESSAGE_BYTES,
    VIDEO,
    FrameReader,
    encode,
    frame,
    parse_claim,
    parse_tag,
)
from ninjacam.sources.browser.publisher import BrowserPublisher
from ninjacam.sources.publish import CLAIM_S, Places, PublishPlace, hash_key
from ninjacam.testing.clock import FakeClock
from tests.unit.sources.phone_support import AVCC, KEY_FRAME, MU_LAW, tag
from tests.unit.sources.test_publish import in_loop
from tests.unit.sources.test_rtmp import HVCC, nal
from tests.unit.sources.test_rtsp_parts import IDR5


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_messages_are_found_wherever_the_bytes_are_cut(step: int) -> None:
    sent = [b"", b"a", bytes(500)]
    data, reader = b"".join(map(frame, sent)), FrameReader()
    assert [m for at in range(0, len(data), step) for m in reader.feed(data[at : at + step])] == sent


def test_a_message_that_is_too_large_is_refused_before_it_arrives() -> None:
    with pytest.raises(ProtocolError, match="too large"):
        list(FrameReader().feed((MAX_MESSAGE_BYTES + 1).to_bytes(4, "big")))


@pytest.mark.parametrize(
    "message",
    [b"", b"[]", b"{}", b"7", b"nonsense", b'{"key": 7}', b'{"key": "short"}', b"[" * 1000, bytes(5000)],
)
def test_a_connection_must_name_a_key_first(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_claim(message)
    assert parse_claim(json.dumps({"key": "a" * 64}).encode()) == "a" * 64


@pytest.mark.parametrize("message", [b"", b"\x09", b"\x09\0\0\0\0", b"\x07\0\0\0\0a", b"\x12\0\0\0\0a"])
def test_messages_that_are_neither_audio_nor_video_are_refused(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_tag(message)


def test_a_tag_has_its_type_and_time_before_it() -> None:
    assert parse_tag(b"\x08\xff\xff\xff\xffab") == (AUDIO, 0xFFFF_FFFF, b"ab")


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.paused = False

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(message) for message in FrameReader().feed(self.written)]


class Page:
    """A publishing page, admitted to the place of the key "right"."""

    def __init__(self, clock: FakeClock, *, audio: bool = True) -> None:
        self.clock = clock
        self.places = Places(clock)
        self.place: PublishPlace = self.places.add(
            SourceConfig("push:", publish_keys=(hash_key("right"),), audio=audio)
        )
        self.transport = FakeTransport()
        self.publisher = BrowserPublisher(self.places, clock)
        self.publisher.connection_made(self.transport)
        self.packets: list[Packet] = []

    async def claim(self, key: str = "right") -> None:
        self.publisher.data_received(encode(key=hash_key(key)))
        await self.clock.run()

    def send(self, *messages: bytes) -> None:
        for message in messages:
            self.publisher.data_received(frame(message))

    async def run(self) -> None:
        task = asyncio.ensure_future(self.publisher.run(self.packets.append))
        await asyncio.sleep(0)
        self.task = task

    async def end(self) -> None:
        self.publisher.end(SourceEndedError("The test is over."))
        if hasattr(self, "task"):
            await asyncio.gather(self.task, return_exceptions=True)


@in_loop
async def test_a_page_becomes_the_source_of_its_camera(clock: FakeClock) -> None:
    page = Page(clock)
    await page.claim()
    assert page.transport.answers == [{"op": "ready", "audio": True}]
    page.send(tag(AUDIO, 0, MU_LAW), tag(VIDEO, 0, AVCC), tag(VIDEO, 40, KEY_FRAME))
    assert page.place.source.result() is page.publisher and page.transport.paused
    assert [track.codec for track in page.publisher.tracks] == [Codec.H264, Codec.PCMU]
    await page.run()
    assert not page.transport.paused
    page.send(tag(VIDEO, 80, KEY_FRAME))
    kinds = [packet.kind for packet in page.packets]
    assert kinds == [Kind.VIDEO, Kind.VIDEO], "audio before the first frame is of no use"
    assert page.packets[1].pts - page.packets[0].pts == 40 * 90
    await page.end()
    assert page.transport.closed


@in_loop
async def test_video_does_not_wait_long_for_audio_that_never_comes(clock: FakeClock) -> None:
    page = Page(clock)
    await page.claim()
    page.send(tag(VIDEO, 0, AVCC), *(tag(VIDEO, 40 * n, KEY_FRAME) for n in range(11)))
    assert [track.codec for track in page.publisher.tracks] == [Codec.H264]
    await page.end()


@in_loop
async def test_audio_that_follows_the_first_frames_is_a_track(clock: FakeClock) -> None:
    page = Page(clock)
    await page.claim()
    page.send(
        tag(VIDEO, 0, AVCC), tag(VIDEO, 0, KEY_FRAME), tag(AUDIO, 10, MU_LAW), tag(VIDEO, 40, KEY_FRAME)
    )
    assert [track.codec for track in page.publisher.tracks] == [Codec.H264, Codec.PCMU]
    await page.end()


@in_loop
async def test_a_camera_without_audio_does_not_wait_for_it(clock: FakeClock) -> None:
    page = Page(clock, audio=False)
    await page.claim()
    page.send(tag(AUDIO, 0, MU_LAW), tag(VIDEO, 0, AVCC), tag(VIDEO, 0, KEY_FRAME))
    assert [track.codec for track in page.publisher.tracks] == [Codec.H264]
    await page.end()


@in_loop
async def test_frames_are_acknowledged_five_times_a_second(clock: FakeClock) -> None:
    page = Page(clock)
    await page.claim()
    page.send(tag(VIDEO, 0, AVCC), *(tag(VIDEO, 40 * n, KEY_FRAME) for n in range(1, 11)))
    times = [answer["t"] for answer in page.transport.answers if answer["op"] == "ack"]
    assert times == [0, 200, 400]
    await page.end()


@in_loop
async def test_media_before_admission_ends_the_page_and_frees_the_place(clock: FakeClock) -> None:
    page = Page(clock)
    page.publisher.data_received(encode(key=hash_key("right")) + frame(tag(VIDEO, 0, KEY_FRAME)))
    assert page.transport.closed and page.transport.answers[-1]["code"] == "protocol_error"
    for _ in range(5):
        await asyncio.sleep(0)
    assert page.place.publisher is None
    await page.end()


@in_loop
async def test_garbage_after_admission_ends_the_page_and_frees_the_place(clock: FakeClock) -> None:
    page = Page(clock)
    await page.claim()
    assert page.place.publisher is page.publisher
    page.send(b"\xff" * 100)
    assert page.transport.closed and page.place.publisher is None
    assert page.transport.answers[-1]["op"] == "end"
    await page.end()


@in_loop
async def test_endless_audio_before_the_first_frame_takes_no_memory(clock: FakeClock) -> None:
    page = Page(clock)
    await page.claim()
    chunk = tag(AUDIO, 0, MU_LAW[:1] + bytes(1 << 16))
    page.send(chunk)
    tracemalloc.start()
    try:
        for _ in range(200):
            page.send(chunk)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
    await page.end()


@in_loop
async def test_a_publisher_may_change_its_codec(clock: FakeClock) -> None:
    page = Page(clock)
    await page.claim()
    page.send(tag(AUDIO, 0, MU_LAW), tag(VIDEO, 0, AVCC), tag(VIDEO, 40, KEY_FRAME))
    await page.run()
    page.send(tag(VIDEO, 80, b"\x1c\0\0\0\0" + HVCC), tag(VIDEO, 80, b"\x1c\x01\0\0\0" + nal(IDR5)))
    assert [packet.codec for packet in page.packets] == [Codec.H264, Codec.H265]
    assert [track.codec for track in page.publisher.tracks] == [Codec.H265, Codec.PCMU]
    assert not page.transport.closed
    await page.end()


@in_loop
async def test_a_camera_waits_for_the_next_device_if_a_publisher_changes_to_an_unknown_codec(
    clock: FakeClock,
) -> None:
    page = Page(clock)
    await page.claim()
    page.send(tag(AUDIO, 0, MU_LAW), tag(VIDEO, 0, AVCC), tag(VIDEO, 40, KEY_FRAME))
    await page.run()
    page.send(tag(VIDEO, 80, b"\x12\0\0\0\0"))
    (error,) = await asyncio.gather(page.task, return_exceptions=True)
    assert isinstance(error, NinjacamError) and error.retryable and "H.264" in error.message
    assert page.transport.closed


@in_loop
async def test_a_wrong_key_and_a_second_page_get_the_reason(clock: FakeClock) -> None:
    page = Page(clock)
    await page.claim("wrong")
    await clock.run(CLAIM_S + 1)
    assert page.transport.answers[-1]["code"] == "authentication_failed" and page.transport.closed
    first, second = BrowserPublisher(page.places, clock), BrowserPublisher(page.places, clock)
    transport = FakeTransport()
    first.connection_made(FakeTransport())
    second.connection_made(transport)
    first.data_received(encode(key=hash_key("right")))
    await clock.run()
    second.data_received(encode(key=hash_key("right")))
    for number in range(8):
        first.data_received(frame(tag(VIDEO, 1000 * number, AVCC)))
        await clock.run(1)
    assert transport.answers[-1]["code"] == "busy"
    for each in (first, second):
        each.end(SourceEndedError("The test is over."))
    await page.end()


@in_loop
async def test_a_page_that_sends_no_video_is_closed(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ninjacam.sources.browser.publisher.OPENING_S", 0)
    page = Page(clock)
    await page.claim()
    await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0.001)
    assert page.transport.answers[-1]["code"] == "timeout" and page.transport.closed
    await page.end()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
