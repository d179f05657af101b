"""Which audio is sent to a camera's loudspeaker, and what its answers mean."""

import pytest

from ninjacam.core.errors import NoLoudspeakerError, UnsupportedCommandError
from ninjacam.core.packets import Codec
from ninjacam.sources.rtsp.back_channel import AudioFormat, choose_format
from ninjacam.sources.rtsp.sdp import parse_sdp

HEAD = "v=0\r\ns=Camera\r\nm=audio 0 RTP/AVP 0\r\na=control:mic\r\na=recvonly\r\n"
DAHUA = "97 8 102 0"
DAHUA_MAPS = ("97 MPEG4-GENERIC/16000", "8 PCMA/8000", "102 PCMA/16000", "0 PCMU/8000")
"""A Dahua doorbell offers these and more (AlexxIT/go2rtc#49)."""


def sdp(numbers: str, maps: tuple[str, ...] = (), *more: str, head: str = HEAD) -> bytes:
    lines = [f"m=audio 0 RTP/AVP {numbers}", *(f"a=rtpmap:{each}" for each in maps), *more]
    return (head + "\r\n".join([*lines, "a=control:back", "a=sendonly"]) + "\r\n").encode()


def choose(description: bytes) -> AudioFormat:
    media, audio = choose_format(parse_sdp(description), description)
    assert media.control == "back"
    return audio


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        (sdp("0"), AudioFormat(Codec.PCMU, 8000, 1, 0, 160)),
        (sdp("8", ("8 PCMA/8000",)), AudioFormat(Codec.PCMA, 8000, 1, 8, 160)),
        (sdp(DAHUA, DAHUA_MAPS), AudioFormat(Codec.PCMA, 8000, 1, 8, 160)),
        (sdp("97", ("97 MPEG4-GENERIC/16000/1",)), AudioFormat(Codec.AAC, 16000, 1, 97, 1024)),
        (
            sdp("97 102", ("97 mpeg4-generic/44100/2", "102 PCMA/16000")),
            AudioFormat(Codec.AAC, 44100, 2, 97, 1024),
        ),
        (sdp("102", ("102 PCMA/16000",)), AudioFormat(Codec.PCMA, 16000, 1, 102, 320)),
        (sdp("0", (), "a=ptime:60"), AudioFormat(Codec.PCMU, 8000, 1, 0, 480)),
        (sdp("0", (), "a=ptime:0"), AudioFormat(Codec.PCMU, 8000, 1, 0, 160)),
        (sdp("0", (), "a=ptime:9999"), AudioFormat(Codec.PCMU, 8000, 1, 0, 1600)),
        (sdp("0", (), "a=ptime:x"), AudioFormat(Codec.PCMU, 8000, 1, 0, 160)),
    ],
)
def test_g711_at_8_khz_is_preferred_then_aac(description: bytes, expected: AudioFormat) -> None:
    assert choose(description) == expected


def test_reolink_cameras_get_packets_of_1024_samples() -> None:
    head = HEAD.replace("s=Camera", 's=Session streamed by "preview"\r\na=tool:BC Streaming Media v2022')
    assert choose(sdp("0", head=head)).packet_samples == 1024


@pytest.mark.parametrize("description", [HEAD.encode(), b"v=0\r\nm=video 0 RTP/AVP 96\r\na=sendonly\r\n"])
def test_a_description_without_a_back_channel_means_no_loudspeaker(description: bytes) -> None:
    with pytest.raises(NoLoudspeakerError, match="enable two-way audio"):
        choose(description)


@pytest.mark.parametrize(
    "maps", ["96 G726-32/8000", "96 PCMU/8000/2", "200 PCMU/8000", "96 PCMU/999999", "96 MPEG4-GENERIC/7777"]
)
def test_other_formats_are_unsupported(maps: str) -> None:
    with pytest.raises(UnsupportedCommandError, match=r"neither G\.711 nor AAC") as refusal:
        choose(sdp(maps.split()[0], (maps,)))
    assert not isinstance(refusal.value, NoLoudspeakerError)
