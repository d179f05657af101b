"""The parsers of text and files, each as a function of one malformed input.

Each raises only its own typed errors, which are caught here, and then still reads a valid input. Parsers of RTP media
are in `tests/trials/test_fuzz_media.py`.
"""

import asyncio
import atexit
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ninjacam.capture.timeline import PacketClock
from ninjacam.codecs.bitstream import annexb_from_config
from ninjacam.codecs.sps import parse_sps
from ninjacam.containers.mp4 import encode_emsg
from ninjacam.core.errors import (
    CommandError,
    ConfigError,
    DecodeError,
    NinjacamError,
    SourceEndedError,
    SourceError,
)
from ninjacam.core.packets import Codec, Flags, Kind, Packet, Track
from ninjacam.core.streams import MAX_STREAMS
from ninjacam.devices import axis, dahua
from ninjacam.devices.advice import advise_encoder
from ninjacam.devices.description import VideoProfile, name_streams
from ninjacam.devices.http_device import MAX_PRESETS
from ninjacam.discovery import http, mdns, neighbours, ssdp, ws_discovery
from ninjacam.discovery.devices import Evidence, FoundDevice
from ninjacam.hub.wire import MessageReader, encode_packet
from ninjacam.onvif import device, imaging, lamp, media, ptz, recordings
from ninjacam.onvif.client import OnvifClient, _date_time
from ninjacam.onvif.events import read_event
from ninjacam.onvif.soap import make_envelope, read_response
from ninjacam.recordings.annotations import _parse_emsg, _place
from ninjacam.recordings.reader import _read
from ninjacam.recordings.repair import repair_file
from ninjacam.sources.auth import Authenticator
from ninjacam.sources.base import SourceConfig, SourceStats
from ninjacam.sources.browser.messages import AUDIO, VIDEO, FrameReader, frame, parse_claim, parse_tag
from ninjacam.sources.ffmpeg_http import check_playlist
from ninjacam.sources.jpeg_images import JpegImages
from ninjacam.sources.multipart import MAX_IMAGE_BYTES, Dechunker, JpegParser, boundary_of
from ninjacam.sources.registry import check_url
from ninjacam.sources.rtmp.amf import read_values, write_values
from ninjacam.sources.rtmp.chunks import ChunkReader, MessageType, write_control, write_message
from ninjacam.sources.rtmp.media import FlvMedia
from ninjacam.sources.rtsp.back_channel import choose_format
from ninjacam.sources.rtsp.connection import RtspConnection
from ninjacam.sources.rtsp.jpeg import jfif_header, parse_extension
from ninjacam.sources.rtsp.messages import parse_head
from ninjacam.sources.rtsp.rtcp import parse_rtcp
from ninjacam.sources.rtsp.sdp import parse_sdp, sprop_annexb
from ninjacam.sources.rtsp.tracks import choose_tracks
from ninjacam.sources.transport_stream import PACKET_BYTES, packets_in_datagram
from ninjacam.sources.urls import control_uris, parse_url, redirect_target
from ninjacam.testing.clock import FakeClock
from ninjacam.testing.packets import H264_PPS, h264_sps
from tests.unit.discovery.messages import ARP, DESCRIPTION, MDNS, PROBE_MATCHES, SENDER, SSDP
from tests.unit.discovery.messages import PAGE as DISCOVERED_PAGE
from tests.unit.recordings.recording_support import Recorded, encoded, stamped
from tests.unit.sources.phone_support import AAC_CONFIG, AAC_FRAME, KEY_FRAME, MU_LAW, tag
from tests.unit.sources.phone_support import AVCC as AVCC_TAG
from tests.unit.sources.rtp_support import SPS, Sink, interleaved, rtp
from tests.unit.sources.test_multipart import HEAD, PICTURES
from tests.unit.sources.test_rtsp_parts import SDP, SPS5

STAMP = struct.Struct(">qI")
"""The camera's timestamp in ticks, and the microseconds since the previous packet."""
_scratch = tempfile.TemporaryDirectory(
    prefix="ninjacam-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None
)
SCRATCH = Path(_scratch.name)
PART = HEAD.format(length=len(PICTURES[0])).encode()
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
TARGET = parse_url("http://camera:8080/a/b?c=d")


@dataclass(frozen=True)
class Parser:
    """`pieces`: a valid input. `read`: parses a malformed one, and returns whether it was readable."""

    pieces: list[bytes]
    read: Callable[[bytes], bool]


