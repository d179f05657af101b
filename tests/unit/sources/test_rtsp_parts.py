"""The small parts of RTSP: messages, SDP, URLs, RTCP, JPEG and audio payloads."""

import struct

import pytest

from ninjacam.codecs.bitstream import START_CODE, jpeg_size
from ninjacam.core.errors import (
    ConfigError,
    NotACameraError,
    NoVideoError,
    ProtocolError,
    UnsupportedCodecError,
)
from ninjacam.core.packets import Codec, Flags, Kind
from ninjacam.sources.base import SourceStats
from ninjacam.sources.parameter_sets import ParameterSetCache
from ninjacam.sources.rtsp.audio import AacDepacketizer, AudioDepacketizer
from ninjacam.sources.rtsp.h265 import H265Depacketizer
from ninjacam.sources.rtsp.jpeg import JpegDepacketizer, quantization_tables
from ninjacam.sources.rtsp.messages import format_request, parse_head
from ninjacam.sources.rtsp.rtcp import ReceptionState, SenderReport, parse_rtcp, receiver_report
from ninjacam.sources.rtsp.sdp import parse_sdp, sprop_annexb
from ninjacam.sources.rtsp.tracks import choose_tracks
from ninjacam.sources.track_clock import TrackClock
from ninjacam.sources.urls import (
    base_uri,
    binding_of,
    carries_login,
    control_uri,
    control_uris,
    parse_url,
    redirect_target,
)
from tests.unit.sources.rtp_support import PPS, SPS, Sink

SDP = b"""v=0
o=- 1 1 IN IP4 127.0.0.1
s=Camera
a=control:*
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;profile-level-id=4d401f;sprop-parameter-sets=Z01AH9sBQBboQAAAAwBAAAAMg8YMuA==,aOrPIA==
a=control:trackID=0
m=audio 0 RTP/AVP 97
a=rtpmap:97 MPEG4-GENERIC/48000/2
a=fmtp:97 streamtype=5;mode=AAC-hbr;config=1190;sizelength=13;indexlength=3;indexdeltalength=3
a=control:rtsp://10.0.0.1/trackID=1
m=application 0 RTP/AVP 107
a=rtpmap:107 vnd.onvif.metadata/90000
"""


def test_a_response_is_read_whatever_its_spelling() -> None:
    message, length = parse_head(
        b"RTSP/1.0 200 OK\r\ncseq: 3\r\nSession:  abc;timeout=30\r\nPublic: A,\r\n B\nContent-length:5"
    )
    assert (message.status, message.cseq, length) == (200, 3, 5)
    assert message.header("session") == "abc;timeout=30" and message.header("public") == "A, B"


def test_requests_of_the_camera_are_distinguished_from_responses() -> None:
    message, _ = parse_head(b"OPTIONS rtsp://x/ RTSP/1.0\r\nCSeq: 9")
    assert message.method == "OPTIONS" and message.status == 0


