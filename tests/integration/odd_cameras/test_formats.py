"""Cameras whose SDP does not match their video, or that send it on another channel or track."""

import asyncio
import base64
import re

import pytest

from ninjacam.core.packets import Codec
from ninjacam.testing.clips import Unit
from tests.harness.odd_camera import (
    RTP_HEADER,
    OddCamera,
    OddClient,
    OddRequest,
    Payload,
    interleaved,
    marked_last,
)
from tests.integration.odd_cameras.conftest import Watched
from tests.integration.odd_cameras.test_pictures import ALL, BOTH, SEI, H26xCamera, MarkedSlices, with_markers
from tests.integration.odd_cameras.test_signalling import Realm
from tests.integration.odd_cameras.test_trackers import EncodedCamera, ManySlices

# Formats -----------------------------------------------------------------------------------------------------------


class OtherCodec(H26xCamera):
    """The SDP names H.265 and the camera sends H.264, or vice versa (Ezviz C6N, go2rtc#264).

    This happens when the codec is changed in the camera's settings. `aggregates`: the parameter sets share a packet.
    """

    sdp_sets = False
    aggregates = True

    def sdp(self, request: OddRequest) -> str:
        named = "H264" if self.codec == "hevc" else "H265"
        return re.sub(r"H26[45]/90000", f"{named}/90000", super().sdp(request))

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        if self.aggregates:
            return super().packets(number, unit, timestamp)
        return marked_last([piece for nal in self.nal_units(unit) for piece in self.split(nal)], timestamp)


class SecondFormat(OddCamera):
    """The m= line lists two formats and the camera sends the second one (gortsplib#65).

    `maps`: their rtpmap attributes. `first`: number of pictures that are sent in the first format.
    """

    first = 0
    maps = "a=rtpmap:96 H264/90000\r\na=rtpmap:97 H264/90000\r\n"

    def sdp(self, request: OddRequest) -> str:
        return f"v=0\r\ns=s\r\nt=0 0\r\nm=video 0 RTP/AVP 96 97\r\n{self.maps}a=control:track0\r\n"

    def header(self, sequence: int, timestamp: int, *, marker: bool) -> bytes:
        kind = (96 if timestamp < self.timestamp(self.first) else 97) | (0x80 if marker else 0)
        return RTP_HEADER.pack(0x80, kind, sequence & 0xFFFF, timestamp & 0xFFFF_FFFF, self.ssrc)


class Described(OddCamera):
    """The SDP contains `text` instead of `usual`."""

    usual = "a=rtpmap:96 H264/90000"
    text = ""

    def sdp(self, request: OddRequest) -> str:
        usual = super().sdp(request)
        assert self.usual in usual
        return usual.replace(self.usual, self.text)


class WholeDescription(OddCamera):
    """The SDP is as a camera sent it, with one video.

    Without v= (go2rtc#679); a negative port and raw bytes in c= (Tuya C5, go2rtc#2316); s= in the section of the video
    (AlexxIT/WebRTC#417); an m= line without a number (TP-Link, go2rtc#1278); c=IN alone (go2rtc#1426); a BOM, mixed
    line ends and empty lines (scottlamb/retina#26, #33); "(null)" as format (rtsp-client-android#90); the control of
    the session alone.
    """

    text = b""

    def sdp(self, request: OddRequest) -> str:
        return self.text.decode("utf-8", "surrogateescape")


class ManyFormats(OddCamera):
    """The SDP of Dahua's ONVIF profile: metadata and a back channel with twenty formats (gortsplib#479)."""

    def sdp(self, request: OddRequest) -> str:
        numbers = [*range(116, 107, -1), 97, *range(107, 103, -1), 0, 103, 102, 101, 100, 8]
        maps = "".join(f"a=rtpmap:{number} MPEG4-GENERIC/{number * 100}\r\n" for number in numbers)
        formats = " ".join(map(str, numbers))
        return (
            super().sdp(request)
            + "m=application 0 RTP/AVP 107\r\na=control:track4\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n"
            + f"m=audio 0 RTP/AVP {formats}\r\na=control:track5\r\n{maps}a=sendonly\r\n"
        )

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        assert request.url.endswith("track0"), "metadata or the back channel was set up"
        return await super().on_setup(client, request)


