from ninjacam.codecs.aac import low_complexity_config, without_adts
from ninjacam.testing.scenes import SceneOptions, make_clip

ADTS = bytes.fromhex("fff14c40017ffc")


def test_the_config_equals_the_one_of_an_encoder() -> None:
    clip = make_clip(SceneOptions(width=160, height=120, seconds=0.2, audio="aac"))
    audio = clip.tracks[1]
    assert low_complexity_config(audio.rate_hz, audio.channels) == audio.config[:2]
    assert low_complexity_config(44_100, 2) == b"\x12\x10"
    assert low_complexity_config(44_101, 2) == low_complexity_config(44_100, 9) == b""


def test_a_header_is_removed_and_data_without_one_is_not_a_frame() -> None:
    assert without_adts(ADTS + b"frame") == b"frame"
    with_checksum = bytes([0xFF, 0xF0, *ADTS[2:]]) + b"\1\2"
    assert without_adts(with_checksum + b"frame") == b"frame"
    for broken in (b"", ADTS[:6], b"frame without", ADTS[:6] + b"\xfd" + b"two frames"):
        assert without_adts(broken) == b""
