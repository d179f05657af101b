"""Cameras whose packets mark the boundaries of pictures or NAL units contrary to the RFCs."""

import asyncio
from itertools import pairwise
from typing import ClassVar

import pytest

from ninjacam.codecs.bitstream import START_CODE, nal_type
from ninjacam.core.packets import Codec
from ninjacam.testing import rtp
from ninjacam.testing.clips import Unit
from ninjacam.testing.sdp import describe
from tests.harness.odd_camera import (
    OddCamera,
    OddClient,
    OddRequest,
    Payload,
    fragments,
    marked_last,
    nal_units,
    whole_or_fragments,
)
from tests.integration.odd_cameras.conftest import Watched

SEI = bytes.fromhex("06051a") + b"h1-rig-user-data" + b"quirk test" + b"\x80"
NO_SETS_IN_SDP = "parameter sets not in the SDP"


class H26xCamera(OddCamera):
    """`sdp_sets`: whether the SDP contains the parameter sets."""

    sdp_sets = True

    def sdp(self, request: OddRequest) -> str:
        return describe(self.clip, host="127.0.0.1", sprop=self.sdp_sets)

    @property
    def video(self) -> Codec:
        return self.clip.video.codec

    def is_slice(self, nal: bytes) -> bool:
        kind = nal_type(self.video, nal[0])
        return kind in (1, 5) if self.video is Codec.H264 else kind < 32

    def nal_units(self, unit: Unit) -> list[bytes]:
        return nal_units(unit, self.video, drop=(9, 6) if self.video is Codec.H264 else (35, 39))

    def split(self, nal: bytes) -> list[bytes]:
        return whole_or_fragments(nal, codec=self.video)

    def is_fragment(self, payload: bytes) -> bool:
        return payload[0] & 31 == 28 if self.video is Codec.H264 else payload[0] >> 1 & 63 == 49

    @property
    def fragment_at(self) -> int:
        """Return the offset of a fragment's header."""
        return 1 if self.video is Codec.H264 else 2


class OneNalUnitForAll(H26xCamera):
    """Each picture is one NAL unit with start codes inside: V380 (gortsplib#199), scottlamb/retina#68, #108."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        return marked_last(self.split(START_CODE.join(self.nal_units(unit))), timestamp)


class SetsInOneNalUnit(H26xCamera):
    """The parameter sets share one NAL unit, separated by start codes. Each slice has its own NAL unit."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        nals = self.nal_units(unit)
        sets = [nal for nal in nals if not self.is_slice(nal)]
        parts = [START_CODE.join(sets)] if sets else []
        parts += [nal for nal in nals if self.is_slice(nal)]
        return marked_last([piece for nal in parts for piece in self.split(nal)], timestamp)


