"""Clips, verified with the box reader, a decoder and the numbers in the frames."""

import contextlib
import itertools
import struct
from pathlib import Path

import av
import pytest

from ninjacam.core.errors import DecodeError
from ninjacam.recordings.clip import ClipChangesError, ClipPlan, encode_sidx, plan_clip, shift_times
from ninjacam.recordings.reader import Fragment
from tests.harness.recordings import (
    FRAME_NS,
    NOON_NS,
    Made,
    encode_stamped,
    encode_tone,
    iter_boxes,
    read_stamps,
    write_file,
    write_files,
)

S_NS = 1_000_000_000


def make(plan: ClipPlan) -> bytes:
    """Return the bytes as they are served."""
    parts = []
    for piece in plan.pieces:
        if piece.path is None:
            parts.append(piece.data)
            continue
        data = piece.path.read_bytes()[piece.offset : piece.offset + piece.size_bytes]
        parts.append(shift_times(data, piece.shift) if piece.shift else data)
    return b"".join(parts)


def cut(made: list[Made], start_s: float, end_s: float, directory: Path) -> tuple[ClipPlan, Path]:
    plan = plan_clip(
        [each.path for each in made], NOON_NS + round(start_s * S_NS), NOON_NS + round(end_s * S_NS)
    )
    assert plan is not None
    path = directory / "clip.mp4"
    path.write_bytes(make(plan))
    assert path.stat().st_size == plan.size_bytes
    return plan, path


def shown(path: Path) -> list[float]:
    with av.open(str(path), "r") as container:
        return [float(frame.time) for frame in container.decode(video=0) if frame.time is not None]


def test_a_clip_contains_each_frame_from_the_key_frame_before_its_start(tmp_path: Path) -> None:
    made = write_files(tmp_path, encode_stamped(250), 5)
    plan, path = cut(made, 1.5, 7.2, tmp_path)
    assert read_stamps(path) == list(range(25, 200))
    assert (plan.start_ns, plan.end_ns) == (NOON_NS + 25 * FRAME_NS, NOON_NS + 200 * FRAME_NS)


@pytest.mark.parametrize("bframes", [0, 2])
def test_times_begin_at_0_and_continue_from_file_to_file(tmp_path: Path, bframes: int) -> None:
    made = write_files(tmp_path, encode_stamped(300, bframes=bframes), 3)
    _, path = cut(made, 2.0, 10.0, tmp_path)
    times = shown(path)
    assert times[0] < 0.1 and len(times) == 200
    steps = {round(b - a, 3) for a, b in itertools.pairwise(times)}
    assert steps == {0.04}


def test_a_gap_between_files_is_closed(tmp_path: Path) -> None:
    made = [
        write_file(tmp_path, encode_stamped(50)),
        write_file(tmp_path, encode_stamped(50, first=1000)),
    ]
    _, path = cut(made, 0, 60, tmp_path)
    assert read_stamps(path) == [*range(50), *range(1000, 1050)]
    assert shown(path)[50] == pytest.approx(2.0)


def test_audio_continues_without_overlap(tmp_path: Path) -> None:
    packets, tone = encode_stamped(200), encode_tone(8)
    made = [
        write_file(tmp_path, packets[:100], tone=tone[:200]),
        write_file(tmp_path, packets[100:], tone=tone[200:]),
    ]
    _, path = cut(made, 1, 7, tmp_path)
    with av.open(str(path), "r") as container:
        times = [packet.dts for packet in container.demux(audio=0) if packet.dts is not None]
        last = [packet.pts for packet in container.demux(audio=0) if packet.pts is not None]
    assert times[0] >= 0 and len(times) > 40
    assert all(later - earlier >= 1024 for earlier, later in itertools.pairwise(times))
    assert not last or last[-1] < 7.1 * 8000


def test_the_index_of_a_clip_lists_each_fragment(tmp_path: Path) -> None:
    plan, path = cut(write_files(tmp_path, encode_stamped(150), 3), 0, 6, tmp_path)
    boxes = list(iter_boxes(path.read_bytes()))
    assert [kind for kind, _ in boxes[:3]] == [b"ftyp", b"moov", b"sidx"]
    rows = boxes[2][1][32:]
    sizes = [int.from_bytes(rows[at : at + 4], "big") for at in range(0, len(rows), 12)]
    assert sizes == [piece.size_bytes for piece in plan.pieces[1:]]
    with av.open(str(path), "r") as container:
        assert container.duration == 6_000_000


