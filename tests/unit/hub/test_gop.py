"""The cached GOP is complete and within its limits, or empty."""

import pytest

from ninjacam.hub.gop import MAX_BYTES, MAX_SECONDS, GopCache
from ninjacam.testing.packets import video_packets


def test_twelve_seconds_between_key_frames_are_cached() -> None:
    cache = GopCache()
    for packet in video_packets(600, gop=300, size_bytes=20_000):
        cache.add(packet)
    assert len(cache) == 300 and next(iter(cache)).is_key and not cache.refused


@pytest.mark.parametrize(
    ("gop", "size_bytes", "why"),
    [(800, 100, f"longer than {MAX_SECONDS:g} s"), (300, 60_000, "larger than 16 MB")],
)
def test_a_gop_that_is_too_large_is_dropped_until_the_next_key_frame(
    gop: int, size_bytes: int, why: str
) -> None:
    cache = GopCache()
    packets = video_packets(gop + 1, gop=gop, fps=25, size_bytes=size_bytes)
    for packet in packets[:gop]:
        cache.add(packet)
        assert cache.size_bytes <= MAX_BYTES
    assert not len(cache) and cache.refused == why
    cache.add(packets[gop])
    assert len(cache) == 1 and not cache.refused


def test_the_number_of_cached_packets_is_bounded() -> None:
    cache = GopCache()
    packets = video_packets(2, gop=100, size_bytes=1)
    cache.add(packets[0])
    for _ in range(100_000):
        cache.add(packets[1])
    assert not len(cache)
