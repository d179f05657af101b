import pytest

from ninjacam.sources.base import SourceConfig
from ninjacam.sources.ffmpeg_network import _options
from ninjacam.sources.urls import parse_url


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://camera/stream.m3u8", True),
        ("http://camera/stream.m3u8?quality=high", True),
        ("http://camera/video", False),
        ("http://camera/video?x=.m3u8", False),
        ("rtsp://camera/stream.m3u8/track", False),
    ],
)
def test_only_who_asks_for_a_playlist_gets_one(url: str, allowed: bool) -> None:
    formats = _options(parse_url(url), SourceConfig(url))["format_whitelist"].split(",")
    assert ("hls" in formats) is allowed
