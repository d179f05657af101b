"""Cameras with odd timestamps, sequence numbers, SSRCs, framing, audio, parameter sets, or picture intervals."""

import asyncio
import base64
import json
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from ninjacam.codecs.bitstream import parameter_sets
from ninjacam.core.packets import Codec, Packet
from ninjacam.testing import rtp, stamp
from ninjacam.testing.clips import Clip, ClipTrack, Unit
from ninjacam.testing.scenes import SceneOptions, draw_frames
from tests.harness.odd_camera import (
    RTP_HEADER,
    OddCamera,
    OddClient,
    OddHttpCamera,
    OddRequest,
    Payload,
    interleaved,
    marked_last,
    nal_units,
    odd_clip,
    watch,
    whole_or_fragments,
)
from tests.harness.steady_loop import LoopClock, run_steadily
from tests.integration.odd_cameras.conftest import Watched
from tests.integration.odd_cameras.test_pictures import MarkedSlices, OneNalUnitForAll


def wall_error_s(packets: list[Packet]) -> float:
    """Return the largest difference in seconds between capture time and arrival time."""
    zero_ns = time.time_ns() - time.monotonic_ns()
    return max(abs(packet.captured_ns - zero_ns - packet.received_ns) for packet in packets) / 1e9


# Times -------------------------------------------------------------------------------------------------------------


class OddTimes(OddCamera):
    """From PHZ76/RtspServer#53, retina#64, and others. `at`: returns the timestamp of a picture."""

    at: Callable[[int], int] = staticmethod(lambda number: number)

    def timestamp(self, number: int) -> int:
        return self.at(number)


