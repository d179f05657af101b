import av
import pytest

from ninjacam.codecs.bitstream import nal_type, parameter_sets, parse_sps, split_annexb
from ninjacam.core.packets import Codec, Flags
from ninjacam.testing.packets import (
    H264_PPS,
    audio_packets,
    h264_sps,
    in_arrival_order,
    joined,
    jumped,
    lost,
    paused,
    video_packets,
)


@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (1920, 1080), (322, 182)])
def test_ffmpeg_and_our_parser_read_the_same_size_from_the_sequence_parameter_set(
    size: tuple[int, int],
) -> None:
    info = parse_sps(Codec.H264, h264_sps(*size))
    assert (info.width_px, info.height_px) == size
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, av.VideoCodecContext)
    context.extradata = b"\0\0\0\1" + h264_sps(*size) + b"\0\0\0\1" + H264_PPS
    context.open()
    assert context.extradata


def test_key_frames_arrive_once_per_gop_with_parameter_sets() -> None:
    packets = video_packets(60, gop=20)
    assert [p.sequence for p in packets if p.is_key] == [0, 20, 40]
    for packet in packets:
        kinds = {nal_type(Codec.H264, nal[0]) for nal in split_annexb(packet.data)}
        assert (5 in kinds) == packet.is_key
        assert bool(parameter_sets(Codec.H264, packet.data).sps) == packet.is_key
    assert packets[0].flags == Flags.KEY | Flags.CONFIG


def test_times_advance_evenly() -> None:
    packets = video_packets(3, fps=25, first_pts=90)
    assert [p.pts for p in packets] == [90, 3690, 7290]
    assert [p.received_ns - packets[0].received_ns for p in packets] == [0, 40_000_000, 80_000_000]


def test_b_frames_have_even_decode_times_and_complete_presentation_times() -> None:
    packets = video_packets(10, gop=10, bframes=2)
    assert [p.pts - p.dts_offset for p in packets] == [number * 3600 for number in range(10)]
    assert all(p.dts_offset >= 0 for p in packets)
    assert sorted(p.pts for p in packets) == [number * 3600 for number in range(1, 11)]
    assert [p.pts for p in packets] != sorted(p.pts for p in packets)
    slices = [nal_type(Codec.H264, split_annexb(p.data)[-1][0]) for p in packets]
    assert slices == [5] + [1] * 9


def test_each_kind_of_damage_matches_its_name() -> None:
    packets = video_packets(10)
    assert jumped(packets, 5, -100)[5].pts == packets[5].pts - 9_000_000
    assert jumped(packets, 5, -100)[5].received_ns == packets[5].received_ns
    assert paused(packets, 5, 3)[5].received_ns == packets[5].received_ns + 3_000_000_000
    assert paused(packets, 5, 3)[5].pts == packets[5].pts + 270_000
    gap = lost(packets, 4, 2)
    assert [p.sequence for p in gap] == [0, 1, 2, 3, 6, 7, 8, 9]
    assert [bool(p.flags & Flags.DISCONT) for p in gap] == [False] * 4 + [True] + [False] * 3


def test_a_changed_resolution_continues_in_time() -> None:
    packets = joined(video_packets(5), video_packets(5, width_px=1280, height_px=720, first_pts=77))
    assert [p.pts for p in packets] == [number * 3600 for number in range(10)]
    assert packets[5].flags == Flags.KEY | Flags.CONFIG
    assert (packets[5].width_px, packets[5].received_ns - packets[4].received_ns) == (1280, 40_000_000)


def test_audio_and_video_arrive_in_order() -> None:
    mixed = in_arrival_order(video_packets(5), audio_packets(10))
    assert [p.received_ns for p in mixed] == sorted(p.received_ns for p in mixed)