def test_different_parameter_sets_are_rejected_with_the_time_of_the_change(tmp_path: Path) -> None:
    first = write_file(tmp_path, encode_stamped(50))
    other = write_file(tmp_path, encode_stamped(50, size=(320, 180), first=50))
    with pytest.raises(ClipChangesError) as caught:
        cut([first, other], 0, 4, tmp_path)
    assert caught.value.at_ns == NOON_NS + 2 * S_NS
    assert read_stamps(cut([first, other], 0, 2, tmp_path)[1]) == list(range(50))
    plan = plan_clip([first.path, other.path], NOON_NS, NOON_NS + 4 * S_NS, stop_at_change=True)
    assert plan is not None and plan.end_ns == NOON_NS + 2 * S_NS


@pytest.mark.parametrize("before_ns", [0, 299_999, 300_000, 999_999])
def test_splitting_at_a_change_of_the_format_gives_two_clips(tmp_path: Path, before_ns: int) -> None:
    """This includes an old file that ends slightly after the start of the new one."""
    first = write_file(tmp_path, encode_stamped(50))
    packets = encode_stamped(50, size=(320, 180), first=50)
    early = [packet._replace(captured_ns=packet.captured_ns - before_ns) for packet in packets]
    made = [first, write_file(tmp_path, early)]
    with pytest.raises(ClipChangesError) as caught:
        cut(made, 0, 4, tmp_path)
    paths = [each.path for each in made]
    for digits in (1000, 1_000_000):
        at_ns = caught.value.at_ns // digits * digits
        before, after = plan_clip(paths, NOON_NS, at_ns), plan_clip(paths, at_ns, NOON_NS + 4 * S_NS)
        assert before is not None and {piece.path for piece in before.pieces[1:]} == {made[0].path}
        assert after is not None and after.start_ns == caught.value.at_ns


def test_a_missing_or_damaged_file_is_a_gap(tmp_path: Path) -> None:
    made = write_files(tmp_path, encode_stamped(150), 2)
    made[1].path.write_bytes(b"not a recording at all")
    assert read_stamps(cut(made, 0, 6, tmp_path)[1]) == [*range(50), *range(100, 150)]
    made[1].path.unlink()
    assert read_stamps(cut(made, 0, 6, tmp_path)[1]) == [*range(50), *range(100, 150)]


def test_a_span_without_a_recording_gives_no_clip(tmp_path: Path) -> None:
    made = write_files(tmp_path, encode_stamped(50), 2)
    assert plan_clip([each.path for each in made], NOON_NS + 3 * S_NS, NOON_NS + 4 * S_NS) is None
    assert plan_clip([], NOON_NS, NOON_NS + S_NS) is None


def test_a_damaged_fragment_raises_only_our_error(tmp_path: Path) -> None:
    made = write_file(tmp_path, encode_stamped(25))
    plan = plan_clip([made.path], NOON_NS, NOON_NS + S_NS)
    assert plan is not None and plan.pieces[1].shift is not None
    piece, shift = plan.pieces[1], plan.pieces[1].shift
    whole = made.path.read_bytes()[piece.offset : piece.offset + 2000]
    for at in range(120):
        data = bytearray(whole)
        data[at : at + 4] = b"\0\0\0\3"
        with contextlib.suppress(DecodeError):
            assert len(shift_times(bytes(data), shift)) == len(data)
    with pytest.raises(DecodeError):
        shift_times(whole[:60], shift)


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (65_535, 65_535), (65_536, 32_768), (86_400, 43_200)])
def test_the_index_holds_a_clip_of_any_length(count: int, rows: int) -> None:
    fragment = Fragment(0, 1000, 0, 1.0, True, 0, 90_000)
    sidx = encode_sidx([fragment] * count)
    assert struct.unpack_from(">I", sidx) == (len(sidx),) and struct.unpack_from(">H", sidx, 38) == (rows,)
    told = list(struct.iter_unpack(">III", sidx[40:]))
    assert len(told) == rows
    assert (sum(row[0] for row in told), sum(row[1] for row in told)) == (count * 1000, count * 90_000)
