"""Parsing of known and of malformed parameter sets."""

import random

import pytest

from ninjacam.codecs.bitstream import (
    START_CODE,
    annexb_from_config,
    codec_string,
    from_length_prefixed,
    jpeg_size,
    parameter_set_id,
    parameter_sets,
    parse_sps,
    split_annexb,
    to_length_prefixed,
)
from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import Codec

# x264, 1280x720, main profile; x264, 1920x1080 (cropped from 1088), high profile, B-frames; x265, 1920x1080.
SPS_720 = bytes.fromhex("674d401fdb014016e840000003004000000c83c60cb8")
SPS_1080 = bytes.fromhex("67640028acd940780227e584000003000400000300c83c60c658")
PPS = bytes.fromhex("68eacf20")
VPS_265 = bytes.fromhex("40010c01ffff016000000300900000030000030078ba0240")
SPS_265 = bytes.fromhex(
    "420101016000000300900000030000030078a003c0801107cb96e92930bc05a020000003002000000303c1"
)
PPS_265 = bytes.fromhex("4401c073c189")
IDR = bytes.fromhex("6588840011")


def annexb(*nals: bytes) -> bytes:
    return b"".join(START_CODE + nal for nal in nals)


def test_nal_units_are_split_at_short_and_long_start_codes() -> None:
    data = b"\x00\x00\x01\x67\x01\x00\x00\x00\x01\x68\x02\x00\x00\x00\x00\x01\x65\x03"
    assert split_annexb(data) == [b"\x67\x01", b"\x68\x02", b"\x65\x03"]
    assert split_annexb(b"") == split_annexb(b"\x67\x01\x02") == split_annexb(b"\x00\x00\x01") == []


def test_length_prefixes_and_start_codes_are_equivalent() -> None:
    data = annexb(SPS_1080, PPS, IDR)
    assert from_length_prefixed(to_length_prefixed(data)) == data
    with pytest.raises(DecodeError):
        from_length_prefixed(b"\x00\x00\x00\x09abc")


def test_h264_size_profile_and_codec_string() -> None:
    info = parse_sps(Codec.H264, SPS_1080)
    assert (info.width_px, info.height_px) == (1920, 1080)
    assert info.profile_idc == 100 and info.level_idc == 40
    assert info.codec_string == "avc1.640028"
    assert info.max_reorder == 2
    assert info.fps == 25
    assert parse_sps(Codec.H264, SPS_720).max_reorder == 0
    assert parse_sps(Codec.H264, SPS_720).fps == 25
    assert codec_string(Codec.H264, annexb(SPS_720, PPS, IDR)) == "avc1.4d401f"


def test_h265_size_and_codec_string() -> None:
    info = parse_sps(Codec.H265, SPS_265)
    assert (info.width_px, info.height_px) == (1920, 1080)
    assert info.codec_string == "hvc1.1.6.L120.90"
    assert info.max_reorder == 0
    assert len(info.profile_tier_level) == 12


def test_parameter_sets_are_found_once_and_in_order() -> None:
    sets = parameter_sets(Codec.H265, annexb(VPS_265, SPS_265, PPS_265, PPS_265))
    assert (sets.vps, sets.sps, sets.pps) == ((VPS_265,), (SPS_265,), (PPS_265,))
    assert sets.as_annexb() == annexb(VPS_265, SPS_265, PPS_265)
    assert not parameter_sets(Codec.H264, annexb(IDR))
    assert [parameter_set_id(Codec.H265, nal) for nal in (VPS_265, SPS_265, PPS_265)] == [0, 0, 0]


def test_decoder_configuration_records_are_unpacked() -> None:
    avcc = b"\x01\x64\x00\x28\xff\xe1" + len(SPS_1080).to_bytes(2, "big") + SPS_1080 + b"\x01\x00\x04" + PPS
    assert annexb_from_config(Codec.H264, avcc) == (annexb(SPS_1080, PPS), 4)
    assert annexb_from_config(Codec.H264, annexb(SPS_1080)) == (annexb(SPS_1080), 0)
    with pytest.raises(DecodeError):
        annexb_from_config(Codec.H264, avcc[:-1])


def test_jpeg_size_is_in_the_frame_header() -> None:
    head = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08\x02\xd0\x05\x00\x03" + bytes(9)
    assert jpeg_size(head) == (1280, 720)
    for broken in (b"", b"\xff\xd8", head[:12], b"\xff\xd8\xff\xe0\x00\x00" + head[8:], b"GIF89a" * 4):
        with pytest.raises(DecodeError):
            jpeg_size(broken)


@pytest.mark.parametrize(
    ("codec", "nal"), [(Codec.H264, SPS_1080), (Codec.H264, SPS_720), (Codec.H265, SPS_265)]
)
def test_garbage_raises_only_decode_errors(codec: Codec, nal: bytes) -> None:
    chance = random.Random(7)
    config = b"\x01" + nal
    for _ in range(3000):
        broken = bytearray(nal)
        for _ in range(chance.randrange(1, 6)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        data = bytes(broken[: chance.randrange(len(broken) + 1)]) + chance.randbytes(chance.randrange(4))
        noise = chance.randbytes(chance.randrange(60))
        for function in (
            lambda: parse_sps(codec, data),  # noqa: B023 (called at once)
            lambda: parameter_set_id(codec, data),  # noqa: B023
            lambda: annexb_from_config(codec, config[:6] + data),  # noqa: B023
            lambda: annexb_from_config(codec, noise),  # noqa: B023
            lambda: from_length_prefixed(noise, 2),  # noqa: B023
            lambda: jpeg_size(b"\xff\xd8" + noise),  # noqa: B023
            lambda: codec_string(codec, START_CODE + data),  # noqa: B023
        ):
            try:
                function()
            except DecodeError:
                continue
