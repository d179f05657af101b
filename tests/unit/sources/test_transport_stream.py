"""Parts of a playlist, as FFmpeg's demuxer gets them."""

import io
from collections.abc import Iterator
from fractions import Fraction

import av
import pytest

from ninjacam.sources.transport_stream import PACKET_BYTES, PartReader
from ninjacam.testing.scenes import SceneOptions, make_clip

PICTURES = 12


@pytest.fixture(scope="module")
def part() -> bytes:
    """A transport stream of H.264."""
    clip = make_clip(SceneOptions(width=160, height=120, seconds=PICTURES / 25, gop=6))
    raw = io.BytesIO(b"".join(unit.data for unit in clip.video.units))
    made = io.BytesIO()
    with av.open(raw, "r", format="h264") as template, av.open(made, "w", format="mpegts") as output:
        stream = output.add_stream_from_template(template.streams.video[0])
        for number, unit in enumerate(clip.video.units):
            packet = av.Packet(unit.data)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = unit.key
            output.mux(packet)
    return made.getvalue()


def packets(stream: bytes) -> list[bytes]:
    return [stream[at : at + PACKET_BYTES] for at in range(0, len(stream), PACKET_BYTES)]


def counted_on(stream: bytes, by: int) -> bytes:
    """The same, with other continuity counters."""
    return b"".join(
        packet[:3] + bytes([packet[3] & 0xF0 | (packet[3] + by) & 0x0F]) + packet[4:]
        for packet in packets(stream)
    )


def as_read(stream: bytes, read_bytes: int = 1 << 16) -> bytes:
    """What FFmpeg gets of a part that comes in pieces of `read_bytes`."""
    source = io.BytesIO(stream)
    reader = PartReader(lambda: source.read(read_bytes))
    return b"".join(iter(reader.read, b""))


def demuxed(stream: bytes) -> Iterator[bool]:
    """Whether FFmpeg takes it for corrupt, of each picture."""
    with av.open(io.BytesIO(stream), "r", format="mpegts") as container:
        for packet in container.demux(video=0):
            if packet.size:
                yield packet.is_corrupt


def test_a_counter_jump_between_two_segments_loses_no_frame(part: bytes) -> None:
    for by in range(16):
        second = counted_on(part, by)
        assert list(demuxed(as_read(part) + as_read(second))) == [False] * 2 * PICTURES, by


def test_ffmpeg_takes_such_a_jump_for_a_loss(part: bytes) -> None:
    """`PartReader` can go if this fails."""
    marked = [sum(demuxed(part + counted_on(part, by))) for by in range(16)]
    assert sorted(marked) == [0] + [1] * 15


def test_a_loss_within_a_segment_is_still_detected(part: bytes) -> None:
    whole = packets(part)
    middle = len(whole) // 2
    assert any(demuxed(as_read(b"".join(whole[:middle] + whole[middle + 1 :]))))


@pytest.mark.parametrize("read_bytes", [1, 100, 187, 188, 189, 1000])
def test_the_size_of_the_pieces_does_not_matter(part: bytes, read_bytes: int) -> None:
    assert as_read(part, read_bytes) == as_read(part)


def test_inserted_packets_have_no_payload_and_one_exists_per_pid(part: bytes) -> None:
    whole, passed = packets(part), packets(as_read(part))
    added = [packet for packet in passed if packet[3] & 0x30 == 0x20 and packet[5] == 0x80]
    assert [packet for packet in passed if packet not in added] == whole
    pids = [packet[1:3] for packet in added]
    assert len(pids) == len(set(pids)) and {pid[0] & 0x1F for pid in pids} <= {
        packet[1] & 0x1F for packet in whole
    }


@pytest.mark.parametrize("read_bytes", [1, 100, 1 << 16])
@pytest.mark.parametrize("data", [b"", b"G", b"G" * 187, b"\0\0\0\x18ftypmp42" * 100], ids=len)
def test_other_data_passes_unchanged(data: bytes, read_bytes: int) -> None:
    assert as_read(data, read_bytes) == data


def test_the_rest_of_a_damaged_stream_passes_unchanged(part: bytes) -> None:
    cut = 7 * PACKET_BYTES
    damaged = part[:cut] + b"\0" + part[cut:]
    assert as_read(damaged) == as_read(part[:cut]) + damaged[cut:]