class OnTheChannelOfReports(OddCamera):
    """RTP arrives on the second channel of the pair, which is meant for RTCP. FFmpeg reads both channels alike."""

    def frame(self, client: OddClient, header: bytes, payload: bytes) -> bytes:
        return interleaved(client.channels.get(0, 0) + 1, header + payload)


class TwoVideos(OddCamera):
    """The SDP has two videos. The first one has an unsupported codec, is inactive, or its SETUP is refused."""

    first = "H264/90000"

    def sdp(self, request: OddRequest) -> str:
        other = f"m=video 0 RTP/AVP 98\r\na=rtpmap:98 {self.first}\r\na=control:other\r\n"
        return super().sdp(request).replace("m=video", f"{other}m=video", 1)

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        if request.url.endswith("other"):
            return self.reply(request, "404 Not Found")
        return await super().on_setup(client, request)


class SourceOfEach(OddCamera):
    """Each picture has its own SSRC, which differs from the announced one."""

    def header(self, sequence: int, timestamp: int, *, marker: bool) -> bytes:
        self.ssrc = timestamp
        return super().header(sequence, timestamp, marker=marker)


class SourceInWords(OddCamera):
    """The Transport header's ssrc parameter is not a plain hexadecimal number."""

    form = "0x{:08x}"

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        answer = await super().on_setup(client, request) or b""
        return re.sub(rb"ssrc=\w+", b"ssrc=" + self.form.format(self.ssrc).encode(), answer)


# Pictures ----------------------------------------------------------------------------------------------------------


class SeiBehindEach(H26xCamera):
    """Each H.265 picture is followed by two SEI with the same timestamp, all marked (Tapo C260, mediamtx#6257)."""

    codec = "hevc"

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        sei = b"\x4e\x01" + SEI[1:]
        parts = [*self.nal_units(unit), sei, sei]
        return with_markers(self, parts, set(range(len(parts) - 3, len(parts))), timestamp)


class CutSps(H26xCamera):
    """The SPS is truncated within the VUI (h264-converter#13, sps-parser#1, OvenMediaEngine#680)."""

    sdp_sets = False
    cut_bytes = 2

    def nal_units(self, unit: Unit) -> list[bytes]:
        return [nal[: -self.cut_bytes] if nal[0] & 31 == 7 else nal for nal in super().nal_units(unit)]

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        return marked_last([piece for nal in self.nal_units(unit) for piece in self.split(nal)], timestamp)


class TemporalLayers(MarkedSlices):
    """A prefix NAL unit (type 14) precedes each slice, as scalable encoders write it."""

    def nal_units(self, unit: Unit) -> list[bytes]:
        prefix = b"\x6e\x40\x80\x07"
        return [
            part
            for nal in super().nal_units(unit)
            for part in ((prefix, nal) if self.is_slice(nal) else (nal,))
        ]


class ReorderedSlices(ManySlices):
    """B-frames consist of four slices, each with the marker."""

    parameters = "keyint=25:slices=4:bframes=2:b-adapt=0"
    bframes = 2


class CleanRandomAccess(EncodedCamera):
    """H.265 key frames that are not IDR pictures.

    Some pictures that follow them in decoding order precede them in output order.
    """

    encoder = "libx265"
    parameters = "keyint=25:bframes=2:b-adapt=0:open-gop=1:log-level=none"
    bframes = 2