@pytest.mark.parametrize("head", [b"RTSP/1.0 abc", b"RTSP/1.0 2000 OK", b"RTSP/1.0"])
def test_malformed_responses_are_protocol_errors(head: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_head(head)


def test_other_protocols_are_not_cameras() -> None:
    with pytest.raises(NotACameraError):
        parse_head(b"220 ftp.example.com ready")


def test_line_breaks_cannot_add_headers() -> None:
    with pytest.raises(ProtocolError):
        format_request("SETUP", "rtsp://x/\r\nX: y", 1, {})


def test_the_sdp_of_a_camera_is_parsed() -> None:
    description = parse_sdp(SDP)
    video, audio, other = description.media
    (h264,), (aac,) = video.formats, audio.formats
    assert (video.kind, h264.encoding, h264.payload_type, video.control) == ("video", "H264", 96, "trackID=0")
    assert sprop_annexb(h264) == START_CODE + SPS + START_CODE + PPS
    assert (aac.encoding, aac.clock_hz, aac.channels) == ("MPEG4-GENERIC", 48_000, 2)
    assert description.control == "*" and other.kind == "application"
    tracks = choose_tracks(description, Sink(), SourceStats(), audio=True)
    assert [track.track.kind for track in tracks] == [Kind.VIDEO, Kind.AUDIO]
    assert (tracks[0].track.width_px, tracks[0].track.height_px) == (1280, 720)
    assert tracks[1].track.extradata == b"\x11\x90"


def test_an_sdp_without_usable_video_has_its_error() -> None:
    with pytest.raises(NoVideoError):
        choose_tracks(parse_sdp(b"v=0\nm=audio 0 RTP/AVP 0\n"), Sink(), SourceStats(), audio=True)
    other = b"v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 MP4V-ES/90000\n"
    with pytest.raises(UnsupportedCodecError, match="MP4V-ES"):
        choose_tracks(parse_sdp(other), Sink(), SourceStats(), audio=True)
    with pytest.raises(ProtocolError):
        parse_sdp(b"m=video 0 RTP/AVP 96\n" * 100)


SETS = "sprop-parameter-sets=Z01AH9sBQBboQAAAAwBAAAAMg8YMuA==,aOrPIA=="


@pytest.mark.parametrize(
    "text",
    [
        f"v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1 {SETS} x=y\n",
        f"v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1, {SETS}, x=y\n",
        f"v=0\nm=video 0 RTP/AVP 96\na=rtpmap: 96  h.264 / 90000 \na=fmtp: 96;{SETS}\n",
        f"v=0\nm=video 0 RTP/AVP 98 96\na=rtpmap:98 MP4V-ES/90000\na=rtpmap:96 H264/90000\na=fmtp:96 {SETS}\n",
        f"v=0\na=rtpmap:96 H264/90000\na=fmtp:96 {SETS}\nm=video 0 RTP/AVP 96\n",
        f"v=0\nm=video 0 RTP/AVP 96\nm=audio 0 RTP/AVP 0\na=rtpmap:96 H264/90000\na=fmtp:96 {SETS}\n",
        f"v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:97 {SETS}\n",
        f"v=0\nm=video 0 RTP/AVP 96\na=fmtp:96 packetization-mode=2;{SETS}\n",
        f"v=0\nm=video 0 RTP/AVP\na=rtpmap:96 H264/90000\na=fmtp:96 {SETS}\n",
        f"M=Video 0 RTP/AVP 96\rA=rtpmap:96 H264\rA=fmtp:96 {SETS}\0\r",
    ],
    ids=["spaces", "commas", "odd spaces", "two formats", "before the sections", "in another section",
         "wrong number", "without rtpmap", "without a format", "CR only"],
)  # fmt: skip
def test_an_unusual_description_gives_the_same_tracks(text: str) -> None:
    (track,) = choose_tracks(parse_sdp(text.encode()), Sink(), SourceStats(), audio=False)
    assert (track.track.codec, track.payload_type) == (Codec.H264, 96)
    assert track.track.extradata == START_CODE + SPS + START_CODE + PPS
    assert (track.track.width_px, track.track.height_px) == (1280, 720)


def test_the_back_channel_of_a_camera_is_not_its_audio() -> None:
    back = "m=audio 0 RTP/AVP 0\na=control:back\na=sendonly\n"
    sound = "m=audio 0 RTP/AVP 8\na=control:sound\na=recvonly\n"
    video = "v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=sendonly\n"
    tracks = choose_tracks(parse_sdp((video + back + sound).encode()), Sink(), SourceStats(), audio=True)
    assert [track.control for track in tracks] == ["", "sound"]
    assert len(choose_tracks(parse_sdp((video + back).encode()), Sink(), SourceStats(), audio=True)) == 1


def test_possible_control_urls_are_tried_in_order() -> None:
    target = parse_url("rtsp://10.0.0.5:8554/live?a=1")
    assert base_uri("rtsp://rtsp://u:p@10.0.0.5/x/", target) == "rtsp://10.0.0.5/x/"
    for stated in ("", "/live/", "10.0.0.5/live", "http://10.0.0.5/"):
        assert base_uri(stated, target) == target.uri
    assert control_uris("rtsp://1.2.3.4/live/", "track1", target) == [
        "rtsp://1.2.3.4/live/track1",
        "rtsp://10.0.0.5:8554/live?a=1/track1",
        "rtsp://10.0.0.5:8554/live/track1",
        "rtsp://10.0.0.5:8554/live/track1?a=1",
    ]


@pytest.mark.parametrize(
    ("base", "control", "expected"),
    [
        ("rtsp://c/live/", "trackID=1", "rtsp://c/live/trackID=1"),
        ("rtsp://c/live", "trackID=1", "rtsp://c/live/trackID=1"),
        ("rtsp://c/s?channel=1&subtype=0", "trackID=0", "rtsp://c/s?channel=1&subtype=0/trackID=0"),
        ("rtsp://c/live", "*", "rtsp://c/live"),
        ("rtsp://c/live", "", "rtsp://c/live"),
        ("rtsp://c/live", "rtsp://other:9/x", "rtsp://other:9/x"),
        ("rtsp://c/live/a", "/track1", "rtsp://c/track1"),
    ],
)
def test_control_urls_are_resolved(base: str, control: str, expected: str) -> None:
    assert control_uri(base, control) == expected


def test_urls_lose_their_credentials_but_keep_their_query() -> None:
    target = parse_url("rtsp://user:pa%40ss@[::1]/a b".replace(" ", "%20") + "?x=1#frag")
    assert (target.host, target.port, target.uri) == ("::1", 554, "rtsp://[::1]/a%20b?x=1")
    assert parse_url("http://c:8080").path == "/"
    for bad in (
        "rtsp:///path",
        "rtsp://c:99999/",
        "rtsp://[::1/",
        "rtsp://c/\n",
        "rtsp://a\\b/",
        "rtsp://" + "a" * 5000,
    ):
        with pytest.raises(ConfigError):
            parse_url(bad)


def test_redirects_keep_the_scheme_and_its_protection() -> None:
    now = parse_url("rtsps://c/live")
    assert redirect_target(now, "rtsps://d/x", ("rtsp", "rtsps")).host == "d"
    assert redirect_target(now, "/x/y", ("rtsps",)).uri == "rtsps://c/x/y"
    assert redirect_target(parse_url("http://c:81/a/b?c"), "d", ("http",)).uri == "http://c:81/a/d"
    for location in ("rtsp://c/x", "http://c/", "file:///etc/passwd", "rtsps://:7"):
        with pytest.raises(ProtocolError):
            redirect_target(now, location, ("rtsp", "rtsps"))


def test_sender_reports_and_goodbyes_are_parsed() -> None:
    report = struct.pack(">BBHIIIIII", 0x80, 200, 6, 7, 2_208_988_800 + 100, 1 << 31, 9000, 1, 2)
    goodbye = struct.pack(">BBHI", 0x81, 203, 1, 7)
    found, gone = parse_rtcp(report + goodbye)
    assert found == SenderReport(7, 100_500_000_000, 9000, ((2_208_988_800 + 100) & 0xFFFF) << 16 | 0x8000)
    assert gone == {7}
    assert parse_rtcp(report[:20]) == (None, set())


def test_the_track_clock_follows_the_report() -> None:
    clock = TrackClock(90_000)
    assert clock.captured_ns(5) == 0
    clock.set(9000, 10**18)
    assert clock.captured_ns(9000 + 90_000) == 10**18 + 10**9


def test_a_receiver_report_contains_the_losses() -> None:
    state = ReceptionState(90_000)
    state.restart(7, 65_530)
    state.packets = 15
    state.report = SenderReport(7, 0, 0, 0xABCD)
    state.report_received_ns = 1_000_000_000
    block = state.report_block((65_530 + 20) & 0xFFFF, 3_000_000_000)
    ssrc, lost, highest, _jitter, last, delay = struct.unpack(">IIIIII", block)
    assert (ssrc, last, delay) == (7, 0xABCD, 2 * 65_536)
    assert (lost >> 24, lost & 0xFF_FFFF) == (256 * 5 // 20, 5)
    assert highest == 65_530 + 19
    state.packets += 10
    _, lost, *_ = struct.unpack(">IIIIII", state.report_block((65_530 + 30) & 0xFFFF, 4_000_000_000))
    assert (lost >> 24, lost & 0xFF_FFFF) == (0, 5)
    compound = receiver_report(1, block)
    assert compound[1] == 201 and len(compound) % 4 == 0 and b"ninjacam" in compound


def jpeg_payload(offset: int, data: bytes, *, kind: int = 1, quality: int = 50, extra: bytes = b"") -> bytes:
    return bytes([0]) + offset.to_bytes(3, "big") + bytes([kind, quality, 8, 6]) + extra + data


def push(depacketizer: object, payload: bytes, pts: int, *, marker: bool) -> None:
    depacketizer.push(memoryview(payload), 0, len(payload), pts, marker, 1)  # type: ignore[attr-defined]


def test_a_jpeg_is_rebuilt_from_its_scan() -> None:
    sink, stats = Sink(), SourceStats()
    depacketizer = JpegDepacketizer(sink, stats, TrackClock(90_000))
    push(depacketizer, jpeg_payload(0, b"abcd"), 0, marker=False)
    push(depacketizer, jpeg_payload(4, b"efgh"), 0, marker=True)
    assert not sink.packets  # the marker may be on each packet
    push(depacketizer, jpeg_payload(0, b"ijkl"), 9, marker=False)
    (packet,) = sink.packets
    assert jpeg_size(packet.data) == (64, 48)
    assert packet.data.endswith(b"abcdefgh\xff\xd9")
    assert packet.flags == Flags.KEY | Flags.CONFIG
    assert quantization_tables(50)[:3] == bytes((16, 11, 12)) and len(quantization_tables(99)) == 128


def test_a_jpeg_uses_its_own_tables_and_restart_interval() -> None:
    sink, stats = Sink(), SourceStats()
    depacketizer = JpegDepacketizer(sink, stats, TrackClock(90_000))
    tables = bytes(range(1, 129))
    dynamic = b"\x00\x04\xff\xff" + b"\x00\x00" + (128).to_bytes(2, "big") + tables
    push(depacketizer, jpeg_payload(0, b"abcd", kind=65, quality=200, extra=dynamic), 0, marker=True)
    remembered = b"\x00\x04\xff\xff" + bytes(4)
    push(depacketizer, jpeg_payload(0, b"efgh", kind=65, quality=200, extra=remembered), 9, marker=True)
    push(depacketizer, jpeg_payload(0, b"ijkl"), 18, marker=False)
    first, second = sink.data
    assert tables[:64] in first and tables[64:] in second
    assert b"\xff\xdd\x00\x04\x00\x04" in first


def test_a_jpeg_with_a_missing_part_is_dropped() -> None:
    sink, stats = Sink(), SourceStats()
    depacketizer = JpegDepacketizer(sink, stats, TrackClock(90_000))
    push(depacketizer, jpeg_payload(0, b"abcd"), 0, marker=True)
    push(depacketizer, jpeg_payload(0, b"abcd"), 9, marker=False)
    push(depacketizer, jpeg_payload(8, b"ijkl"), 9, marker=True)
    push(depacketizer, jpeg_payload(0, b"mnop"), 18, marker=True)
    assert stats.access_units_dropped == 1 and len(sink.packets) == 2
    assert sink.packets[1].flags & Flags.DISCONT


def test_aac_frames_are_split_and_reassembled() -> None:
    sink, stats = Sink(), SourceStats()
    depacketizer = AacDepacketizer(48_000, sink, stats, TrackClock(48_000))
    two = b"\x00\x20" + (3 << 3).to_bytes(2, "big") + (4 << 3).to_bytes(2, "big") + b"abcdefg"
    push(depacketizer, two, 5000, marker=True)
    head = b"\x00\x10" + (6 << 3).to_bytes(2, "big")
    push(depacketizer, head + b"uvw", 9000, marker=False)
    push(depacketizer, head + b"xyz", 9000, marker=True)
    push(depacketizer, b"\x00\x20" + bytes(4), 9999, marker=True)
    assert sink.data == [b"abc", b"defg", b"uvwxyz"]
    assert [packet.pts for packet in sink.packets] == [5000, 6024, 9000]


def test_g711_is_accepted_unchanged() -> None:
    sink = Sink()
    depacketizer = AudioDepacketizer(Codec.PCMA, 8000, 1, sink, SourceStats(), TrackClock(8000))
    push(depacketizer, bytes(160), 0, marker=False)
    assert sink.packets[0].duration == 160 and sink.packets[0].time_base_hz == 8000


VPS5 = bytes.fromhex("40010c01ffff016000000300900000030000030078ba0240")
SPS5 = bytes.fromhex("420101016000000300900000030000030078a003c0801107cb96e92930bc05a020000003002000000303c1")
PPS5 = bytes.fromhex("4401c073c189")
IDR5 = b"\x26\x01\xaf" + bytes(range(1, 90))


@pytest.mark.parametrize("donl", [False, True])
def test_h265_aggregates_and_fragments_are_unpacked(donl: bool) -> None:
    sink = Sink()
    sets = ParameterSetCache(Codec.H265)
    depacketizer = H265Depacketizer(sets, sink, SourceStats(), TrackClock(90_000), has_donl=donl)
    order = b"\x00\x01" if donl else b""
    step = b"\x00" if donl else b""
    aggregate = (
        b"\x60\x01" + order + step.join(len(nal).to_bytes(2, "big") + nal for nal in (VPS5, SPS5, PPS5))
    )
    push(depacketizer, aggregate, 0, marker=False)
    body = IDR5[2:]
    push(depacketizer, b"\x62\x01\x93" + order + body[:30], 0, marker=False)
    push(depacketizer, b"\x62\x01\x13" + body[30:60], 0, marker=False)
    push(depacketizer, b"\x62\x01\x53" + body[60:], 0, marker=True)
    depacketizer.settle(10**10)
    (packet,) = sink.packets
    assert packet.data == b"".join(START_CODE + nal for nal in (VPS5, SPS5, PPS5, IDR5))
    assert packet.is_key and (packet.width_px, packet.height_px) == (1920, 1080)


def test_a_login_is_sent_only_to_the_same_host_and_never_from_tls_to_clear_text() -> None:
    clear, tls = parse_url("http://c/x"), parse_url("https://c/x")
    assert carries_login(clear, clear) and carries_login(tls, tls) and carries_login(clear, tls)
    assert not carries_login(tls, clear) and not carries_login(clear, parse_url("http://d/x"))


def test_a_password_is_bound_to_its_host_and_protection() -> None:
    assert binding_of("RTSPS://User:x@Cam/a?b", verify_tls=True) == "rtsps://cam:322 verified"
    assert binding_of("rtsps://cam:322/other", verify_tls=False) == "rtsps://cam:322 unverified"
    for verify_tls in (True, False):  # without TLS there is nothing to verify
        assert binding_of("rtsp://[::1]/a", verify_tls=verify_tls) == "rtsp://[::1]:554"
        assert binding_of("v4l2:///dev/video0", verify_tls=verify_tls) == "v4l2"