def rtmp_pieces() -> list[bytes]:
    sps, pps = h264_sps(640, 360), H264_PPS
    avcc = (
        b"\x01"
        + sps[1:4]
        + b"\xff\xe1"
        + struct.pack(">H", len(sps))
        + sps
        + b"\x01"
        + struct.pack(">H", len(pps))
        + pps
    )
    frame = struct.pack(">I", 5) + b"\x65\x88\x84\x00\x10"
    video = [b"\x17\x00\0\0\0" + avcc, b"\x17\x01\0\0\0" + frame, b"\x90avc1" + avcc, b"\x93avc1" + frame]
    audio = [b"\xaf\x00\x12\x10", b"\xaf\x01abc", b"\x72abc"]
    command = write_values("connect", 1, {"app": "publish"})
    return [
        write_control(MessageType.SET_CHUNK_SIZE, 64),
        write_message(MessageType.COMMAND, command),
        *(write_message(MessageType.VIDEO, data, chunk_stream=6, stream_id=1) for data in video),
        *(write_message(MessageType.AUDIO, data, chunk_stream=4, stream_id=1) for data in audio),
    ]


def lines(text: bytes) -> list[bytes]:
    return text.splitlines(keepends=True)


def read_multipart(data: bytes) -> bool:
    parser = JpegParser(b"--foo")
    pictures = JpegImages(Sink(), SourceStats())
    try:
        for at in range(0, len(data), 97):
            for picture in parser.feed(data[at : at + 97]):
                pictures.push_unit(picture, at, at)
                assert not picture or (picture[:2], picture[-2:]) == (b"\xff\xd8", b"\xff\xd9")
            assert len(parser._buffer) <= MAX_IMAGE_BYTES
        # The open part may be in a segment of apparently 64 KB.
        rest = parser.feed(b"\0" * 66_000 + PART + PICTURES[1] + b"\r\n" + PART + PICTURES[2])
    except SourceError:
        return False
    assert rest[-1] == PICTURES[2]
    return True


def read_rtmp(data: bytes) -> bool:
    """Chunks, commands, and FLV tags."""
    reader, media = ChunkReader(), FlvMedia(lambda _: None, SourceStats())
    try:
        for at in range(0, len(data), 211):
            for message in reader.feed(data[at : at + 211]):
                if message.kind == MessageType.VIDEO:
                    media.take_video(message.data, message.timestamp_ms, at)
                elif message.kind == MessageType.AUDIO:
                    media.take_audio(message.data, message.timestamp_ms, at)
                else:
                    read_values(message.data)
    except SourceError:
        return False
    return True


def page_pieces() -> list[bytes]:
    """Return the messages of a publishing page that a web worker relays."""
    video, audio = (AVCC_TAG, KEY_FRAME, KEY_FRAME), (MU_LAW, AAC_CONFIG, AAC_FRAME)
    messages = [tag(VIDEO, 40 * n, data) for n, data in enumerate(video)]
    messages += [tag(AUDIO, 40 * n, data) for n, data in enumerate(audio)]
    return [frame(b'{"key": "%s"}' % (b"a" * 64)), *map(frame, messages)]


def read_page(data: bytes) -> bool:
    """Read the claim and the tags of a publishing page."""
    reader, media = FrameReader(), FlvMedia(lambda _: None, SourceStats())
    is_admitted, count = False, 0
    try:
        for at in range(0, len(data), 101):
            for message in reader.feed(data[at : at + 101]):
                if not is_admitted:
                    parse_claim(message)
                    is_admitted = True
                    continue
                found = parse_tag(message)
                take = media.take_video if found.kind == VIDEO else media.take_audio
                take(found.data, found.timestamp_ms, at)
                count += 1
    except SourceError:
        return False
    assert len(reader._rest) <= len(data)
    return count > 0


def read_chunks(data: bytes) -> bool:
    dechunker = Dechunker()
    try:
        plain = b"".join(dechunker.feed(data[at : at + 50]) for at in range(0, len(data), 50))
    except SourceError:
        return False
    assert len(plain) <= len(data)
    return True


def read_head(data: bytes) -> bool:
    try:
        message, _ = parse_head(data)
    except SourceError:
        return False
    boundary_of(message.header("content-type"))
    login = Authenticator("user", 'p"w')
    try:
        login.take_challenge(message.headers.get("www-authenticate", []))
        login.header("GET", "/")
        redirect_target(TARGET, message.header("location"), ("http", "https"))
    except SourceError:
        return False
    return True