class OnePacketForEach(H26xCamera):
    """All NAL units of a picture, including slices, are in one aggregation packet."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        head = b"\x78" if self.video is Codec.H264 else b"\x60\x01"
        nals = self.nal_units(unit)
        return [(head + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals), True, timestamp)]


class OneTimeForAll(OddCamera):
    """All pictures have the same timestamp, with and without markers."""

    marked = True

    def timestamp(self, number: int) -> int:
        return 3_000_000

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        made = super().packets(number, unit, timestamp)
        return [(payload, marker and self.marked, at) for payload, marker, at in made]


# Answers -----------------------------------------------------------------------------------------------------------


class Bodies(OddCamera):
    """All responses have a body that resembles a packet and a response."""

    async def answer(self, client: OddClient, request: OddRequest) -> bytes | None:
        answer = await super().answer(client, request)
        if answer is None or request.method == "DESCRIBE":
            return answer
        body = b"<html>$\0\0\4 RTSP/1.0 200 OK</html>\r\n"
        return answer.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(body)) + body


class AnswersTwice(OddCamera):
    """Basic challenges without a realm, with an empty one, and with two."""

    async def answer(self, client: OddClient, request: OddRequest) -> bytes | None:
        answer = await super().answer(client, request)
        return answer and answer + answer


class Basic(OddCamera):
    """Basic challenges without a realm, with an empty one, and with two."""

    challenge = "Basic"

    def url(self, user: str = "") -> str:
        return super().url(user or "admin:secret@")

    def login(self, client: OddClient, request: OddRequest) -> bytes | None:
        right = "Basic " + base64.b64encode(b"admin:secret").decode()
        if request.headers.get("authorization") == right:
            return None
        return self.reply(request, "401 Unauthorized", f"WWW-Authenticate: {self.challenge}")


class AsksNobody(Realm):
    """OPTIONS is refused without a challenge. The other requests are challenged as usual."""

    refusal = "401 Unauthorized"

    def login(self, client: OddClient, request: OddRequest) -> bytes | None:
        if request.method == "OPTIONS":
            return self.reply(request, self.refusal)
        return super().login(client, request)


class ByteByByte(OddCamera):
    """Responses are sent byte by byte, and packets are split within their headers."""

    fps = 25

    async def answer(self, client: OddClient, request: OddRequest) -> bytes | None:
        for byte in await super().answer(client, request) or b"":
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        return None

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        for at, piece in enumerate((out[:3], out[3:7], out[7:1001], out[1001:])):
            asyncio.get_running_loop().call_later(0.003 * at, client.send, piece)


class AnswersPlayLate(OddCamera):
    """The URL contains a password without percent-encoding."""

    async def on_play(self, client: OddClient, request: OddRequest) -> bytes | None:
        await asyncio.sleep(3)
        return await super().on_play(client, request)


class Password(Realm):
    """The URL contains a password without percent-encoding."""

    def __init__(self, password: str) -> None:
        super().__init__(password, password=password, login_in_url=f"admin:{password}@")


SECTION = b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track0\r\n"
DESCRIPTIONS = {
    "without v=": SECTION,
    "negative port, raw bytes": b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=x\r\nt=0 0\r\nm=video -1353744643 RTP/AVP 96\r\n"
    b"c=IN IP4 '&\xfe\xff\0\x80\r\na=rtpmap:96 H264/90000\r\na=control:track0\r\n",
    "s= in the section": b"v=0\ns=R\ni=live\nt=0 0\na=control:*\n"
    + SECTION.replace(b"\r\n", b"\n").replace(
        b"a=rtpmap", b"c=IN IP4 0.0.0.0\ns=R\ni=live\na=range:npt=0-\na=rtpmap"
    ),
    "m= without a number": b"v=0\ns=s\nt=0 0\nm=application/MERCURY 0 RTP/AVP smart/1/90000\n"
    b"a=rtpmap:95 MERCURY/90000\na=control:track3\nm=vana 0 RTP/AVP 108\n"
    b"a=rtpmap:108 video.analysis/90000/500\na=control:track5\n" + SECTION,
    "c=IN": b"v=0\r\no=- 1001 1 IN\r\ns=V\r\n"
    + SECTION
    + b"c=IN\r\na=recvonly\r\nm=application 0 RTP/AVP 107\r\n"
    b"c=IN\r\na=control:x\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=fmtp:107 DecoderTag=h3c-v3 RTCP=0\r\n",
    "BOM and mixed line ends": b"\xef\xbb\xbfv=0\no=- 1 1 IN IP4 1.2.3.4\r\na=x\ns=x\na=control:*\r\n\r\n"
    + SECTION.replace(b"96\r\na", b"96\na").replace(b"90000", b"90000   ")
    + b"a=fmtp:96\n\0\0",
    "format (null)": b"v=0\r\ns=x\r\n"
    + SECTION
    + b"m=audio 0 RTP/AVP (null)\r\nc=IN IP4 0.0.0.0\r\na=rtpmap\r\n"
    b"a=control:track=2\r\n",
    "control of the session alone": b"v=0\r\ns=x\r\na=control:track0\r\n"
    + SECTION.replace(b"a=control:track0\r\n", b""),
}
CAMERAS = [
    *(WholeDescription(name, text=text) for name, text in DESCRIPTIONS.items()),
    OtherCodec("H.264"),
    OtherCodec("H.264, single sets", aggregates=False),
    OtherCodec("H.265", codec="hevc"),
    OtherCodec("H.265, single sets", codec="hevc", aggregates=False),
    SecondFormat("same codec"),
    SecondFormat("other codec", maps="a=rtpmap:96 H265/90000\r\na=rtpmap:97 H264/90000\r\n"),
    SecondFormat("from the second key frame on", first=25),
    SecondFormat("first without rtpmap", maps="a=rtpmap:97 H264/90000\r\n"),
    *(
        Described(text, text=f"a=rtpmap:96 {text}")
        for text in ("h264/90000", "H264", "H264/90000/1", "H.264/90000", '"H264"/90000', "AVC/90000", "X-H264/90000",
                     "H264-SVC/90000")
    ),
    Described("no rtpmap", text="a=x:y"),
    Described("another number", text="a=rtpmap:99 H264/90000"),
    Described("tab", text="a=rtpmap:96\tH264/90000"),
    Described("attribute in upper case", text="A=RTPMAP:96 H264/90000"),
    Described("AVPF", usual="RTP/AVP", text="RTP/AVPF"),
    Described("port and number", usual="m=video 0 ", text="m=video 0/2 "),
    Described("Video", usual="m=video", text="m=Video"),
    Described("no port", usual="m=video 0 RTP/AVP 96", text="m=video RTP/AVP 96"),
    ManyFormats(),
    TwoVideos("unreadable", first="MP4V-ES/90000"),
    TwoVideos("refused"),
    TwoVideos("inactive", first="H264/90000\r\na=inactive"),
    SourceOfEach(),
    *(SourceInWords(form, form=form) for form in ("0x{:08x}", "{:d}", " {:x} ", "{:x},RTP/AVP")),
    *(OnePacketForEach(codec, codec=codec) for codec in BOTH),
    *(OneTimeForAll(codec, codec=codec) for codec in ALL),
    *(OneTimeForAll(f"{codec} without markers", codec=codec, marked=False) for codec in ALL),
    AsksNobody("401"),
    AsksNobody("403", refusal="403 Forbidden"),
    ByteByByte(),
    AnswersPlayLate(),
    OnTheChannelOfReports(),
    SeiBehindEach(),
    *(CutSps(f"by {count}", cut_bytes=count) for count in (1, 2, 4, 6)),
    TemporalLayers(),
    ReorderedSlices(),
    CleanRandomAccess(),
    Bodies(),
    AnswersTwice(),
    *(Basic(text, challenge=text) for text in ("Basic", "basic realm=", 'Basic realm="a", Basic realm="b"')),
    *(Password(text) for text in ("p/w", "p#w", "p?w", "p[w", "p%w", "p%2w", "a@b", "a:b@c/d?e#f", "1/2:3")),
]  # fmt: skip


@pytest.mark.parametrize("camera", CAMERAS, ids=repr)
def test_unusual_messages_lose_no_frame(camera: OddCamera, watched: Watched) -> None:
    seen = watched(camera)
    seen.assert_whole()
    if not isinstance(camera, ReorderedSlices | CleanRandomAccess | SourceOfEach):
        assert seen.decoded.stamps[0] == 0, "the first picture was lost"
    codec = getattr(camera, "encoder", camera.codec).replace("libx264", "h264").replace("libx265", "hevc")
    assert seen.status["codec"] == codec
