"""fMP4 read by libavformat, an independent implementation."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from ninjacam.codecs.bitstream import parameter_sets, parse_sps
from ninjacam.core.errors import EncodeError
from ninjacam.core.packets import Codec, Flags, Kind, Packet
from ninjacam.outputs.fmp4 import encode_fragment, encode_init

FRAMES = 20


def encode(codec: Codec, b_frames: int) -> list[Packet]:
    """Return packets of a real encoder, 25 fps, times in 1/90000 s, the first decoded at 0."""
    context = av.CodecContext.create("libx264" if codec is Codec.H264 else "libx265", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 322, 242, "yuv420p"  # cropped: not a multiple of 16
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    common = f"bframes={b_frames}:keyint=10:repeat-headers=1:scenecut=0"
    context.options = (
        {"preset": "ultrafast", "x264-params": f"{common}:rc-lookahead=0"}
        if codec is Codec.H264
        else {"preset": "ultrafast", "x265-params": f"{common}:log-level=none"}
    )
    made = []
    for number in range(FRAMES):
        image = np.full((242, 322, 3), number * 10, np.uint8)
        picture = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
        picture.pts = number
        made += context.encode(picture)
    made += context.encode(None)
    first = made[0].dts or 0
    packets = []
    for number, unit in enumerate(made):
        assert unit.pts is not None and unit.dts is not None
        packets.append(
            Packet(
                Kind.VIDEO, codec, bytes(unit), (unit.pts - first) * 3600, 0, duration=3600,
                dts_offset=(unit.pts - unit.dts) * 3600, flags=Flags.KEY if unit.is_keyframe else Flags.NONE,
                sequence=number,
            )
        )  # fmt: skip
    return packets


@pytest.mark.parametrize(
    ("codec", "b_frames"), [(Codec.H264, 0), (Codec.H264, 2), (Codec.H265, 0), (Codec.H265, 2)]
)
def test_a_demuxer_reads_back_the_muxed_data(codec: Codec, b_frames: int) -> None:
    packets = encode(codec, b_frames)
    sets = parameter_sets(codec, packets[0].data)
    init = encode_init(codec, sets, parse_sps(codec, sets.sps[0]), time_base_hz=90_000)
    with av.open(io.BytesIO(init + b"".join(map(encode_fragment, packets))), "r") as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.width, video.height) == (codec.label, 322, 242)
        read = [packet for packet in container.demux(video) if packet.size]
        assert [packet.pts for packet in read] == [packet.pts for packet in packets]
        assert [packet.dts for packet in read] == [packet.pts - packet.dts_offset for packet in packets]
        assert [packet.is_keyframe for packet in read] == [packet.is_key for packet in packets]
        pictures = [picture for packet in read for picture in video.codec_context.decode(packet)]
        pictures += video.codec_context.decode(None)
    assert len(pictures) == FRAMES


def test_a_jpeg_cannot_be_muxed_into_mp4() -> None:
    packets = encode(Codec.H264, 0)
    sets = parameter_sets(Codec.H264, packets[0].data)
    with pytest.raises(EncodeError):
        encode_init(Codec.MJPEG, sets, parse_sps(Codec.H264, sets.sps[0]), time_base_hz=90_000)
