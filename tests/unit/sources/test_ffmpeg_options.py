import pytest

from ninjacam.sources.ffmpeg_network import _options
from ninjacam.sources.urls import parse_url


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://camera/stream.m3u8", True),
        ("http://camera/stream.m3u8?quality=high", True),
        ("http://camera/video", False),
        ("http://camera/video?x=.m3u8", False),
    ],
)
def test_only_playlist_urls_allow_the_hls_demuxer(url: str, allowed: bool) -> None:
    formats = _options(parse_url(url))["format_whitelist"].split(",")
    assert ("hls" in formats) is allowed


@pytest.mark.parametrize("url", ["http://camera/stream.m3u8", "https://camera/video"])
def test_ffmpeg_gets_no_demuxer_that_opens_sockets_and_no_protocol_beyond_our_client(
    url: str,
) -> None:
    options = _options(parse_url(url))
    assert not {"rtsp", "sdp", "rtp", "sap", "concat", "dash"} & set(options["format_whitelist"].split(","))
    assert options["protocol_whitelist"] == "http,https"
