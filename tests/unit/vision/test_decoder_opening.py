"""Hardware that decodes, that does not exist, and that fails: the frames are decoded anyway."""

import logging
from typing import Any

import av
import numpy as np
import pytest

from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import Codec, Packet
from ninjacam.vision import decoder_opening
from ninjacam.vision.decoder_opening import DecoderOpening
from ninjacam.vision.images import Decoder
from tests.harness.still_scenes import draw_room, encode


class Hardware:
    """Stands for a graphics card: decodes with FFmpeg's software, and fails from frame number `fails_at` on."""

    is_hwaccel = True

    def __init__(self, codec: str, fails_at: int = 10_000) -> None:
        self.decoded = 0
        self.flags = 0
        self._fails_at = fails_at
        self._context: Any = av.CodecContext.create(codec, "r")

    def decode(self, packet: Any) -> list[av.VideoFrame]:
        if self.decoded >= self._fails_at:
            raise av.error.InvalidDataError(1, "lost")
        self.decoded += 1
        return list(self._context.decode(packet))


class Host:
    """`made`: the hardware decoders that were opened. `attempts`: how often one was requested."""

    def __init__(self) -> None:
        self.made: list[Hardware] = []
        self.attempts = 0
        self.fails_at = 10_000
        self.refuses: Exception | None = None

    def create(self, codec: Codec, accelerator: object = None) -> Any:
        if accelerator is None:
            return av.CodecContext.create(codec.label, "r")
        self.attempts += 1
        if self.refuses is not None:
            raise self.refuses
        self.made.append(Hardware(codec.label, self.fails_at))
        return self.made[-1]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host()
    monkeypatch.setattr(decoder_opening, "_create", host.create)
    return host


def packets(count: int = 12) -> list[Packet]:
    return list(encode([draw_room(320, 180)] * count, bitrate_bps=200_000))


def decode(decoder: Decoder, given: list[Packet]) -> int:
    """Return the number of frames."""
    found = 0
    for packet in given:
        try:
            found += len(decoder.decode(packet))
        except DecodeError:
            continue
    return found


def test_hardware_decodes(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    decoder = Decoder(Codec.H264, DecoderOpening("cuda"))
    given = packets()
    assert decode(decoder, given) == len(given)
    assert [each.decoded for each in host.made] == [len(given)]
    assert decoder.software_reason == "" and caplog.text == ""


def test_software_decodes_what_hardware_does_not_know_from_the_first_frame_on(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.fails_at = 0
    decoder = Decoder(Codec.H264, DecoderOpening("cuda"))
    given = packets()
    assert decode(decoder, given) == len(given)
    assert decoder.software_reason.startswith("cuda cannot decode this stream")
    assert len(caplog.records) == 1 and "decoded in software: cuda cannot decode" in caplog.text


def test_software_goes_on_at_the_next_key_frame_when_hardware_is_lost(host: Host) -> None:
    host.fails_at = 5
    decoder = Decoder(Codec.H264, DecoderOpening("cuda"))
    first, second = packets(), packets()
    assert decode(decoder, first) == 5
    assert decode(decoder, second) == len(second)
    assert decoder.software_reason


def test_a_damaged_key_frame_does_not_end_the_use_of_hardware(host: Host) -> None:
    decoder = Decoder(Codec.H264, DecoderOpening("cuda"))
    given = packets()
    damaged = Packet(
        given[0].kind, Codec.H264, b"\x00\x00\x00\x01\x65\x00", given[0].pts, 0, flags=given[0].flags
    )
    assert decode(decoder, [damaged]) == 0
    assert decode(decoder, given) == len(given)
    assert decoder.software_reason == "" and host.made[0].decoded > len(given) - 1


def test_a_device_that_does_not_work_is_tried_and_logged_once(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.refuses = av.error.PermissionError(1, "no driver")
    opening = DecoderOpening("cuda")
    for _ in range(3):
        decoder = Decoder(Codec.H264, opening)
        assert decoder.software_reason == "cuda does not work on this host (PermissionError)"
        assert decode(decoder, packets(2)) == 2
    assert host.attempts == 1
    assert len(caplog.records) == 1


def test_software_is_the_default_and_tries_nothing(host: Host) -> None:
    assert Decoder(Codec.H264).software_reason == ""
    assert host.attempts == 0


def test_auto_tries_the_devices_that_the_host_has(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_opening, "_NODES", dict.fromkeys(decoder_opening._NODES, "/nowhere"))
    assert Decoder(Codec.H264, DecoderOpening("auto")).software_reason == "" and host.attempts == 0
    monkeypatch.setitem(decoder_opening._NODES, "vaapi", "/dev/null")
    assert Decoder(Codec.H264, DecoderOpening("auto")).software_reason == "" and host.attempts == 1


@pytest.mark.parametrize("device", ["cuda", "vaapi", "qsv"])
def test_this_host_decodes_on_each_device_or_says_why_not(
    device: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The real libraries: a frame is the same on every device."""
    caplog.set_level(logging.WARNING)
    decoder, reference = Decoder(Codec.H264, DecoderOpening(device)), Decoder(Codec.H264)
    for packet in packets(4):
        (frame,), (expected,) = decoder.decode(packet), reference.decode(packet)
        assert np.array_equal(frame.gray(), expected.gray())
    assert len(caplog.records) == bool(decoder.software_reason)
    assert decoder._context.is_hwaccel == (decoder.software_reason == "")
