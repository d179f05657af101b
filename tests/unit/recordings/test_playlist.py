from collections.abc import Mapping
from pathlib import Path

import pytest

from ninjacam.core.errors import DecodeError
from ninjacam.recordings.playlist import (
    NS,
    Chain,
    Part,
    PlaylistFile,
    encode_playlist,
    group,
    read_running_file,
    read_whole_file,
    select,
)
from ninjacam.recordings.reader import Fragment
from tests.harness.recordings import NOON_NS, encode_stamped, write_file, write_files


def fragment(number: int, *, key: bool = True, duration_s: float = 1.0) -> Fragment:
    ticks = int(duration_s * 90_000)
    return Fragment(1000 + number * 100, 100, NOON_NS + number * NS, duration_s, key, number * ticks, ticks)


def test_a_part_begins_with_a_key_frame_and_lasts_at_least_two_seconds() -> None:
    keys = [True, True, True, False, True, False, True]
    parts = group([fragment(number, key=key) for number, key in enumerate(keys)], is_open=False)
    assert [(part.offset, part.size_bytes, part.duration_s) for part in parts] == [
        (1000, 200, 2.0),
        (1200, 200, 2.0),
        (1400, 200, 2.0),
        (1600, 100, 1.0),
    ]


def test_a_fragment_that_may_still_grow_is_not_listed() -> None:
    fragments = [fragment(number, key=number % 2 == 0) for number in range(6)]
    before = group(fragments[:5], is_open=True)
    after = group(fragments, is_open=True)
    assert len(before) == 2 and after[:2] == before


def test_undecodable_data_is_omitted() -> None:
    assert group([fragment(0, key=False), fragment(1)], is_open=False)[0].offset == 1100
    assert group([fragment(0, key=False)], is_open=False) == []


def test_the_parts_of_a_span_are_those_that_overlap_it() -> None:
    parts = group([fragment(number) for number in range(10)], is_open=False)
    chosen = select(parts, NOON_NS + 3 * NS, NOON_NS + 6 * NS)
    assert [part.offset for part in chosen] == [1200, 1400]


def test_the_text_conforms_to_the_rfc() -> None:
    first = PlaylistFile(
        "segment/1.mp4", 800, [Part(800, 500, NOON_NS, 2.0), Part(1300, 400, NOON_NS + 2 * NS, 1.96)]
    )
    second = PlaylistFile("segment/2.mp4", 810, [Part(810, 70, NOON_NS + 60 * NS, 2.4)])
    empty = PlaylistFile("segment/3.mp4", 810, [])
    text = encode_playlist([first, empty, second], start_ns=NOON_NS + NS // 2, ended=True)
    assert text.splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-TARGETDURATION:3",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        "#EXT-X-START:TIME-OFFSET=0.500,PRECISE=YES",
        '#EXT-X-MAP:URI="segment/1.mp4",BYTERANGE="800@0"',
        "#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:20.000Z",
        "#EXTINF:2.00000,",
        "#EXT-X-BYTERANGE:500@800",
        "segment/1.mp4",
        "#EXTINF:1.96000,",
        "#EXT-X-BYTERANGE:400@1300",
        "segment/1.mp4",
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-MAP:URI="segment/2.mp4",BYTERANGE="810@0"',
        "#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:14:20.000Z",
        "#EXTINF:2.40000,",
        "#EXT-X-BYTERANGE:70@810",
        "segment/2.mp4",
        "#EXT-X-ENDLIST",
    ]


def test_a_running_playlist_does_not_end_and_keeps_its_target_duration() -> None:
    file = PlaylistFile("segment/1.mp4", 800, [Part(800, 500, NOON_NS, 2.0)])
    text = encode_playlist([file], start_ns=NOON_NS, ended=False, min_target_s=10)
    assert "ENDLIST" not in text and "TYPE:EVENT" in text and "DURATION:10\n" in text
    assert "DURATION:10\n" in encode_playlist([], start_ns=NOON_NS, ended=False, min_target_s=10)


def test_a_file_is_read_once_in_parts_and_once_as_a_whole(tmp_path: Path) -> None:
    made = write_file(tmp_path, encode_stamped(150))
    fine = Chain(NOON_NS, NOON_NS + 60 * NS).add(made.path, str, is_open=False)
    assert fine is not None
    whole = read_whole_file(made.path, "a", made.segment.start_ns, made.segment.end_ns)
    assert fine.init_bytes == whole.init_bytes and len(fine.parts) == 3
    assert sum(part.size_bytes for part in fine.parts) == whole.parts[0].size_bytes
    assert whole.parts[0].duration_s == pytest.approx(6.0)


def test_a_running_file_is_one_part_up_to_its_last_complete_fragment(tmp_path: Path) -> None:
    made = write_file(tmp_path, encode_stamped(150))
    whole = read_whole_file(made.path, "a", made.segment.start_ns, made.segment.end_ns)
    with made.path.open("ab") as file:
        file.write(made.path.read_bytes()[900:1500])
    assert read_running_file(made.path, "a") == whole
    made.path.write_bytes(made.path.read_bytes()[: whole.init_bytes + 100])
    with pytest.raises(DecodeError):
        read_running_file(made.path, "a")


@pytest.mark.parametrize("data", [b"", b"abc", b"\0\0\0\x08ftyp\0\0\0\x08moov", b"\xff" * 100])
def test_other_files_raise_our_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(data)
    with pytest.raises(DecodeError):
        read_whole_file(path, "a", 0, 1)
    with pytest.raises(DecodeError):
        read_running_file(path, "a")


def test_consecutive_files_are_on_one_time_line(tmp_path: Path) -> None:
    made = write_files(tmp_path, encode_stamped(150), 2)
    made.append(write_file(tmp_path, encode_stamped(50, first=1000)))
    made.append(write_file(tmp_path, encode_stamped(50, first=1050, size=(320, 180))))
    chain = Chain(NOON_NS, NOON_NS + 100 * NS)
    shifts: list[int] = []

    def uri(ticks: Mapping[int, int]) -> str:
        shifts.append(ticks[1])
        return f"segment/{len(shifts)}.mp4"

    files = [chain.add(each.path, uri, is_open=False) for each in made]
    assert shifts == [0, 180_000, 360_000, 540_000, 720_000]
    listed = [file for file in files if file is not None]
    assert [file.follows for file in listed] == [False, True, True, False, False]
    text = encode_playlist(listed, start_ns=NOON_NS, ended=True)
    assert text.count("#EXT-X-MAP") == 2 and text.count("#EXT-X-DISCONTINUITY") == 2
    assert text.count("#EXT-X-PROGRAM-DATE-TIME") == 5
    assert chain.add(made[0].path, uri, is_open=False) is not None
    assert Chain(0, 1).add(made[0].path, uri, is_open=False) is None