@cache
def event_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def read_rtsp(data: bytes) -> bool:
    """The byte stream of a session: messages and interleaved packets."""

    async def play() -> bool:
        connection = RtspConnection(FakeClock(), "camera")
        packets = 0

        def take(view: memoryview, start: int, stop: int, end: int, received_ns: int) -> int:
            nonlocal packets
            packets += 1
            assert 4 <= start <= stop <= end <= len(view)
            return stop

        connection.handle(0, take)
        connection.handle(1, take)
        answer = asyncio.ensure_future(connection.request("DESCRIBE", "rtsp://camera/", {}))
        await asyncio.sleep(0)
        for at in range(0, len(data), 151):
            room = connection.get_buffer(-1)
            piece = data[at : at + 151]
            room[: len(piece)] = piece
            connection.buffer_updated(len(piece))
            if connection.ended.done():
                assert isinstance(connection.ended.exception(), SourceError)
                break
        connection.fail(SourceEndedError("The input is over."))
        (outcome,) = await asyncio.gather(answer, return_exceptions=True)
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, SourceError)
            return False
        return outcome.status == 200 and packets > 0

    return event_loop().run_until_complete(play())


def read_jpeg_extension(data: bytes) -> bool:
    extension = parse_extension(int.from_bytes(data[:2], "big"), data[2:])
    made = jfif_header(1, 8, 8, bytes(64), 0, 0, extension)
    assert made.startswith(b"\xff\xd8") and len(made) < 1000 + len(data)
    return bool(extension.frame)


def read_sdp(data: bytes) -> bool:
    try:
        description = parse_sdp(data)
        for media in description.media:
            control_uris("rtsp://camera/a/", "*", TARGET)
            for form in media.formats:
                sprop_annexb(form)
        choose_tracks(description, Sink(), SourceStats(), audio=True)
    except SourceError:
        return False
    return True


def read_back_channel(data: bytes) -> bool:
    try:
        media, audio = choose_format(parse_sdp(data), data)
    except (SourceError, CommandError):
        return False
    control_uris("rtsp://camera/a/", media.control, TARGET)
    assert 8000 <= audio.rate_hz <= 48_000 and 0 <= audio.payload_type < 128
    assert 160 <= audio.packet_samples <= 9600 and audio.channels in (1, 2)
    return True


def read_url(data: bytes) -> bool:
    try:
        parse_url(data.decode("latin-1"))
    except ConfigError:
        return False
    return True


def read_source_url(data: bytes) -> bool:
    try:
        check_url(data.decode("latin-1"))
    except (ConfigError, SourceError):
        return False
    return True


def read_datagram(data: bytes) -> bool:
    packets = packets_in_datagram(data)
    assert len(packets) % PACKET_BYTES == 0 and packets in data
    return bool(packets)


def read_rtcp(data: bytes) -> bool:
    return parse_rtcp(data)[0] is not None


def read_playlist(data: bytes) -> bool:
    try:
        check_playlist(data)
    except SourceError:
        return False
    return True


def read_sps(data: bytes) -> bool:
    readable = False
    for codec in (Codec.H264, Codec.H265):
        try:
            parse_sps(codec, data)
        except DecodeError:
            continue
        readable = True
    return readable


def read_wire(data: bytes) -> bool:
    messages: list[Any] = []
    reader = MessageReader(messages.append)
    try:
        while data:
            room = reader.get_buffer()
            piece = data[: min(len(room), 60)]
            room[: len(piece)] = piece
            reader.received(len(piece))
            data = data[len(piece) :]
    except SourceError:
        return False
    return bool(messages)


def chunk(part: bytes) -> bytes:
    return b"%x;x=1\r\n%s\r\n" % (len(part), part)


