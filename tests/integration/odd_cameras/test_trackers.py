"""Media oddities reported in public issue trackers. Each class names its report."""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest

from ninjacam.codecs.bitstream import nal_type
from ninjacam.core.packets import Codec
from ninjacam.testing import stamp
from ninjacam.testing.clips import Clip, ClipTrack, Unit
from ninjacam.testing.scenes import SceneOptions, draw_frames
from ninjacam.testing.sdp import describe
from tests.harness.odd_camera import (
    RTP_HEADER,
    OddCamera,
    OddClient,
    OddRequest,
    Payload,
    fragments,
    interleaved,
    marked_last,
    nal_units,
)
from tests.integration.odd_cameras.conftest import Watched
from tests.integration.odd_cameras.test_pictures import H26xCamera, MarkedSlices
from tests.integration.odd_cameras.test_streams import AAC, VIDEO, wall_error_s


@cache
def encoded(encoder: str, parameters: str, *, frames: int = 75, bframes: int = 0) -> Clip:
    """Encode the scene with libx264 or libx265 and parameters that `SceneOptions` lacks."""
    context = cast("av.VideoCodecContext", av.CodecContext.create(encoder, "w"))
    context.width, context.height, context.pix_fmt = 320, 240, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.gop_size, context.max_b_frames, context.bit_rate = 25, bframes, 800_000
    name = "x264-params" if encoder == "libx264" else "x265-params"
    context.options = {"preset": "ultrafast", name: f"{parameters}:scenecut=0:repeat-headers=1"}
    packets: list[av.Packet[Any]] = []
    for number, image in enumerate(draw_frames(SceneOptions(width=320, height=240, seconds=frames / 25))):
        stamp.draw(image, number)
        planes = cast("np.typing.NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420))
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    units = tuple(
        Unit(sent / 25, (packet.pts or 0) / 25, bytes(packet), packet.is_keyframe)
        for sent, packet in enumerate(packets)
    )
    codec = Codec.H264 if encoder == "libx264" else Codec.H265
    return Clip((ClipTrack(codec, units, width_px=320, height_px=240),), frames / 25)


class EncodedCamera(H26xCamera):
    """Plays the output of `encoded`. `skip`: number of pictures at the beginning that are never sent."""

    encoder = "libx264"
    parameters = "keyint=25"
    bframes = 0
    frames = 75
    skip = 0

    def sdp(self, request: OddRequest) -> str:
        whole = encoded(self.encoder, self.parameters, frames=self.frames, bframes=self.bframes)
        return describe(whole, host="127.0.0.1", sprop=self.sdp_sets)

    @property
    def clip(self) -> Clip:
        made = encoded(self.encoder, self.parameters, frames=self.frames, bframes=self.bframes)
        if not self.skip:
            return made
        video = made.video
        return Clip((ClipTrack(video.codec, video.units[self.skip :], width_px=320, height_px=240),), 1)

    def timestamp(self, number: int) -> int:
        unit = self.clip.video.units[number % self.clip.frames]
        loops = number // self.clip.frames
        return 3_000_000 + loops * self.clip.frames * 3600 + round((unit.pts_s - self.skip / 25) * 90_000)


# Pictures ----------------------------------------------------------------------------------------------------------


class ManySlices(MarkedSlices, EncodedCamera):
    """Each picture has four slices with the marker on each (x264 with zerolatency, obs-rtspserver#199)."""

    parameters = "keyint=25:slices=4"

    def nal_units(self, unit: Unit) -> list[bytes]:
        return nal_units(unit, self.video, drop=(9, 6) if self.video is Codec.H264 else (35, 39))


class SlicesInAnyOrder(ManySlices):
    """The first slice is sent last."""

    parameters = "keyint=25:slices=3:deblock=-6,-6:no-deblock=1"

    def nal_units(self, unit: Unit) -> list[bytes]:
        nals = super().nal_units(unit)
        slices = [nal for nal in nals if self.is_slice(nal)]
        return [nal for nal in nals if not self.is_slice(nal)] + slices[1:] + slices[:1]

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        return marked_last([piece for nal in self.nal_units(unit) for piece in self.split(nal)], timestamp)


class PicturesNobodyRefersTo(EncodedCamera):
    """H.265 pictures of type 0, TRAIL_N, which a range check from 1 drops (scottlamb/retina#123)."""

    encoder = "libx265"
    parameters = "keyint=25:bframes=2:b-adapt=0:open-gop=0:log-level=none:temporal-layers=1"
    bframes = 2


class FragmentedSets(H26xCamera):
    """Parameter sets in fragments (OvenMediaEngine#2032)."""

    sdp_sets = False

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        out: list[bytes] = []
        for nal in self.nal_units(unit):
            out += self.split(nal) if self.is_slice(nal) else fragments(nal, 10, codec=self.video)
        return marked_last(out, timestamp)


class MetadataInside(H26xCamera):
    """Vendor-specific NAL units of type 31 among the pictures (VStarCam, RtspClientSharp#33)."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        made = super().packets(number, unit, timestamp)
        return [(b"\x1f\x00\x00motion", number % 2 == 0, timestamp), *made]


class SeiOfItsOwn(H26xCamera):
    """AUD and SEI are sent separately from the picture, with different timestamps (stream-rtsp#13)."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        sei = bytes.fromhex("06051a") + b"h1-rig-user-data" + b"quirk test" + b"\x80"
        made = marked_last([p for nal in self.nal_units(unit) for p in self.split(nal)], timestamp)
        return [(b"\x09\xf0", True, timestamp - 900), (sei, True, timestamp - 450), *made]


class JoinsInTheMiddle(OddCamera):
    """The first packets are the remainder of a fragmented key frame (go2rtc#2490, pion/rtp#370)."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        made = super().packets(number, unit, timestamp)
        return made[3:] if number == 0 else made


class JoinsAtALaterSlice(MarkedSlices):
    """The first packets are the complete second slice of a key frame."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        made = super().packets(number, unit, timestamp)
        if number:
            return made
        second = [nal for nal in self.nal_units(unit) if self.is_slice(nal)][1]
        return marked_last(self.split(second), timestamp)


class PtzPackets(OddCamera):
    """Packets of payload type 50 with the marker and the next packet's sequence number (Uniarch, go2rtc#1722)."""

    codec = "hevc"

    async def media(self, client: OddClient) -> None:
        self.sent = self.first_sequence
        await super().media(client)

    sent = 0

    def frame(self, client: OddClient, header: bytes, payload: bytes) -> bytes:
        self.sent = int.from_bytes(header[2:4], "big")
        return super().frame(client, header, payload)

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        odd = RTP_HEADER.pack(0x80, 0x80 | 50, self.sent + 1 & 0xFFFF, self.timestamp(number), self.ssrc)
        client.send(out + interleaved(0, odd + bytes(57)))


class LowPayloadType(OddCamera):
    """Payload type 35 for H.264 (Bosch, gortsplib#630)."""

    def sdp(self, request: OddRequest) -> str:
        return super().sdp(request).replace("96", "35")

    def header(self, sequence: int, timestamp: int, *, marker: bool) -> bytes:
        kind = 35 | (0x80 if marker else 0)
        return RTP_HEADER.pack(0x80, kind, sequence & 0xFFFF, timestamp & 0xFFFF_FFFF, self.ssrc)


WHOLE = [
    ManySlices(),
    ManySlices("hevc", encoder="libx265", parameters="keyint=25:bframes=0:slices=4:log-level=none"),
    FragmentedSets(),
    FragmentedSets("hevc", codec="hevc"),
    MetadataInside(),
    SeiOfItsOwn(),
    PtzPackets(),
    LowPayloadType(),
]


@pytest.mark.parametrize("camera", WHOLE, ids=repr)
def test_each_frame_arrives(camera: OddCamera, watched: Watched) -> None:
    seen = watched(camera)
    seen.assert_whole()
    assert not seen.disconts and not seen.dropped, str(seen)


@pytest.mark.parametrize("camera", [SlicesInAnyOrder()], ids=repr)
def test_slices_in_any_order_form_one_frame(camera: SlicesInAnyOrder, watched: Watched) -> None:
    """FFmpeg cannot decode such pictures; Baseline decoders can."""
    seen = watched(camera)
    assert len(seen.pictures) >= 60 and not seen.errors and not seen.dropped
    for number, packet in enumerate(seen.pictures):
        unit = camera.clip.video.units[number % camera.clip.frames]
        assert nal_units(Unit(0, 0, packet.data, key=False)) == camera.nal_units(unit)


@pytest.mark.parametrize("camera", [PicturesNobodyRefersTo()], ids=repr)
def test_reordered_frames_arrive(camera: EncodedCamera, watched: Watched) -> None:
    seen = watched(camera)
    seen.assert_whole()
    kinds = {
        nal_type(Codec.H265, nal[0])
        for p in seen.pictures
        for nal in nal_units(Unit(0, 0, p.data, key=False))
    }
    assert 0 in kinds
    decoded = [packet.pts - packet.dts_offset for packet in seen.pictures]
    assert decoded == sorted(decoded) and any(packet.dts_offset for packet in seen.pictures)


@pytest.mark.parametrize("camera", [JoinsInTheMiddle(), JoinsAtALaterSlice()], ids=repr)
def test_a_key_frame_without_its_beginning_is_not_delivered(camera: OddCamera, watched: Watched) -> None:
    watched(camera).assert_whole()
    assert watched(camera).decoded.stamps[0] == camera.scene.get("gop", 25)


# Streams without IDR pictures --------------------------------------------------------------------------------------


class IntraRefresh(EncodedCamera):
    """Only the first picture after the camera's start is an IDR picture (rockchip-linux/mpp#523, ExoPlayer#1654)."""

    parameters = "keyint=20:intra-refresh=1:bframes=0"
    frames = 125
    skip = 7
    enough = 90


class RecoveryPoints(EncodedCamera):
    """I pictures with recovery points instead of IDR pictures (ExoPlayer#2842, w3c/webcodecs#650)."""

    parameters = "keyint=20:min-keyint=20:open-gop=1:bframes=1:b-adapt=0"
    bframes = 1
    frames = 125
    skip = 7
    enough = 90
    drop: tuple[int, ...] = (9,)

    def nal_units(self, unit: Unit) -> list[bytes]:
        return nal_units(unit, drop=self.drop)

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        return marked_last([piece for nal in self.nal_units(unit) for piece in self.split(nal)], timestamp)


class UnannouncedIntraPictures(RecoveryPoints):
    """Intra pictures with their parameter sets, without IDR pictures or recovery points (raspberrypi/firmware#375)."""

    drop = (9, 6)


@pytest.mark.parametrize(
    "camera",
    [IntraRefresh(), RecoveryPoints(), UnannouncedIntraPictures(), IntraRefresh("no sets", sdp_sets=False)],
    ids=repr,
)
def test_a_stream_without_idr_pictures_starts_and_can_be_joined(
    camera: EncodedCamera, watched: Watched
) -> None:
    seen = watched(camera)
    assert len(seen.pictures) >= 90 and not seen.errors and not seen.crash, str(seen)
    keys = [number for number, packet in enumerate(seen.pictures) if packet.is_key]
    assert keys[0] == 0 and len(keys) >= 4 and {b - a for a, b in pairwise(keys)} <= {19, 20, 21}, keys
    readable = [number for number in seen.decoded.stamps[30:] if number is not None]
    assert len(readable) > 40, str(seen)


# Times -------------------------------------------------------------------------------------------------------------


class Outliers(OddCamera):
    """Occasionally, the timestamp of a picture is hours away from its neighbours' (Intelbras, mediamtx#6255)."""

    hours = 1

    def timestamp(self, number: int) -> int:
        return super().timestamp(number) + 10**9 + (self.hours * 3600 * 90_000 if number % 25 == 17 else 0)


class SmallRewinds(OddCamera):
    """The clock repeatedly steps back by some seconds (gtxaspec/raptor#43)."""

    def timestamp(self, number: int) -> int:
        return super().timestamp(number) + 10**9 - number // 20 * 3 * 90_000


class ClockFromZero(OddCamera):
    """The timestamps of each connection begin at 0, and the connection is often lost (Tapo, go2rtc#1943)."""

    enough = 80
    watch_s = 20.0

    def timestamp(self, number: int) -> int:
        return number * 90_000 // self.fps

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        client.send(out)
        if number == 50 and client.number == 1:
            client.hang_up()


@pytest.mark.parametrize(
    "camera", [Outliers("past", hours=-2), Outliers("future", hours=10), SmallRewinds()], ids=repr
)
def test_stepping_timestamps_lose_no_frame(camera: OddCamera, watched: Watched) -> None:
    seen = watched(camera)
    seen.assert_whole()
    assert_even(seen.pictures)


def assert_even(pictures: Sequence[Any]) -> None:
    decoded = [packet.pts - packet.dts_offset for packet in pictures]
    assert decoded == sorted(decoded)
    took_s = (pictures[-1].received_ns - pictures[0].received_ns) / 1e9
    assert abs(took_s - (pictures[-1].pts - pictures[0].pts) / 90_000) < 0.5
    assert wall_error_s(list(pictures)) < 0.5


@pytest.mark.parametrize("camera", [ClockFromZero()], ids=repr)
def test_time_continues_across_a_reconnect(camera: OddCamera, watched: Watched) -> None:
    seen = watched(camera)
    assert len(seen.pictures) >= 80 and camera.connections == 2, str(seen)
    assert_even(seen.pictures)


# MJPEG -------------------------------------------------------------------------------------------------------------


class QuantizationTables(OddCamera):
    """Three tables (v4l2rtspserver#361, gortsplib#1097), or one for all (v4l2rtspserver#253)."""

    codec = "mjpeg"
    count = 3

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        out = []
        for payload, marker, at in super().packets(number, unit, timestamp):
            made = payload
            if payload[1:4] == b"\0\0\0":
                tables = payload[12 : 12 + 128]
                sent = (tables + tables[:64])[: 64 * self.count]
                made = payload[:10] + len(sent).to_bytes(2, "big") + sent + payload[12 + 128 :]
            out.append((made, marker, at))
        return out


@pytest.mark.parametrize(
    "camera", [QuantizationTables("three"), QuantizationTables("one", count=1)], ids=repr
)
def test_any_number_of_quantization_tables_is_read(camera: OddCamera, watched: Watched) -> None:
    watched(camera).assert_whole()


# Sound -------------------------------------------------------------------------------------------------------------


class AdtsSound(OddCamera):
    """AAC in ADTS frames, without AU headers or inside them (anjvision, mpv#5669)."""

    with_headers = False

    def sdp(self, request: OddRequest) -> str:
        return VIDEO + AAC + "/1\r\na=fmtp:97 config=1408;sizelength=13;indexlength=3\r\na=control:track1\r\n"

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        sound = bytes([number % 250 + 1]) * 50
        header = bytes([0xFF, 0xF1, 0x60, 0x40, 57 >> 3, (57 & 7) << 5 | 0x1F, 0xFC])
        frames = (header + sound) * 2
        if self.with_headers:
            frames = b"\x00\x20" + (57 << 3).to_bytes(2, "big") * 2 + frames
        packet = RTP_HEADER.pack(0x80, 0x80 | 97, number & 0xFFFF, number * 2048, 7) + frames
        client.send(out + interleaved(client.channels.get(1, 2), packet))


@pytest.mark.parametrize("camera", [AdtsSound(), AdtsSound("with AU headers", with_headers=True)], ids=repr)
def test_adts_headers_are_removed(camera: OddCamera, watched: Watched) -> None:
    seen = watched(camera)
    seen.assert_whole()
    assert len(seen.sounds) > 60
    assert {len(packet.data) for packet in seen.sounds} == {50}
    assert all(len(set(packet.data)) == 1 for packet in seen.sounds)
