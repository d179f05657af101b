import pytest

from ninjacam.playback.download import find_range
from ninjacam.playback.times import parse_span, parse_time
from ninjacam.problems import Problem


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("bytes=0-", (0, 1000)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=990-5000", (990, 1000)),
        ("bytes=-10", (990, 1000)),
        ("bytes=-5000", (0, 1000)),
        ("bytes=999-", (999, 1000)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=\u0661-", None),
        ("bytes=0-99999999999999999999999", None),
    ],
)
def test_a_single_range_is_parsed_and_everything_else_means_the_whole_file(
    text: str, found: tuple[int, int] | None
) -> None:
    assert find_range(text, 1000) == found


@pytest.mark.parametrize("text", ["bytes=1000-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_beyond_the_end_is_416(text: str) -> None:
    with pytest.raises(Problem) as caught:
        find_range(text, 1000)
    assert caught.value.status == 416 and (b"content-range", b"bytes */1000") in caught.value.headers


@pytest.mark.parametrize(
    ("text", "wall_ns"),
    [
        ("1971-01-01T00:00:01Z", 31_536_001_000_000_000),
        ("1971-01-01t01:00:01.5+01:00", 31_536_001_500_000_000),
        ("1971-01-01T00:00:00.000000001z", 31_536_000_000_000_001),
        ("2026-11-22T09:00:00-00:30", 1_795_339_800_000_000_000),
    ],
)
def test_rfc_3339_times_are_exact(text: str, wall_ns: int) -> None:
    assert parse_time({"time": text}, "time") == wall_ns


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "1795342200", "2026-11-22", "2026-11-22T09:00:00", "2026-11-22 09:00:00Z", "2026-11-22T09:00Z",
        "2026-11-22T09:00:00 02:00", "2026-13-22T09:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T09:00:60Z",
        "2026-11-22T09:00:00+25:00", "20261122T090000Z", "2026-11-22T09:00:00.Z", "\u0662026-11-22T09:00:00Z",
        "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z",
    ],
)  # fmt: skip
def test_other_times_are_rejected(text: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_time({"time": text}, "time")
    assert (caught.value.status, caught.value.code) == (400, "bad_request")


def test_a_span_must_end_after_its_start_and_is_bounded() -> None:
    start, hour = "2026-11-22T09:00:00Z", 3600
    for end, code in (
        (start, "bad_request"),
        ("2026-11-22T08:00:00Z", "bad_request"),
        ("2026-11-22T10:00:01Z", "span_too_long"),
    ):
        with pytest.raises(Problem) as caught:
            parse_span({"start": start, "end": end}, max_s=hour)
        assert caught.value.code == code
    begin_ns, end_ns = parse_span({"start": start}, default_s=60, max_s=hour)
    assert end_ns - begin_ns == 60 * 10**9