def recorded_boxes() -> list[bytes]:
    """Return a recorded file: three fragments with annotations. The frames are short because no parser reads them."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorded(Path(folder), tracks=(Track(Kind.VIDEO, Codec.H264),))
        (path,) = recorder.feed(stamped(encoded(Codec.H264, 12, gop=4))).close()
        boxes = list(nested_boxes(path.read_bytes()))
    first, last = (
        next(at for at, box in enumerate(boxes) if box[4:8] == kind) for kind in (b"prft", b"mdat")
    )
    fragment = [*boxes[first:last], b"\0\0\0\x10mdatpictures", encode_emsg(1, 90_000, 3600, SEEN[0] + b"\n")]
    return boxes[:first] + 3 * fragment


def nested_boxes(data: bytes) -> Iterator[bytes]:
    """Yield the boxes in `data`. A container yields its header and then its children."""
    while data:
        size = int.from_bytes(data[:4], "big")
        if data[4:8] in CONTAINERS:
            yield data[:8]
            yield from nested_boxes(data[8:size])
        else:
            yield data[:size]
        data = data[size:]


def read_mp4(data: bytes) -> bool:
    descriptor = os.memfd_create("recording")
    try:
        os.write(descriptor, data)
        recording = _read(descriptor)
    except DecodeError:
        return False
    finally:
        os.close(descriptor)
    assert recording.size_bytes <= len(data)
    return bool(recording.fragments)


def read_repair(data: bytes) -> bool:
    """Repair after a crash: the file is unchanged, truncated to its complete fragments, or deleted."""
    path = SCRATCH / "torn.mp4"
    path.write_bytes(data)
    try:
        repair_file(path)
    except DecodeError:
        assert path.read_bytes() == data
        return False
    if not path.exists():
        return False
    left = path.read_bytes()
    assert data.startswith(left)
    assert not repair_file(path), "once repaired, nothing is wrong any more"
    return bool(left)


def read_annotation_box(data: bytes) -> bool:
    placed = [_place(line) for line in _parse_emsg(data)]
    assert all(isinstance(captured_us, int) and isinstance(view, str) for captured_us, view in placed)
    return any(view for _, view in placed)


def read_soap(data: bytes) -> bool:
    try:
        content = read_response(data)
    except (SourceError, CommandError):
        return False
    profiles = media._profiles(content, "media") + media._profiles(content, "media2")
    assert all(0 <= profile.pixels < 10**18 and profile.name.isprintable() for profile in profiles)
    described = [
        VideoProfile(each.token, each.name, each.source, f"rtsp://10.0.0.5/{each.token}", "", each.encoder)
        for each in profiles
        if each.encoder is not None
    ]
    names = name_streams(described, {"main": "rtsp://10.0.0.5/"})
    assert len(names) <= 1 + MAX_STREAMS and all(
        advise_encoder(each.encoder) is not None for each in described
    )
    imaging.read_imaging(content, content)
    summary = recordings.read_summary(content)
    assert summary is None or 0 <= summary.count <= recordings.MAX_COUNT
    assert len(lamp.read_commands(each.text for each in content.walk())) <= 3
    assert len(media._options("H264", content).sizes) <= 64
    client = OnvifClient(SourceConfig("http://10.0.0.5/"))
    services = client._of_services(content) | client._of_capabilities(content)
    assert all(parse_url(address).host == "10.0.0.5" for address in services.values())
    for element in content.walk():
        read_event(element, 0.0, 10**18)
        device._relay(element)
        _date_time(element)
        assert all(low < high for low, high in ptz._ranges(element).values())
    return True


def read_config(data: bytes) -> bool:
    readable = False
    for codec in (Codec.H264, Codec.H265):
        try:
            _, length_bytes = annexb_from_config(codec, data)
        except DecodeError:
            continue
        assert 0 <= length_bytes <= 4
        readable = True
    return readable


def stamps(data: bytes) -> list[tuple[int, int]]:
    """Return (camera timestamp, monotonic ns) of packets whose arrival times do not decrease."""
    found, now_ns = [], 10**12
    for at in range(0, len(data) - STAMP.size + 1, STAMP.size):
        pts, waited_us = STAMP.unpack_from(data, at)
        now_ns += waited_us * 1000
        found.append((pts, now_ns))
    return found


def read_timeline(data: bytes) -> bool:
    """Decoding times never decrease, for any camera timestamps, and follow a clock that is correct again."""
    clock = FakeClock()
    timeline = PacketClock(clock)
    given = stamps(data)
    last_pts, now_ns = given[-1] if given else (0, 10**12)
    good = [(last_pts + n * 3600, now_ns + n * 40_000_000) for n in range(1, 20)]
    last_dts: int | None = None
    repaired = []
    for pts, received_ns in given + good:
        clock.advance(max(0.0, (received_ns - clock.monotonic_ns()) / 1e9))
        packet = timeline.repair(Packet(Kind.VIDEO, Codec.H264, b"", pts, received_ns))
        dts = packet.pts - packet.dts_offset
        assert last_dts is None or dts >= last_dts
        assert packet.captured_ns >= 0 and packet.duration >= 0
        last_dts = dts
        repaired.append(packet.pts)
    return 0 < repaired[-1] - repaired[-2] < 2 * 90_000


def read_discovery(parse: Callable[[bytes, str], object]) -> Callable[[bytes], bool]:
    """For parsers of `ninjacam.discovery`: their texts are clean, short and on one line."""

    def read(data: bytes) -> bool:
        try:
            found = parse(data, SENDER)
        except NinjacamError:
            return False
        for evidence in found if isinstance(found, list) else [found]:
            if isinstance(evidence, Evidence):
                device = FoundDevice(evidence.address)
                device.add(evidence)
                assert all(
                    value.isprintable() and len(value) <= 200
                    for value in device.as_dict().values()
                    if isinstance(value, str)
                )
        return bool(found)

    return read


def read_presets(data: bytes) -> bool:
    text = data.decode("utf-8", "replace")
    found = [*dahua.parse_presets(text), *axis.parse_presets(text)]
    assert len(found) <= 2 * MAX_PRESETS
    assert all(
        each.name.isprintable() and len(each.name) <= 80 and 0 < len(each.token) <= 64 for each in found
    )
    return bool(found)


def read_neighbours(data: bytes) -> bool:
    found = neighbours.parse_neighbours(data.decode("ascii", "replace"))
    for address, mac in found.items():
        neighbours.evidence_of(address, mac)
    return bool(found)


RTCP = (
    bytes.fromhex("80c80006000000078000000080000000000023280000000100000002"),
    bytes.fromhex("81cb000100000007"),
)
PACKETS = [
    encode_packet(Packet(Kind.VIDEO, Codec.H264, bytes(90), n * 3600, n, flags=Flags.KEY)) for n in range(3)
]
ANSWER = (
    b"HTTP/1.1 401 Unauthorized\r\nCSeq: 2\r\nContent-Length: 12\r\n"
    b'Content-Type: multipart/x-mixed-replace; boundary="foo"\r\n'
    b'WWW-Authenticate: Digest realm="The door", nonce="12ab", qop="auth,auth-int", algorithm=SHA-256\r\n'
    b"WWW-Authenticate: Basic realm=x\r\nLocation: http://u:p@camera:80/a?b\r\nSession: 12;timeout=60\r\n\r\n"
)
SESSION = [
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n",
    b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(SDP),
    SDP,
    *(interleaved([rtp(number, number * 3600, bytes(90), marker=True)]) for number in range(4)),
    b"OPTIONS rtsp://camera/ RTSP/1.0\r\nCSeq: 7\r\n\r\n",
    b"$\1" + len(RTCP[0]).to_bytes(2, "big") + RTCP[0],
    b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nabc",
    interleaved([rtp(4, 4 * 3600, bytes(90), marker=True)]),
]
JPEG_EXTENSION = [
    b"\xff\xd8",
    b"\xff\xff",
    b"\xff\xdb\0\x43\0" + bytes(64),
    b"\xff\xc0\0\x11\x08\1\0\1\0\3\1\x22\0\2\x11\1\3\x11\1",
    b"\xff\xdd\0\4\0\4",
]
BACK_CHANNEL = (
    b"m=audio 0 RTP/AVP 0 97 102\na=rtpmap:97 MPEG4-GENERIC/16000/1\na=rtpmap:102 PCMA/16000\na=ptime:40\n"
    b"a=control:trackID=2\na=sendonly\n"
)
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n#EXTINF:2,\na.ts\n"
SEEN = [
    b'{"captured_us":%d,"view":"edges","annotations":[{"type":"box","points":[[0,0],[1,1]],"track":7,'
    b'"trail":[[0,1]]},{"type":"keypoints","points":[[0,0],null],"edges":[[0,0]]},'
    b'{"type":"mask","points":[[0,0],[1,1]],"size":[2,2],"runs":[1,2,1]}]}' % n
    for n in (1, 2)
]
BOXES = recorded_boxes()
SOAP = make_envelope(
    '<r><t:Profiles xmlns:t="x" token="1"><Name>a&amp;b</Name><VideoEncoderConfiguration token="e"><Encoding>H264'
    "</Encoding><Resolution><Width>640</Width><Height>360</Height></Resolution></VideoEncoderConfiguration>"
    "</t:Profiles>\n<n><Topic>tns1:VideoSource/MotionAlarm</Topic>"
    '<Message><Message UtcTime="2026-01-01T00:00:00Z"><Data><SimpleItem Name="State" Value="true"/></Data></Message>'
    "</Message></n>"
    "<Service><Namespace>http://www.onvif.org/ver20/ptz/wsdl</Namespace><XAddr>http://10.0.0.9/ptz</XAddr></Service>"
    "<PTZNode><SupportedPTZSpaces><ContinuousZoomVelocitySpace><XRange><Min>-1</Min><Max>1</Max></XRange>"
    "</ContinuousZoomVelocitySpace></SupportedPTZSpaces></PTZNode><x><SystemDateAndTime><UTCDateTime>"
    "<Time><Hour>1</Hour><Minute>2</Minute><Second>3</Second></Time>"
    "<Date><Year>2026</Year><Month>1</Month><Day>2</Day></Date></UTCDateTime></SystemDateAndTime></x></r>"
).replace(b">", b">\n")
TRANSPORT = [b"G\x01\0\x10" + bytes(184)] * 3
AVCC = [b"\x01\x64\0\x1f\xff\xe1", len(SPS).to_bytes(2, "big") + SPS, b"\x01\0\x04\x68\xee\x3c\x80"]
PRESETS = (
    b"presets[0].Index=1\r\npresets[0].Name=Gate\r\nPreset Positions for camera 1\r\npresetposno2=Yard\r\n"
)
PARSERS = {
    "multipart": Parser([piece for picture in PICTURES[:3] for piece in (PART, picture, b"\r\n")], read_multipart),
    "rtmp": Parser(rtmp_pieces(), read_rtmp),
    "publishing page": Parser(page_pieces(), read_page),
    "chunks": Parser([chunk(PART), chunk(PICTURES[0]), b"0\r\n\r\n"], read_chunks),
    "head": Parser(lines(ANSWER), read_head),
    "rtsp": Parser(SESSION, read_rtsp),
    "jpeg extension": Parser(JPEG_EXTENSION, read_jpeg_extension),
    "sdp": Parser(lines(SDP), read_sdp),
    "back channel": Parser(lines(SDP + BACK_CHANNEL), read_back_channel),
    "url": Parser([b"rtsp:", b"//", b"u:p@", b"[::1]", b":554", b"/a", b"?b=c"], read_url),
    "http url": Parser([b"http:", b"//", b"[::1]", b":80", b"/a", b"?b=c", b"#interval", b"=0.5"], read_source_url),
    "udp url": Parser([b"udp:", b"//", b"@", b"239.1.2.3", b":1234", b"?sources=", b"10.0.0.1"], read_source_url),
    "datagram": Parser([b"\x91\xa1\0\x01", bytes(8), b"csrc", b"\0\0\0\1extd", *TRANSPORT], read_datagram),
    "rtcp": Parser(list(RTCP), read_rtcp),
    "playlist": Parser(lines(PLAYLIST), read_playlist),
    "h264 sps": Parser([SPS[:4], SPS[4:]], read_sps),
    "h265 sps": Parser([SPS5[:15], SPS5[15:]], read_sps),
    "wire": Parser(PACKETS, read_wire),
    "mp4": Parser(BOXES, read_mp4),
    "repair": Parser(BOXES, read_repair),
    "annotations": Parser([encode_emsg(1, 90_000, 3600, line + b"\n") for line in SEEN], read_annotation_box),
    "avcc": Parser(AVCC, read_config),
    "soap": Parser(lines(SOAP), read_soap),
    "presets": Parser(lines(PRESETS), read_presets),
    "xml": Parser(list(PROBE_MATCHES), read_discovery(ws_discovery.parse_answer)),
    "upnp": Parser(list(DESCRIPTION), read_discovery(ssdp.parse_description)),
    "ssdp": Parser(list(SSDP), read_discovery(ssdp.parse_answer)),
    "dns": Parser(list(MDNS), read_discovery(mdns.parse_answer)),
    "page": Parser(list(DISCOVERED_PAGE), read_discovery(lambda data, _: http.parse_page(data))),
    "neighbours": Parser(list(ARP), read_neighbours),
    "timeline": Parser([STAMP.pack(n * 3600, 40_000) for n in range(15)], read_timeline),
}  # fmt: skip
