"""RTMP's parts: AMF, chunks and media."""

import asyncio
import struct

import pytest

from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import ProtocolError, SourceEndedError, UnsupportedCodecError
from ninjacam.core.packets import Codec, Flags, Packet
from ninjacam.sources.base import SourceStats
from ninjacam.sources.publish import Places
from ninjacam.sources.rtmp.amf import MAX_DEPTH, MAX_VALUES, read_values, write_values
from ninjacam.sources.rtmp.chunks import (
    MAX_CHUNK_STREAMS,
    MAX_MESSAGE_BYTES,
    ChunkReader,
    Message,
    MessageType,
    write_control,
    write_message,
)
from ninjacam.sources.rtmp.media import FlvMedia
from ninjacam.sources.rtmp.publisher import RtmpPublisher
from ninjacam.testing.packets import H264_PPS, h264_sps
from tests.unit.sources.test_rtsp_parts import IDR5, PPS5, SPS5

H264_SPS = h264_sps(1280, 720)
CONNECT = ("connect", 1.0, {"app": "publish", "nested": {"list": [True, None, "x"]}})


def feed(reader: ChunkReader, data: bytes, step: int = 0) -> list[Message]:
    """`step`: bytes at a time; 0: all at once."""
    step = step or len(data)
    return [each for at in range(0, len(data), step) for each in reader.feed(data[at : at + step])]


class TestAmf:
    def test_values_are_read_as_they_were_written(self) -> None:
        assert read_values(write_values(*CONNECT)) == list(CONNECT)

    def test_an_array_of_metadata_is_an_object(self) -> None:
        data = b"\x08\0\0\0\x02" + b"\0\x05width" + b"\0" + struct.pack(">d", 1280) + b"\0\0\x09"
        assert read_values(data) == [{"width": 1280.0}]

    @pytest.mark.parametrize(
        "data",
        [
            b"\x00\x40",
            b"\x02\xff\xffshort",
            b"\x0a\xff\xff\xff\xff",
            b"\x03\x00\x01a" * (MAX_DEPTH + 2) + b"\x05" + b"\0\0\x09" * (MAX_DEPTH + 2),
            b"\x05" * (MAX_VALUES + 1),
            b"\x7f",
        ],
    )
    def test_malformed_and_endless_values_are_refused(self, data: bytes) -> None:
        with pytest.raises(ProtocolError):
            read_values(data)


class TestAnswers:
    def test_a_publisher_that_does_not_read_its_answers_is_closed(self) -> None:
        class Full(asyncio.Transport):
            unsent_bytes = 0

            def write(self, data: bytes | bytearray | memoryview) -> None:
                self.unsent_bytes += len(data)

            def get_write_buffer_size(self) -> int:
                return self.unsent_bytes

            def is_closing(self) -> bool:
                return False

            def abort(self) -> None:
                """Closed by the test's end."""

        async def run() -> None:
            publisher, transport = RtmpPublisher(Places(), SYSTEM_CLOCK), Full()
            publisher.connection_made(transport)
            ping = write_message(MessageType.USER_CONTROL, b"\x00\x06" + bytes(4), chunk_stream=2)
            for data in [b"\x03" + bytes(1536) + bytes(1536), *[ping * 100] * 1000]:
                if publisher.ended.done():
                    break
                publisher.get_buffer(0)[: len(data)] = data
                publisher.buffer_updated(len(data))
            with pytest.raises(SourceEndedError, match="does not read"):
                publisher.ended.result()
            assert transport.unsent_bytes < 1 << 17

        asyncio.run(run())