class AnnexBInRtp(H26xCamera):
    """The encoder's byte stream, including start codes, is split into packets (Amatek, gortsplib)."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        return marked_last(self.split(b"".join(START_CODE + nal for nal in self.nal_units(unit))), timestamp)


class StartCodeBeforeEach(H26xCamera):
    """Each NAL unit begins with its start code of three or four bytes."""

    code = START_CODE

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        made = [piece for nal in self.nal_units(unit) for piece in self.split(self.code + nal)]
        return marked_last(made, timestamp)


class SetsWithTheTimeBefore(H26xCamera):
    """SPS (marked) and PPS have the timestamp of the previous picture (Reolink RLC-822A, scottlamb/retina#13)."""

    marked = True

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        out: list[Payload] = []
        for nal in self.nal_units(unit):
            if self.is_slice(nal):
                out += [(piece, False, timestamp) for piece in self.split(nal)]
            else:
                out.append((nal, self.marked and nal[0] & 31 == 7, timestamp - 90_000 // self.fps))
        return [*out[:-1], (out[-1][0], self.marked, timestamp)]


class MarkedSets(H26xCamera):
    """SPS, PPS, SEI and slice each have the marker.

    From Tapo TC70 (go2rtc#244) and the marked SEI of LV-IP22 (moonfire-nvr#352).
    """

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        parts = self.nal_units(unit)
        first = next(index for index, nal in enumerate(parts) if self.is_slice(nal))
        parts.insert(first, SEI)
        return with_markers(self, parts, {*range(first + 1), len(parts) - 1}, timestamp)


class SeiBehind(H26xCamera):
    """The SEI follows the picture, with the marker and the same timestamp."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        parts = [*self.nal_units(unit), SEI]
        return with_markers(self, parts, {len(parts) - 2, len(parts) - 1}, timestamp)


def with_markers(camera: H26xCamera, nals: list[bytes], marked: set[int], timestamp: int) -> list[Payload]:
    """`marked`: the indexes of the NAL units whose last packet has the marker."""
    out: list[Payload] = []
    for index, nal in enumerate(nals):
        made = camera.split(nal)
        out += [(piece, index in marked and at == len(made) - 1, timestamp) for at, piece in enumerate(made)]
    return out


class FragmentTypeChanges(H26xCamera):
    """Later fragments have another NAL type (Tiandy, moonfire-nvr#344) or the reserved bit (HeroSpeed, retina#109)."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        at, made = self.fragment_at, []
        for payload in rtp.payloads(self.video, unit.data, aggregate=False):
            out = bytearray(payload)
            if self.is_fragment(payload):
                if not payload[at] & 0x80:
                    out[at] = payload[at] & 0xC0 | 1
                if self.video is Codec.H264:
                    out[at] |= 0x20
            made.append(bytes(out))
        return marked_last(made, timestamp)


class MarkedSlices(H26xCamera):
    """Each picture has several slices, each with the marker (OpenIPC/smolrtsp#43, iamscottxu/obs-rtspserver#199)."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        nals = self.nal_units(unit)
        return with_markers(self, nals, {i for i, nal in enumerate(nals) if self.is_slice(nal)}, timestamp)


class SlicesWithTimesOfTheirOwn(MarkedSlices):
    """The timestamp of each packet is the time at which it was sent. All slices have the marker, or none."""

    marked = False

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        made = super().packets(number, unit, timestamp)
        return [
            (payload, marker and self.marked, timestamp + at * 7)
            for at, (payload, marker, _) in enumerate(made)
        ]


class DelimiterBeforeEachSlice(MarkedSlices):
    """An access unit delimiter precedes each slice, not only the first."""

    def nal_units(self, unit: Unit) -> list[bytes]:
        delimiter = b"\x09\xf0" if self.video is Codec.H264 else b"\x46\x01\x50"
        return [
            part
            for nal in super().nal_units(unit)
            for part in ((delimiter, nal) if self.is_slice(nal) else (nal,))
        ]


class NoMarker(OddCamera):
    """No packet has the marker: FLIR M400 (mediamtx#3945), a live555 proxy (SharpRTSP#57)."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        return [(payload, False, at) for payload, _, at in super().packets(number, unit, timestamp)]


class MarkerOnAll(OddCamera):
    """Every packet has the marker, including fragments."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        return [(payload, True, at) for payload, _, at in super().packets(number, unit, timestamp)]


class MarkerOnTheFirst(OddCamera):
    """The marker is on the first packet of a picture instead of the last."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        made = super().packets(number, unit, timestamp)
        return [(payload, index == 0, at) for index, (payload, _, at) in enumerate(made)]


class OneFragment(H26xCamera):
    """An FU has both the start bit and the end bit (CostarHD, gortsplib#649; OpenIPC, retina#131)."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        made: list[bytes] = []
        for nal in self.nal_units(unit):
            made += fragments(nal, codec=self.video)
        return marked_last(made, timestamp)


class FragmentBits(H26xCamera):
    """`clear`: bits removed from each fragment; `put`: bits added to each. Without an end bit: lanikai/alohartc#98."""

    clear = put = 0

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        at, made = self.fragment_at, []
        for payload in rtp.payloads(self.video, unit.data, aggregate=False):
            out = bytearray(payload)
            if self.is_fragment(payload):
                out[at] = out[at] & ~self.clear & 0xFF | self.put
            made.append(bytes(out))
        return marked_last(made, timestamp)


class UselessPackets(H26xCamera):
    """Packets without data are sent between those of each picture. `extra`: their payload or padding."""

    extra: ClassVar[bytes] = b""
    padded = False

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        made = [piece for nal in self.nal_units(unit) for piece in self.split(nal)]
        return marked_last(
            [part for piece in made[:-1] for part in (piece, self.extra)] + made[-1:], timestamp
        )

    def frame(self, client: OddClient, header: bytes, payload: bytes) -> bytes:
        if self.padded and payload == self.extra:
            header = bytes([header[0] | 0x20]) + header[1:]
        return super().frame(client, header, payload)


class BitsInEmptyFragments(H26xCamera):
    """The start bit and the end bit of a fragmented NAL unit are in fragments without data."""

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        at, made = self.fragment_at, []
        for nal in self.nal_units(unit):
            pieces = fragments(nal, codec=self.video)
            head = pieces[0][:at]
            kind = pieces[0][at] & 0x3F if self.video is not Codec.H264 else pieces[0][at] & 0x1F
            made.append(head + bytes([0x80 | kind]))
            made += [head + bytes([kind]) + piece[at + 1 :] for piece in pieces]
            made.append(head + bytes([0x40 | kind]))
        return marked_last(made, timestamp)


class PaddedPackets(OddCamera):
    """Each packet has padding and a header extension."""

    def frame(self, client: OddClient, header: bytes, payload: bytes) -> bytes:
        header = bytes([header[0] | 0x30]) + header[1:] + b"\xbe\xde\x00\x01abcd"
        return super().frame(client, header, payload + b"\x00\x00\x03")


class Filler(H26xCamera):
    """Filler data follows each picture, and an end-of-sequence NAL unit precedes each key frame."""

    def nal_units(self, unit: Unit) -> list[bytes]:
        nals = super().nal_units(unit)
        if self.video is Codec.H264:
            return [*([b"\x0a"] if unit.key else []), *nals, b"\x0c" + b"\xff" * 300 + b"\x80"]
        return [*([b"\x48\x01"] if unit.key else []), *nals, b"\x4c\x01" + b"\xff" * 300 + b"\x80"]


class InterleavedMode(OddCamera):
    """STAP-B, MTAP16 or MTAP24, and FU-B: the interleaved mode of RFC 6184, sent in decoding order."""

    aggregate = 25

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        order = (number & 0xFFFF).to_bytes(2, "big")
        small, made = [], []
        for nal in nal_units(unit, drop=(9,)):
            if len(nal) < 600:
                small.append(nal)
                continue
            pieces = fragments(nal)
            made += [bytes([pieces[0][0] & 0xE0 | 29]) + pieces[0][1:2] + order + pieces[0][2:], *pieces[1:]]
        if small:
            between = {25: b"", 26: bytes(3), 27: bytes(4)}[self.aggregate]
            body = b"".join(len(nal).to_bytes(2, "big") + between + nal for nal in small)
            made.insert(0, bytes([0x60 | self.aggregate]) + order + body)
        return marked_last(made, timestamp)


class RtpBeforePlayIsAnswered(OddCamera):
    """RTP packets precede the response to PLAY: v4l2rtspserver, scottlamb/retina v0.3.6."""

    async def on_play(self, client: OddClient, request: OddRequest) -> bytes | None:
        self.start_media(client)
        await asyncio.sleep(0.3)
        return await super().on_play(client, request)


BOTH = ("h264", "hevc")
ALL = ("h264", "hevc", "mjpeg")
CAMERAS = [
    *(OneNalUnitForAll(codec, codec=codec) for codec in BOTH),
    OneNalUnitForAll(NO_SETS_IN_SDP, sdp_sets=False),
    *(SetsInOneNalUnit(codec, codec=codec, sdp_sets=False) for codec in BOTH),
    *(AnnexBInRtp(codec, codec=codec, sdp_sets=False) for codec in BOTH),
    *(StartCodeBeforeEach(codec, codec=codec, sdp_sets=False) for codec in BOTH),
    StartCodeBeforeEach("of three bytes", code=b"\x00\x00\x01"),
    SetsWithTheTimeBefore(),
    SetsWithTheTimeBefore(NO_SETS_IN_SDP, sdp_sets=False),
    SetsWithTheTimeBefore("no markers", marked=False),
    MarkedSets(),
    SeiBehind(),
    *(FragmentTypeChanges(codec, codec=codec) for codec in BOTH),
    MarkedSlices(),
    SlicesWithTimesOfTheirOwn(),
    *(DelimiterBeforeEachSlice(codec, codec=codec) for codec in BOTH),
    *(NoMarker(codec, codec=codec) for codec in ALL),
    *(MarkerOnAll(codec, codec=codec) for codec in ALL),
    *(MarkerOnTheFirst(codec, codec=codec) for codec in ALL),
    *(OneFragment(codec, codec=codec) for codec in BOTH),
    *(FragmentBits(f"no end {codec}", codec=codec, clear=0x40) for codec in BOTH),
    *(FragmentBits(f"always an end {codec}", codec=codec, put=0x40) for codec in BOTH),
    *(BitsInEmptyFragments(codec, codec=codec) for codec in BOTH),
    UselessPackets("empty"),
    UselessPackets("padding only", extra=b"\x00\x00\x03", padded=True),
    UselessPackets("one byte", extra=b"\x41"),
    UselessPackets("empty fragment", extra=b"\x7c\x05"),
    UselessPackets("empty hevc", codec="hevc"),
    UselessPackets("two bytes hevc", codec="hevc", extra=b"\x02\x01"),
    UselessPackets("empty fragment hevc", codec="hevc", extra=b"\x62\x01\x01"),
    UselessPackets("reserved type", extra=b"\x7e\x05\x01"),
    *(PaddedPackets(codec, codec=codec) for codec in ALL),
    *(Filler(codec, codec=codec) for codec in BOTH),
    *(InterleavedMode(str(aggregate), aggregate=aggregate) for aggregate in (25, 26, 27)),
    RtpBeforePlayIsAnswered(),
]


@pytest.mark.parametrize("camera", CAMERAS, ids=repr)
def test_each_frame_arrives_complete_and_in_order(camera: OddCamera, watched: Watched) -> None:
    seen = watched(camera)
    seen.assert_whole()
    assert not seen.disconts and not seen.dropped, str(seen)
    if isinstance(camera, SetsWithTheTimeBefore):
        assert {b.pts - a.pts for a, b in pairwise(seen.pictures)} == {90_000 // camera.fps}
        others = [Unit(0, 0, packet.data, key=False) for packet in seen.pictures if not packet.is_key]
        assert all(camera.is_slice(nal) for unit in others for nal in nal_units(unit, drop=(9, 6)))


@pytest.mark.parametrize(
    "camera", [MarkedSlices("from the first"), SlicesWithTimesOfTheirOwn("from the first")], ids=repr
)
def test_the_first_frame_has_all_its_slices(camera: H26xCamera, watched: Watched) -> None:
    pictures = watched(camera).pictures
    slices = [sum(camera.is_slice(nal) for nal in nal_units(Unit(0, 0, p.data, key=False))) for p in pictures]
    assert set(slices) == {2}