TIMES: dict[str, Callable[[int], int]] = {
    "constant": lambda k: 3_000_000,
    "10 hours forward": lambda k: 3_000_000 + k * 1800 + (k >= 30) * 10 * 3600 * 90_000,
    "an hour back": lambda k: 2_000_000_000 + k * 1800 - (k >= 30) * 3600 * 90_000,
    "backward": lambda k: 2_000_000_000 - k * 1800,
    "from 0": lambda k: k * 1800,
    "wrap": lambda k: 2**32 - 30 * 1800 + k * 1800,
    "pairs": lambda k: 3_000_000 + (k // 2) * 3600,
}


@pytest.mark.parametrize("camera", [OddTimes(name, at=at) for name, at in TIMES.items()], ids=repr)
def test_timestamps_are_repaired_and_no_frame_is_lost(camera: OddCamera, watched: Watched) -> None:
    seen = watched(camera)
    seen.assert_whole()
    decoded = [packet.pts - packet.dts_offset for packet in seen.pictures]
    assert decoded == sorted(decoded)
    took_s = (seen.pictures[-1].received_ns - seen.pictures[0].received_ns) / 1e9
    said_s = (seen.pictures[-1].pts - seen.pictures[0].pts) / 90_000
    assert abs(took_s - said_s) < 1 and wall_error_s(seen.pictures) < 1


class WrongRate(OddCamera):
    """Timestamps follow the nominal frame rate, or are in milliseconds. `step`: ticks between pictures."""

    step = 1800
    enough = 200

    def timestamp(self, number: int) -> int:
        return 3_000_000 + number * self.step


WRONG_RATES = [
    WrongRate("30 of 50 fps", fps=30, enough=150),
    WrongRate("25 % fast", step=2250),
    WrongRate("ms", step=20),
]


@pytest.mark.parametrize("camera", WRONG_RATES, ids=repr)
def test_a_wrong_clock_is_replaced_by_arrival_times(camera: OddCamera, watched: Watched) -> None:
    seen = watched(camera)
    took_s = (seen.pictures[-1].received_ns - seen.pictures[0].received_ns) / 1e9
    said_s = (seen.pictures[-1].pts - seen.pictures[0].pts) / 90_000
    assert abs(took_s - said_s) < 1 and wall_error_s(seen.pictures) < 1.5
    assert seen.status["clock_rate"] is not None, str(seen)
    assert [each["code"] for each in seen.status["notices"]] == ["clock_rate"]


class SenderReports(OddCamera):
    """Sender reports from 1970, with a jump of a day, of an unknown SSRC (Tapo C320WS, retina v0.4.6), or malformed."""

    mode = ""

    def reports(self, number: int) -> bytes:
        wall_s = LoopClock().wall_ns() / 1e9

        def report(ssrc: int, at_s: float, channel: int = 1) -> bytes:
            count = {"packets": number, "octets": number}
            made = rtp.sender_report(ssrc, wall_s=at_s, rtp_time=self.timestamp(number), **count)
            return interleaved(channel, made)

        made = {
            "1970": lambda: report(self.ssrc, number / self.fps),
            "a day's jump": lambda: report(self.ssrc, wall_s + (86_400 if number > 30 else 0)),
            "unknown source": lambda: report(0xFFFF, wall_s - 3),
            "another's goodbye": lambda: interleaved(1, rtp.goodbye(0x7777)),
            "garbage": lambda: (
                interleaved(1, bytes(range(40)) * 3) + interleaved(1, b"") + interleaved(1, b"\x80")
            ),
            "among RTP": lambda: report(self.ssrc, wall_s, 0),
            "NTP 0": lambda: report(self.ssrc, -rtp.NTP_EPOCH_S),
        }
        return made[self.mode]()

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        client.send(out + (self.reports(number) if number % 10 == 3 else b""))


REPORTS = ("1970", "a day's jump", "unknown source", "another's goodbye", "garbage", "among RTP", "NTP 0")


@pytest.mark.parametrize("camera", [SenderReports(mode, mode=mode) for mode in REPORTS], ids=repr)
def test_unusual_sender_reports_change_nothing(camera: OddCamera, watched: Watched) -> None:
    watched(camera).assert_whole()
    assert wall_error_s(watched(camera).pictures) < 1


# Numbers and sources -----------------------------------------------------------------------------------------------


class OddNumbers(OddCamera):
    """`number_of(n)`: the sequence number of the nth packet."""

    number_of: Callable[[int], int] = staticmethod(lambda n: n)

    def header(self, sequence: int, timestamp: int, *, marker: bool) -> bytes:
        return super().header(self.number_of(sequence - self.first_sequence), timestamp, marker=marker)


NUMBERS: dict[str, Callable[[int], int]] = {
    "skips 0 at the wrap": lambda n: 65_436 + n + (n >= 100),  # ExoPlayer#9697
    "restarts": lambda n: n % 97,
    "restarts far away": lambda n: n + (n // 150) * 30_000,
}


@pytest.mark.parametrize(
    "camera",
    [OddNumbers(name, number_of=at) for name, at in NUMBERS.items()],
    ids=repr,
)
def test_unusual_sequence_numbers_over_tcp_lose_no_frame(camera: OddCamera, watched: Watched) -> None:
    watched(camera).assert_whole()
    assert not watched(camera).dropped


class OtherTypesBetween(OddCamera):
    """Packets of payload type 50 with the previous packet's sequence number (GeoVision, RtspClientSharp#98)."""

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        odd = RTP_HEADER.pack(
            0x80, 50, (self.first_sequence + number) & 0xFFFF, self.timestamp(number), self.ssrc
        )
        client.send(out + (interleaved(0, odd + b"ptz" * 9) if number % 3 == 0 else b""))


class Twice(OddCamera):
    """Each packet is sent twice."""

    def frame(self, client: OddClient, header: bytes, payload: bytes) -> bytes:
        return super().frame(client, header, payload) * 2


class OtherSourceFirst(OddCamera):
    """The first packets have another SSRC than later ones (scottlamb/retina#79)."""

    count = 1

    def start_media(self, client: OddClient) -> None:
        for number in range(self.count):
            header = RTP_HEADER.pack(0x80, 96, 7 + number, 1234, 0xA0C6)
            client.send(self.frame(client, header, b"\x41\x9a" + bytes(200)))
        super().start_media(client)


class StaleSession(OddCamera):
    """Packets of an ended session continue in the new connection (Reolink, scottlamb/retina#17)."""

    stale = 40_000

    async def on_play(self, client: OddClient, request: OddRequest) -> bytes | None:
        info = f"RTP-Info: url=rtsp://x/track0;seq={self.first_sequence};rtptime={self.timestamp(0)}"
        return self.reply(request, "200 OK", f"Session: {self.session}", info)

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        unit = self.clip.video.units[(number + 20) % self.clip.frames]
        old = b""
        for payload, marker, at in self.packets(number, unit, 777_000_000 + number * 1800):
            header = RTP_HEADER.pack(0x80, 96 | marker << 7, self.stale & 0xFFFF, at, 0xDEAD0001)
            old += self.frame(client, header, payload)
            self.stale += 1
        client.send(old + out)


class NotAsAnnounced(OddCamera):
    """The packets have another SSRC than SETUP announces, or another payload type than the SDP."""

    sent_ssrc = 0x77
    sent_type = 96

    def header(self, sequence: int, timestamp: int, *, marker: bool) -> bytes:
        kind = self.sent_type | (0x80 if marker else 0)
        return RTP_HEADER.pack(0x80, kind, sequence & 0xFFFF, timestamp & 0xFFFF_FFFF, self.sent_ssrc)


class NewSource(OddCamera):
    """The SSRC, the sequence numbers and the timestamps change in the middle, as when an encoder restarts."""

    enough = 100

    def header(self, sequence: int, timestamp: int, *, marker: bool) -> bytes:
        if timestamp - 3_000_000 < 30 * 1800:
            return super().header(sequence, timestamp, marker=marker)
        return RTP_HEADER.pack(0x80, 96 | marker << 7, sequence + 9000 & 0xFFFF, timestamp + 10**8, 0x99)


SOURCES = [
    OtherTypesBetween(),
    Twice(),
    OtherSourceFirst(),
    OtherSourceFirst("5 packets", count=5),
    StaleSession(),
    NotAsAnnounced("SSRC"),
    NotAsAnnounced("payload type", sent_ssrc=OddCamera.ssrc, sent_type=35),
    NewSource(),
]


@pytest.mark.parametrize("camera", SOURCES, ids=repr)
def test_exactly_the_right_packets_are_accepted(camera: OddCamera, watched: Watched) -> None:
    watched(camera).assert_whole()


# Framing -----------------------------------------------------------------------------------------------------------


class Framing(OddCamera):
    """CR LF before packets (retina v0.3.8), unknown channels (moonfire-nvr#213), zeros, unsolicited responses."""

    mode = ""

    def frame(self, client: OddClient, header: bytes, payload: bytes) -> bytes:
        framed = super().frame(client, header, payload)
        before = {"CR LF": b"\r\n", "unknown channel": b"$\x09\x00\x10" + bytes(16), "empty": b"$\0\0\0"}
        return before.get(self.mode, b"") + framed

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        if self.mode == "zeros" and number % 20 == 7:
            out += bytes(3)
        if self.mode == "RTP among RTCP":
            out += interleaved(1, RTP_HEADER.pack(0x80, 96, number, 5, self.ssrc) + bytes(20))
        if self.mode == "answers" and number % 20 == 7:
            out += b"RTSP/1.0 200 OK\r\nCSeq: 999\r\n\r\n"
        client.send(out)


class LargePackets(OddCamera):
    """Packets of 10,000 bytes (Tapo, go2rtc)."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        made = [piece for nal in nal_units(unit, drop=(9,)) for piece in whole_or_fragments(nal, 10_000)]
        return marked_last(made, timestamp)


class CutPackets(OddCamera):
    """The rest of a packet is never sent, and the next packet follows at once (old live555, moonfire-nvr#302)."""

    enough = 140

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        if number in (40, 90):
            out = out[:-900] if len(out) > 1000 else out[: len(out) // 2]
        client.send(out)


@pytest.mark.parametrize("camera", [CutPackets()], ids=repr)
def test_a_packet_that_is_cut_off_does_not_end_the_connection(camera: OddCamera, watched: Watched) -> None:
    seen = watched(camera)
    assert len(seen.pictures) >= 140 and not seen.errors and not seen.status["reconnects"], str(seen)
    assert not seen.decoded.errors and seen.disconts >= 2, str(seen)


FRAMINGS = ("CR LF", "unknown channel", "empty", "zeros", "RTP among RTCP", "answers")


@pytest.mark.parametrize(
    "camera", [*(Framing(mode, mode=mode) for mode in FRAMINGS), LargePackets()], ids=repr
)
def test_unusual_framing_loses_no_frame(camera: OddCamera, watched: Watched) -> None:
    watched(camera).assert_whole()


# Parameter sets ----------------------------------------------------------------------------------------------------


class OddSets(OddCamera):
    """From Reolink (retina#102), GW Security, gortsplib, retina v0.4.11.

    `sprop`: maps (SPS, PPS) to the SDP's value; `in_band`: whether picture n contains them; `behind`: bytes after the
    SPS; `padding`: after the aggregation packet.
    """

    sprop: Callable[[bytes, bytes], str] | None = None
    in_band: Callable[[int], bool] = staticmethod(lambda number: True)
    behind = b""
    padding: bytes | None = None

    def sdp(self, request: OddRequest) -> str:
        sets = parameter_sets(Codec.H264, self.clip.video.units[0].data)
        fmtp = "a=fmtp:96 packetization-mode=1;profile-level-id=5046314"
        if self.sprop is not None:
            fmtp += f";sprop-parameter-sets={self.sprop(sets.sps[0], sets.pps[0])}"
        return (
            f"v=0\r\ns=s\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n{fmtp}\r\na=control:track0\r\n"
        )

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        out: list[bytes] = []
        sets = [nal for nal in nal_units(unit) if nal[0] & 31 in (7, 8)] if self.in_band(number) else []
        sets = [nal + self.behind if nal[0] & 31 == 7 else nal for nal in sets]
        if sets and self.padding is not None:
            out.append(b"\x78" + b"".join(len(nal).to_bytes(2, "big") + nal for nal in sets) + self.padding)
            sets = []
        for nal in sets + nal_units(unit, drop=(6, 7, 8, 9)):
            out += whole_or_fragments(nal)
        return marked_last(out, timestamp)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def never(number: int) -> bool:
    return False


def at_first(number: int) -> bool:
    return number == 0


def of_another_size(sps: bytes, pps: bytes) -> str:
    other = odd_clip(SceneOptions(width=640, height=360, seconds=0.2, gop=5))
    sets = parameter_sets(Codec.H264, other.video.units[0].data)
    return b64(sets.sps[0]) + "," + b64(sets.pps[0])


CODE = b"\0\0\0\1"
SETS: dict[str, dict[str, Any]] = {
    "bytes behind": {"behind": b"\x00\x00\x00\x5a\x11\x22"},
    "zeros behind": {"behind": bytes(6)},
    "start code behind": {"sprop": lambda s, p: b64(s + CODE) + "," + b64(p + CODE), "in_band": never},
    "Annex B": {"sprop": lambda s, p: b64(CODE + s + CODE + p), "in_band": never},
    "swapped": {"sprop": lambda s, p: b64(p).rstrip("=") + "," + b64(s).rstrip("="), "in_band": never},
    "spaces": {"sprop": lambda s, p: f"{b64(s)} , {b64(p)} ;", "in_band": never},
    "another size": {"sprop": of_another_size},
    "broken": {"sprop": lambda s, p: "!!!!,Z0I="},
    "SPS alone": {"sprop": lambda s, p: b64(s)},
    "first picture alone": {"in_band": at_first},
    "padding 2": {"padding": b"\0\0"},
    "padding 5": {"padding": bytes(5)},
}


@pytest.mark.parametrize("camera", [OddSets(name, **changes) for name, changes in SETS.items()], ids=repr)
def test_parameter_sets_are_found_wherever_they_are_sent(camera: OddCamera, watched: Watched) -> None:
    watched(camera).assert_whole()
    assert watched(camera).decoded.sizes == {(320, 240)}


class SizeChanges(OddCamera):
    """The parameter sets change in the middle."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        if number >= self.clip.frames // 2:
            other = odd_clip(SceneOptions(width=640, height=360, seconds=2, gop=25, bitrate_bps=800_000))
            unit = other.video.units[number % other.frames]
        return super().packets(number, unit, timestamp)


@pytest.mark.parametrize("camera", [SizeChanges()], ids=repr)
def test_a_change_of_size_loses_no_frame(camera: OddCamera, watched: Watched) -> None:
    watched(camera).assert_whole()
    assert watched(camera).decoded.sizes == {(320, 240), (640, 360)}


# MJPEG -------------------------------------------------------------------------------------------------------------


def jpegs(width: int, height: int, count: int, *, quality: int = 80, restart: int = 0) -> Clip:
    units = []
    for number, image in enumerate(draw_frames(SceneOptions(width=width, height=height, seconds=count / 25))):
        stamp.draw(image, number)
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_RST_INTERVAL, restart]
        units.append(
            Unit(number / 25, number / 25, cv2.imencode(".jpg", image, options)[1].tobytes(), key=True)
        )
    return Clip((ClipTrack(Codec.MJPEG, tuple(units), width_px=width, height_px=height),), count / 25)


class OddJpeg(OddCamera):
    """Variants of RFC 2435.

    `quality`: of the encoder; `said`: Q in the packets (of 128 to 254 only the first picture has the tables, of 255
    each); `tail`: bytes after the scan; `size`: (0, 0) if not in the packets.
    """

    codec = "mjpeg"
    quality = 70
    said = 70
    restart = 0
    tail = b""
    size = (320, 240)
    say_size = True

    @property
    def clip(self) -> Clip:
        key = (*self.size, 10, self.quality, self.restart)
        if key not in _JPEGS:
            _JPEGS[key] = jpegs(*key[:3], quality=self.quality, restart=self.restart)
        return _JPEGS[key]

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        kind, width, height, restart, tables, scan = rtp.parse_jpeg(unit.data)
        scan += self.tail
        if not self.say_size:
            width = height = 0
        out, at = [], 0
        while at < len(scan):
            head = struct.pack(
                "!IBBBB", at, kind + (64 if restart else 0), self.said, width // 8, height // 8
            )
            head += struct.pack("!HH", restart, 0xFFFF) if restart else b""
            if self.said >= 128 and at == 0:
                sent = tables if self.said == 255 or number == 0 else b""
                head += struct.pack("!BBH", 0, 0, len(sent)) + sent
            piece = scan[at : at + (1300 if self.say_size else 8000)]
            out.append(head + piece)
            at += len(piece)
        return marked_last(out, timestamp)


_JPEGS: dict[tuple[int, int, int, int, int], Clip] = {}


class WideJpeg(OddJpeg):
    """Pictures wider than 2040 pixels.

    The size is in a JPEG header extension (ONVIF 5.1.4, SharpRTSP#95), which may follow the replay extension, or in the
    SDP (static type without rtpmap, go2rtc#1278).
    """

    size = (2304, 240)
    said = 255
    say_size = False
    extension: ClassVar[str] = "jpeg"

    def sdp(self, request: OddRequest) -> str:
        wide = f"a=x-dimensions: {self.size[0]}, {self.size[1]}\r\n" if self.extension == "" else ""
        return f"v=0\r\ns=s\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\n{wide}a=control:track0\r\n"

    def frame(self, client: OddClient, header: bytes, payload: bytes) -> bytes:
        if self.extension and payload[1:4] == b"\0\0\0":
            frame = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", self.size[1], self.size[0])
            frame += bytes([3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1])
            frame += b"\xff" * (-len(frame) % 4)
            made = b"\xff\xd8" + struct.pack(">H", len(frame) // 4) + frame
            if self.extension == "replay":
                made = b"\xab\xac" + struct.pack(">H", 3 + len(made) // 4) + bytes(12) + made
            header = bytes([0x90]) + header[1:] + made
        return super().frame(client, header, payload)


JPEGS = [
    OddJpeg("Q 70"),
    OddJpeg("Q 40", quality=40, said=40),
    OddJpeg("restart", restart=4),
    OddJpeg("Q 255", quality=90, said=255),
    OddJpeg("Q 200 once", quality=90, said=200),
    OddJpeg("end and zeros", tail=b"\xff\xd9" + bytes(7)),
    WideJpeg(),
    WideJpeg("behind replay", extension="replay"),
    WideJpeg("SDP", extension=""),
]


@pytest.mark.parametrize("camera", JPEGS, ids=repr)
def test_jpeg_frames_arrive_complete(camera: OddJpeg, watched: Watched) -> None:
    watched(camera).assert_whole()
    assert watched(camera).decoded.sizes == {camera.size}


# Sound -------------------------------------------------------------------------------------------------------------

VIDEO = "v=0\r\ns=s\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track0\r\n"


class OddSound(OddCamera):
    """Audio that has an odd description or is refused. `wanted`: its codec; None: no audio."""

    text = ""
    refusal = ""
    wanted: str | None = None

    def sdp(self, request: OddRequest) -> str:
        return VIDEO + self.text + "a=control:track1\r\n"

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        if self.refusal and request.url.endswith("track1"):
            return self.reply(request, self.refusal)
        return await super().on_setup(client, request)


AAC = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000"
PCMA = "m=audio 0 RTP/AVP 8\r\n"
SOUNDS = [
    OddSound("AAC without config", text=AAC + "/1\r\n", wanted="aac"),
    OddSound("AAC, odd config", text=AAC + "\r\na=fmtp:97 config=140;sizelength=13\r\n", wanted="aac"),
    OddSound(
        "two rtpmaps",  # go2rtc#1426
        text="m=audio 0 RTP/AVP 0\r\na=fmtp:0 RTCP=0\r\na=rtpmap:0 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n",
        wanted="pcm_mulaw",
    ),
    OddSound("PCM/48000", text="m=audio 0 RTP/AVP 11\r\na=rtpmap:11 PCM/48000\r\n"),  # Hikvision
    OddSound("static 8", text=PCMA, wanted="pcm_alaw"),
    OddSound("404", text=PCMA, refusal="404 Not Found"),  # go2rtc#2390
    OddSound("461", text=PCMA, refusal="461 Unsupported Transport"),
]


@pytest.mark.parametrize("camera", SOUNDS, ids=repr)
def test_unusual_audio_does_not_stop_the_video(camera: OddSound, watched: Watched) -> None:
    watched(camera).assert_whole()
    assert watched(camera).status["audio_codec"] == camera.wanted


# Seldom ------------------------------------------------------------------------------------------------------------


class LateKeyFrame(OddCamera):
    """Pictures are sent immediately, the first key frame after 6 s."""

    async def media(self, client: OddClient) -> None:
        sequence, late = self.first_sequence, 6 * 25
        units = self.clip.video.units
        for number in range(10_000):
            unit = units[1 + number % 20] if number < late else units[(number - late) % len(units)]
            out = b""
            for payload, marker, at in self.packets(number, unit, self.timestamp(number)):
                out += self.frame(client, self.header(sequence, at, marker=marker), payload)
                sequence += 1
            client.send(out)
            await asyncio.sleep(0.04)

    fps = 25
    enough = 45
    watch_s = 25.0


@pytest.mark.parametrize("camera", [LateKeyFrame()], ids=repr)
def test_a_late_key_frame_is_awaited(camera: OddCamera, watched: Watched) -> None:
    seen = watched(camera)
    seen.assert_whole()
    assert camera.connections == 1 and seen.status["frames_skipped"] > 100


class JpegEvery6s(OddCamera):
    """MJPEG over RTP, a picture every 6 s."""

    codec = "mjpeg"
    fps = 1 / 6  # type: ignore[assignment]
    enough = 3
    watch_s = 25.0

    def timestamp(self, number: int) -> int:
        return 3_000_000 + number * 6 * 90_000


HTTP_EVERY_6_S = OddHttpCamera("every 6 s", fps=1 / 6, enough=3, watch_s=25.0)


@pytest.mark.parametrize("camera", [JpegEvery6s(), HTTP_EVERY_6_S], ids=repr)
def test_one_frame_every_6_s_is_enough(camera: OddCamera | OddHttpCamera, watched: Watched) -> None:
    seen = watched(camera)
    assert camera.connections == 1 and len(seen.pictures) == 3 and not seen.errors, str(seen)


# The probe ---------------------------------------------------------------------------------------------------------


def test_the_probe_shows_a_complete_frame() -> None:
    """`ninjacam add` as a process, on cameras whose first picture is easily mistaken for another."""

    async def probe(url: str) -> Any:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ninjacam.capture.probe",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate(json.dumps({"source": {"url": url}, "timeout_s": 8}).encode())
        answer = json.loads(out)
        assert answer["ok"], answer
        jpeg = np.frombuffer(base64.b64decode(answer["jpeg_base64"]), np.uint8)
        image = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        assert image is not None
        return image.astype(int)

    async def go() -> list[Any]:
        pictures = []
        for camera in (OddCamera(), MarkedSlices(), OneNalUnitForAll()):
            async with camera:
                pictures.append(await probe(camera.url()))
        return pictures

    healthy, *others = asyncio.run(go())
    for other in others:
        half = len(healthy) // 2
        assert np.abs(other - healthy)[:half].mean() < 8 and np.abs(other - healthy)[half:].mean() < 8


def test_a_stream_recovers_after_its_camera_was_gone() -> None:
    """The control of `assert_whole`: the test driver detects a loss."""

    class HangsUp(OddCamera):
        def burst(self, client: OddClient, number: int, out: bytes) -> None:
            client.send(out)
            if number == 20:
                client.hang_up()

    async def go() -> None:
        async with HangsUp() as camera:
            seen = await watch(camera.url(), 30, seconds=10)
            assert seen.errors and camera.connections == 2 and seen.disconts
            with pytest.raises(AssertionError):
                seen.assert_whole(20)

    run_steadily(go())