class TestChunks:
    @pytest.mark.parametrize("step", [0, 1, 7, 129])
    def test_messages_are_reassembled_wherever_the_bytes_are_cut(self, step: int) -> None:
        data = write_message(20, bytes(range(256)) * 3) + write_message(9, b"", chunk_stream=6, stream_id=1)
        messages = feed(ChunkReader(), data, step)
        assert [(each.kind, len(each.data), each.stream_id) for each in messages] == [(20, 768, 0), (9, 0, 1)]
        assert messages[0].data == bytes(range(256)) * 3

    def test_audio_between_the_chunks_of_a_video_message(self) -> None:
        video, audio = (
            write_message(9, b"v" * 200, chunk_stream=6),
            write_message(8, b"a" * 10, chunk_stream=4),
        )
        messages = feed(ChunkReader(), video[: 12 + 128] + audio + video[12 + 128 :])
        assert [(each.kind, len(each.data)) for each in messages] == [(8, 10), (9, 200)]

    def test_the_chunk_size_is_followed(self) -> None:
        head = b"\x06\0\0\0" + (300).to_bytes(3, "big") + b"\x09" + bytes(4)
        data = write_control(MessageType.SET_CHUNK_SIZE, 4096) + head + bytes(300)
        assert [len(each.data) for each in feed(ChunkReader(), data)] == [300]

    def test_times_are_differences_after_the_first_header(self) -> None:
        first = b"\x06" + (1000).to_bytes(3, "big") + b"\0\0\x01\x09" + bytes(4) + b"x"
        second = b"\x46" + (40).to_bytes(3, "big") + b"\0\0\x01\x09" + b"x"
        third, fourth = b"\x86" + (40).to_bytes(3, "big") + b"x", b"\xc6x"
        messages = feed(ChunkReader(), first + second + third + fourth)
        assert [each.timestamp_ms for each in messages] == [1000, 1040, 1080, 1120]

    @pytest.mark.parametrize("is_repeated", [True, False])
    def test_times_beyond_24_bits_whether_they_are_repeated_or_not(self, is_repeated: bool) -> None:
        extended = (0x0100_0000).to_bytes(4, "big")
        head = b"\x06\xff\xff\xff" + (200).to_bytes(3, "big") + b"\x09" + bytes(4) + extended
        data = head + b"v" * 128 + b"\xc6" + (extended if is_repeated else b"") + b"v" * 72
        (message,) = feed(ChunkReader(), data)
        assert (message.timestamp_ms, message.data) == (0x0100_0000, b"v" * 200)

    def test_an_aborted_message_is_discarded(self) -> None:
        begun = write_message(9, b"v" * 200, chunk_stream=6)[: 12 + 128]
        data = begun + write_control(MessageType.ABORT, 6) + write_message(8, b"a", chunk_stream=6)
        assert [each.kind for each in feed(ChunkReader(), data)] == [8]

    def test_aborted_messages_take_no_room(self) -> None:
        reader = ChunkReader()
        feed(reader, write_control(MessageType.SET_CHUNK_SIZE, MAX_MESSAGE_BYTES // 2))
        half = MAX_MESSAGE_BYTES.to_bytes(3, "big") + b"\x09" + bytes(4 + MAX_MESSAGE_BYTES // 2)
        for _ in range(3):
            assert feed(reader, b"\x06\0\0\0" + half + write_control(MessageType.ABORT, 6)) == []

    def test_a_message_larger_than_allowed_is_refused_before_it_arrives(self) -> None:
        head = b"\x06\0\0\0" + (MAX_MESSAGE_BYTES + 1).to_bytes(3, "big") + b"\x09" + bytes(4)
        with pytest.raises(ProtocolError, match="too large"):
            feed(ChunkReader(), head)

    def test_unfinished_messages_together_are_bounded(self) -> None:
        reader = ChunkReader()
        feed(reader, write_control(MessageType.SET_CHUNK_SIZE, MAX_MESSAGE_BYTES // 2))
        half = MAX_MESSAGE_BYTES.to_bytes(3, "big") + b"\x09" + bytes(4 + MAX_MESSAGE_BYTES // 2)
        data = b"".join(bytes((number, 0, 0, 0)) + half for number in range(3, 6))
        with pytest.raises(ProtocolError, match="at the same time"):
            feed(reader, data)

    def test_too_many_chunk_streams_are_refused(self) -> None:
        with pytest.raises(ProtocolError, match="too many chunk streams"):
            feed(
                ChunkReader(),
                b"".join(write_message(8, b"a", chunk_stream=n) for n in range(2, MAX_CHUNK_STREAMS + 3)),
            )

    def test_other_protocols_are_refused(self) -> None:
        with pytest.raises(ProtocolError, match="not RTMP"):
            feed(ChunkReader(), b"\xc6GET / HTTP/1.1\r\n")


AVCC = (
    b"\x01" + H264_SPS[1:4] + b"\xff\xe1"
    + len(H264_SPS).to_bytes(2, "big") + H264_SPS + b"\x01" + len(H264_PPS).to_bytes(2, "big") + H264_PPS
)  # fmt: skip
VPS5 = b"\x40\x01\x0c\x01\xff\xff"
HVCC = (
    b"\x01"
    + bytes(20)
    + b"\x03\x03"
    + b"".join(
        bytes((data[0] >> 1, 0, 1)) + len(data).to_bytes(2, "big") + data for data in (VPS5, SPS5, PPS5)
    )
)
KEY = b"\x65\x88\x84\x00\x10"
OTHER = b"\x41\x9a\x00\x10"


def nal(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class TestMedia:
    def make(self) -> tuple[FlvMedia, list[Packet], SourceStats]:
        packets: list[Packet] = []
        stats = SourceStats()
        return FlvMedia(packets.append, stats), packets, stats

    def test_h264_arrives_as_annex_b_with_its_parameter_sets(self) -> None:
        media, packets, _ = self.make()
        media.take_video(b"\x17\x00\0\0\0" + AVCC, 0, 1)
        media.take_video(b"\x17\x01\0\0\x28" + nal(KEY), 1000, 2)
        media.take_video(b"\x27\x01\xff\xff\xd8" + nal(OTHER), 1040, 3)
        assert media.video is not None and media.video.codec is Codec.H264
        key, other = packets
        assert key.flags & Flags.KEY and key.data.endswith(b"\0\0\0\x01" + KEY) and H264_SPS in key.data
        assert (key.pts, other.pts) == (1040 * 90, 1000 * 90)
        assert (key.width_px, key.height_px) == (media.video.width_px, media.video.height_px)

    def test_enhanced_rtmp_has_another_header(self) -> None:
        media, packets, _ = self.make()
        media.take_video(b"\x90avc1" + AVCC, 0, 1)
        media.take_video(b"\x93avc1" + nal(KEY), 40, 2)
        media.take_video(b"\xa1avc1\0\0\x28" + nal(OTHER), 80, 2)
        assert [packet.pts for packet in packets] == [40 * 90, 120 * 90]

    def test_h265_is_read_in_both_headers_and_may_replace_h264(self) -> None:
        for description, frame in (
            (b"\x90hvc1" + HVCC, b"\x93hvc1" + nal(IDR5)),
            (b"\x1c\x00\0\0\0" + HVCC, b"\x1c\x01\0\0\0" + nal(IDR5)),
        ):
            media, packets, _ = self.make()
            media.take_video(b"\x17\x00\0\0\0" + AVCC, 0, 1)
            media.take_video(b"\x17\x01\0\0\0" + nal(KEY), 0, 2)
            media.take_video(description, 40, 3)
            media.take_video(frame, 40, 4)
            assert media.video is not None and media.video.codec is Codec.H265
            assert [packet.codec for packet in packets] == [Codec.H264, Codec.H265]
            key = packets[1]
            assert key.flags & Flags.KEY and SPS5 in key.data and key.data.endswith(IDR5)
            assert (key.width_px, key.height_px) == (media.video.width_px, media.video.height_px) != (0, 0)

    def test_times_wrap_around_after_49_days(self) -> None:
        media, packets, _ = self.make()
        media.take_video(b"\x17\x00\0\0\0" + AVCC, 0xFFFF_FFF0, 1)
        media.take_video(b"\x17\x01\0\0\0" + nal(KEY), 0xFFFF_FFF0, 2)
        media.take_video(b"\x27\x01\0\0\0" + nal(OTHER), 0x18, 3)
        assert packets[1].pts - packets[0].pts == 40 * 90

    def test_a_damaged_frame_is_counted_and_marks_the_next_one(self) -> None:
        media, packets, stats = self.make()
        media.take_video(b"\x17\x00\0\0\0" + AVCC, 0, 1)
        media.take_video(b"\x17\x01\0\0\0" + nal(KEY), 0, 2)
        media.take_video(b"\x27\x01\0\0\0\xff\xff\xff\xff\x41", 40, 3)
        media.take_video(b"\x27\x01\0\0\0" + nal(OTHER), 80, 4)
        assert stats.access_units_dropped == 1 and packets[-1].flags & Flags.DISCONT

    def test_frames_before_their_description_are_skipped(self) -> None:
        media, packets, stats = self.make()
        media.take_video(b"\x17\x01\0\0\0" + nal(KEY), 0, 2)
        assert not packets and stats.frames_skipped == 1

    @pytest.mark.parametrize("head", [b"\x12\0\0\0\0\0", b"\x90av01\0\0\0\0"])
    def test_other_codecs_are_named(self, head: bytes) -> None:
        with pytest.raises(UnsupportedCodecError, match=r"Sorenson|av01"):
            self.make()[0].take_video(head, 0, 1)

    def test_a_malformed_description_is_a_protocol_error(self) -> None:
        with pytest.raises(ProtocolError, match="malformed"):
            self.make()[0].take_video(b"\x17\x00\0\0\0" + AVCC[:9], 0, 1)

    def test_aac_and_g711_are_described(self) -> None:
        media, packets, _ = self.make()
        media.take_audio(b"\xaf\x00\x12\x10", 0, 1)
        media.take_audio(b"\xaf\x01frame", 23, 2)
        assert media.audio is not None and (media.audio.sample_rate_hz, media.audio.channels) == (44_100, 2)
        assert (packets[0].codec, packets[0].data, packets[0].pts) == (
            Codec.AAC,
            b"frame",
            23 * 44_100 // 1000,
        )
        media, packets, _ = self.make()
        media.take_audio(b"\x72abcd", 0, 1)
        assert packets[0].codec is Codec.PCMA and packets[0].duration == 4

    @pytest.mark.parametrize("data", [b"\xaf\x00", b"\xaf\x00\x00\x00", b"\x2f\x01mp3", b"\xaf\x01early"])
    def test_audio_that_is_not_understood_is_ignored(self, data: bytes) -> None:
        media, packets, _ = self.make()
        media.take_audio(data, 0, 1)
        assert media.audio is None and not packets
