"""Exports, verified with a decoder, the numbers in the frames, and FFmpeg's program, which reports no errors."""

import hashlib
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ninjacam.core.errors import ProcessorError
from ninjacam.recordings import export
from ninjacam.recordings.clip import plan_clip
from ninjacam.recordings.clock_face import ClockFace
from ninjacam.recordings.export import (
    ExportDiskFullError,
    ExportSpec,
    FormatChangesError,
    MadeFile,
    NothingRecordedError,
    RecordingGoneError,
    export_copy,
    iter_bytes,
    write_all,
)
from ninjacam.recordings.render import Draw, export_drawn
from ninjacam.testing import stamp
from tests.harness.recorded import assert_decodes
from tests.harness.recordings import (
    FRAME_NS,
    NOON_NS,
    Made,
    encode_stamped,
    encode_tone,
    read_stamps,
    write_file,
    write_files,
)

S_NS = 1_000_000_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Made]:
    """Record 8 s in files of 2 s, with a key frame every second."""
    return write_files(tmp_path_factory.mktemp("recordings"), encode_stamped(200), 2)


def copy(files: Sequence[Made], output: Path, start_s: float = 0, end_s: float = 60) -> MadeFile:
    paths = [each.path for each in files]
    shares: list[float] = []
    made = export_copy(
        paths, NOON_NS + round(start_s * S_NS), NOON_NS + round(end_s * S_NS), output, shares.append
    )
    assert shares == sorted(shares) and shares[-1] == 1
    return made


def draw(files: Sequence[Made], output: Path, process: Draw | None = None, **values: Any) -> MadeFile:
    spec: dict[str, Any] = {"kind": "burned", "start_ns": NOON_NS, "end_ns": NOON_NS + 8 * S_NS, **values}
    paths = tuple(str(each.path) for each in files)
    shares: list[float] = []
    made = export_drawn(
        ExportSpec(camera="door", paths=paths, output=str(output), **spec), shares.append, process
    )
    assert all(0 <= share <= 1 for share in shares) and shares == sorted(shares)
    assert made.sha256 == hashlib.sha256(output.read_bytes()).hexdigest()
    assert made.size_bytes == output.stat().st_size and output.stat().st_mode & 0o777 == 0o600
    return made


def pictures(path: Path) -> "list[tuple[float, np.ndarray[Any, np.dtype[np.uint8]]]]":
    """Return (seconds, luma)."""
    with av.open(str(path)) as container:
        return [
            (float(frame.time or 0), frame.to_ndarray(format="gray").astype(np.uint8))
            for frame in container.decode(video=0)
        ]


def length_s(path: Path) -> float:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None and stream.time_base is not None
        return float(stream.duration * stream.time_base)


# --- copied ---


@pytest.mark.ffmpeg
def test_a_copy_contains_each_frame_and_the_digest_of_its_bytes(files: list[Made], tmp_path: Path) -> None:
    made = copy(files, tmp_path / "copy.mp4", 1.5, 6.2)
    data = (tmp_path / "copy.mp4").read_bytes()
    assert (made.size_bytes, made.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert read_stamps(tmp_path / "copy.mp4") == list(range(25, 175))
    assert_decodes(tmp_path / "copy.mp4")


def test_fragments_longer_than_a_chunk_are_copied_and_digested_completely(
    files: list[Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = copy(files, tmp_path / "whole.mp4")
    monkeypatch.setattr(export, "CHUNK_BYTES", 4096)
    assert whole.size_bytes > 8 * 2 * export.CHUNK_BYTES
    assert copy(files, tmp_path / "parts.mp4") == whole
    assert (tmp_path / "parts.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert draw(files, tmp_path / "drawn.mp4").size_bytes > 2 * export.CHUNK_BYTES


@pytest.mark.parametrize("make", [copy, draw])
def test_a_finished_export_is_completely_on_the_disk(
    files: list[Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., MadeFile]
) -> None:
    synced: list[tuple[str, int]] = []

    def sync(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", sync)
    made = make(files[:1], tmp_path / "made.mp4")
    assert synced == [(str(tmp_path / "made.mp4"), made.size_bytes)]


def test_a_copy_of_nothing_leaves_no_file(files: list[Made], tmp_path: Path) -> None:
    with pytest.raises(NothingRecordedError):
        copy(files, tmp_path / "copy.mp4", 100, 110)
    with pytest.raises(NothingRecordedError):
        draw(files, tmp_path / "drawn.mp4", start_ns=NOON_NS + 100 * S_NS, end_ns=NOON_NS + 110 * S_NS)
    assert list(tmp_path.iterdir()) == []


def test_a_copy_across_a_change_of_the_format_reports_where_to_split_it(
    files: list[Made], tmp_path: Path
) -> None:
    packets = encode_stamped(25, size=(320, 240), first=200)
    other = write_file(
        tmp_path, [packet._replace(captured_ns=packet.captured_ns - 345_678) for packet in packets]
    )
    with pytest.raises(
        FormatChangesError, match=r"Export the time before 2026-09-21T14:13:27\.999654Z"
    ) as caught:
        copy([*files, other], tmp_path / "copy.mp4")
    assert caught.value.code == "format_changes" and not (tmp_path / "copy.mp4").exists()
    copy([*files, other], tmp_path / "before.mp4", 6, 7.999654)
    copy([*files, other], tmp_path / "after.mp4", 7.999654, 20)
    assert read_stamps(tmp_path / "before.mp4") == list(range(150, 200))
    assert read_stamps(tmp_path / "after.mp4") == list(range(200, 225))


def test_a_recording_deleted_meanwhile_is_reported(tmp_path: Path) -> None:
    made = write_file(tmp_path, encode_stamped(50))
    plan = plan_clip([made.path], NOON_NS, NOON_NS + 2 * S_NS)
    assert plan is not None
    made.path.unlink()
    with pytest.raises(RecordingGoneError):
        list(iter_bytes(plan.pieces))


def test_a_full_disk_is_reported() -> None:
    with (
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(ExportDiskFullError, match="disk is full"),
    ):
        write_all(full, b"x")


# --- rendered ---


@pytest.mark.ffmpeg
def test_the_clock_is_burned_into_each_frame_and_nothing_else_changes(
    files: list[Made], tmp_path: Path
) -> None:
    draw(files, tmp_path / "plain.mp4")
    draw(files, tmp_path / "clock.mp4", clock=True)
    assert_decodes(tmp_path / "clock.mp4")
    plain, clock = pictures(tmp_path / "plain.mp4"), pictures(tmp_path / "clock.mp4")
    assert [stamp.read(luma) for _, luma in clock] == list(range(200))
    for number, ((at_s, without), (_, with_clock)) in enumerate(zip(plain, clock, strict=True)):
        assert at_s == pytest.approx(number / 25, abs=0.001)
        region, rest = with_clock[330:, :250], with_clock[60:300]
        assert region.max() > 200 and region.min() < 40  # white with a black outline
        assert without[330:, :250].max() < 180
        assert np.abs(rest.astype(int) - without[60:300]).mean() < 3
    # It advances with the second in which the frames were captured.
    seconds = [clock[n][1][336:, :215].astype(int) for n in range(200)]
    changes = [n for n in range(1, 200) if np.abs(seconds[n] - seconds[n - 1]).max() > 120]
    assert changes == list(range(25, 200, 25))


def test_the_clock_shows_the_requested_time_zone() -> None:
    assert ClockFace("UTC").text(NOON_NS) == "2026-09-21 14:13:20 UTC"
    assert ClockFace("Europe/Vienna").text(NOON_NS) == "2026-09-21 16:13:20 CEST"
    for nonsense in ("Nowhere/At_All", "../../etc/passwd", "/etc/passwd", "", "Europe"):
        assert ClockFace(nonsense).text(NOON_NS) == "2026-09-21 14:13:20 UTC"


@pytest.mark.parametrize(("width", "height"), [(640, 360), (64, 48), (90, 2000), (3840, 2160)])
def test_the_clock_fits_into_any_frame(width: int, height: int) -> None:
    planes = np.full((height * 3 // 2, width), 90, np.uint8)
    ClockFace("UTC").draw(planes, width, height, NOON_NS)
    luma = planes[:height]
    changed = np.argwhere(luma != 90)
    assert len(changed) and changed[:, 1].max() < width - 1 and changed[:, 0].min() > height // 2


@pytest.mark.ffmpeg
def test_audio_is_copied_unchanged(tmp_path: Path) -> None:
    made = write_file(tmp_path, encode_stamped(100), tone=encode_tone(4))
    draw([made], tmp_path / "sound.mp4")
    assert_decodes(tmp_path / "sound.mp4")

    def sound(path: Path) -> list[tuple[int, bytes]]:
        with av.open(str(path)) as container:
            return [(packet.pts or 0, bytes(packet)) for packet in container.demux(audio=0) if packet.size]

    assert len(sound(made.path)) > 20 and sound(tmp_path / "sound.mp4") == sound(made.path)


def loudness(path: Path) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return the mean amplitude of each tenth of a second as a player plays it: missing audio is silent."""
    with av.open(str(path)) as container:
        rate_hz = container.streams.audio[0].rate
        heard = np.zeros(120 * rate_hz)
        for frame in container.decode(audio=0):
            at = round((frame.time or 0) * rate_hz)
            heard[at : at + frame.samples] = frame.to_ndarray()[0]
    loud: np.ndarray[Any, np.dtype[np.float64]] = np.abs(heard).reshape(-1, rate_hz // 10).mean(axis=1)
    return loud


@pytest.mark.ffmpeg
@pytest.mark.parametrize("with_sound", [(False, True), (True, False, True), (False, False, True, False)])
def test_audio_stays_where_it_was_recorded(tmp_path: Path, with_sound: Sequence[bool]) -> None:
    """The camera got its microphone later, or lost it temporarily."""
    packets = encode_stamped(50, size=(320, 180))
    tone = encode_tone(2)
    made = []
    for number, sounds in enumerate(with_sound):
        later_ns, later_pts = number * 2 * S_NS, number * 180_000
        made.append(
            write_file(
                tmp_path,
                [each._replace(captured_ns=each.captured_ns + later_ns, pts=each.pts + later_pts) for each in packets],
                tone=[each._replace(captured_ns=each.captured_ns + later_ns) for each in tone if sounds],
            )
        )  # fmt: skip
    draw(made, tmp_path / "drawn.mp4", end_ns=NOON_NS + 20 * S_NS)
    assert_decodes(tmp_path / "drawn.mp4")
    heard = loudness(tmp_path / "drawn.mp4")
    assert heard[: 20 * len(with_sound)].max() > 0.01
    for number, sounds in enumerate(with_sound):
        part = heard[number * 20 + 4 : number * 20 + 17]
        assert (part > 0.005).all() if sounds else (part < 0.001).all(), number
    with av.open(
        str(tmp_path / "drawn.mp4")
    ) as container:  # without gaps, at which some players lose synchronisation
        times = [float(each.pts * each.time_base) for each in container.demux(audio=0) if each.size]  # type: ignore[operator]
    assert times[0] == pytest.approx(0, abs=0.01)
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 0.26


@pytest.mark.ffmpeg
def test_video_and_audio_end_with_the_span(tmp_path: Path) -> None:
    made = write_file(tmp_path, encode_stamped(100), tone=encode_tone(4))
    span: dict[str, Any] = {"start_ns": NOON_NS + 9 * S_NS // 10, "end_ns": NOON_NS + 21 * S_NS // 10}
    draw([made], tmp_path / "drawn.mp4", **span)
    assert_decodes(tmp_path / "drawn.mp4")
    shown = pictures(tmp_path / "drawn.mp4")
    assert [stamp.read(luma) for _, luma in shown] == list(range(23, 53))
    assert [at_s for at_s, _ in shown] == pytest.approx([number / 25 for number in range(30)], abs=0.001)

    def sound(path: Path) -> list[tuple[float, bytes]]:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            assert stream.time_base is not None
            return [
                (float((each.pts or 0) * stream.time_base), bytes(each))
                for each in container.demux(stream)
                if each.size
            ]

    recorded = [(at_s - 0.92, data) for at_s, data in sound(made.path) if 0.92 <= at_s < 2.1]
    told = sound(tmp_path / "drawn.mp4")
    assert [data for _, data in told] == [data for _, data in recorded] and len(told) >= 9
    # libavformat begins a track at 0, which only changes the time of the first packet.
    assert [at_s for at_s, _ in told[1:]] == pytest.approx([at_s for at_s, _ in recorded[1:]], abs=0.001)


def test_a_span_between_two_frames_contains_none(files: list[Made], tmp_path: Path) -> None:
    with pytest.raises(NothingRecordedError):
        draw(files, tmp_path / "drawn.mp4", start_ns=NOON_NS + S_NS + 1, end_ns=NOON_NS + S_NS + 10**7)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.ffmpeg
def test_a_different_format_and_a_damaged_file_and_a_gap_do_not_end_the_export(
    files: list[Made], tmp_path: Path
) -> None:
    other = write_file(tmp_path, encode_stamped(50, size=(320, 240), first=400, bframes=2))
    broken = Made(other.segment, tmp_path / "broken.mp4")
    broken.path.write_bytes(files[1].path.read_bytes()[:30_000] + bytes(1000))
    gone = Made(other.segment, tmp_path / "gone.mp4")
    draw([files[0], gone, broken, other], tmp_path / "drawn.mp4", end_ns=NOON_NS + 20 * S_NS)
    numbers = [stamp.read(luma) for _, luma in pictures(tmp_path / "drawn.mp4")]
    assert numbers[:50] == list(range(50)) and numbers[-50:] == list(range(400, 450))
    times = [at_s for at_s, _ in pictures(tmp_path / "drawn.mp4")]
    assert all(0 < later - earlier < 0.1 for earlier, later in itertools.pairwise(times))


def test_a_processor_draws_and_receives_the_capture_time(files: list[Made], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def process(frame: av.VideoFrame, captured_ns: int, number: int, pts_s: float) -> Any:
        seen.append((captured_ns, number))
        assert pts_s == pytest.approx(number / 25, abs=0.001)
        image = np.zeros(
            (100, 200) if number % 2 else (120, 222, 3), np.uint8
        )  # the processor may return other sizes
        image[:] = 200
        return image

    draw(files[:1], tmp_path / "view.mp4", process)
    assert seen == [(NOON_NS + number * FRAME_NS, number) for number in range(50)]
    shown = pictures(tmp_path / "view.mp4")
    assert len(shown) == 50 and {luma.shape for _, luma in shown} == {(120, 222)}


def test_a_processor_that_raises_ends_the_export_and_leaves_no_file(
    files: list[Made], tmp_path: Path
) -> None:
    def process(frame: av.VideoFrame, captured_ns: int, number: int, pts_s: float) -> Any:
        if number == 30:
            raise ProcessorError("edges: ValueError: no (line 3)")
        return np.zeros((120, 160, 3), np.uint8)

    with pytest.raises(ProcessorError, match="line 3"):
        draw(files, tmp_path / "view.mp4", process)
    assert list(tmp_path.iterdir()) == []


def test_the_width_is_the_requested_one_but_never_more_than_recorded(
    files: list[Made], tmp_path: Path
) -> None:
    for asked, shape in ((321, (180, 320)), (5000, (360, 640))):
        draw(files[:1], tmp_path / f"{asked}.mp4", width_px=asked)
        assert pictures(tmp_path / f"{asked}.mp4")[0][1].shape == shape


# --- timelapse ---


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("speed", "fps", "expected"),
    [
        (4, 10, range(0, 200, 10)),  # every 0.4 s: all frames are decoded
        (10, 10, range(0, 200, 25)),  # every second: the key frames suffice
        (20, 10, range(0, 200, 50)),
        (30, 10, [0, 75, 150]),
    ],
)
def test_a_timelapse_shows_even_steps(
    files: list[Made], tmp_path: Path, speed: int, fps: int, expected: Sequence[int]
) -> None:
    draw(files, tmp_path / "lapse.mp4", kind="timelapse", speed=float(speed), fps=fps)
    assert_decodes(tmp_path / "lapse.mp4")
    shown = pictures(tmp_path / "lapse.mp4")
    assert [stamp.read(luma) for _, luma in shown] == list(expected)
    assert [at_s for at_s, _ in shown] == pytest.approx([n / fps for n in range(len(shown))])


def test_a_timelapse_ends_before_the_frame_at_its_end(files: list[Made], tmp_path: Path) -> None:
    span: dict[str, Any] = {"start_ns": NOON_NS, "end_ns": NOON_NS + 30 * FRAME_NS}
    draw(files, tmp_path / "lapse.mp4", kind="timelapse", speed=4.0, fps=10, **span)
    assert [stamp.read(luma) for _, luma in pictures(tmp_path / "lapse.mp4")] == [0, 10, 20]


def test_a_timelapse_skips_gaps_and_everything_outside_the_span(tmp_path: Path) -> None:
    made = [
        write_file(tmp_path, encode_stamped(50, first=first)) for first in (0, 5000, 10_000)
    ]  # 2 s each, minutes apart
    span: dict[str, Any] = {"start_ns": NOON_NS + S_NS, "end_ns": NOON_NS + 401 * S_NS}
    draw(made, tmp_path / "lapse.mp4", kind="timelapse", speed=5.0, fps=10, **span)
    numbers = [stamp.read(luma) for _, luma in pictures(tmp_path / "lapse.mp4")]
    assert numbers == [25, 38, 5000, 5013, 5025, 5038, 10_000, 10_013]


@pytest.mark.parametrize(
    ("start_s", "end_s", "speed", "expected"),
    [
        (0.5, 0.9, 1000, [13]),  # no key frame in it
        (0.5, 1.9, 1000, [25]),
        (1.5, 8, 10, [38, 75, 100, 125, 150, 175]),
        (1.5, 8, 1000, [38]),
        (2, 8, 10, range(50, 200, 25)),
    ],
)
def test_a_timelapse_may_begin_between_key_frames(
    files: list[Made], tmp_path: Path, start_s: float, end_s: float, speed: int, expected: Sequence[int]
) -> None:
    span: dict[str, Any] = {
        "start_ns": NOON_NS + round(start_s * S_NS),
        "end_ns": NOON_NS + round(end_s * S_NS),
    }
    fps = 10 if speed == 10 else 25
    draw(files, tmp_path / "lapse.mp4", kind="timelapse", speed=float(speed), fps=fps, **span)
    assert [stamp.read(luma) for _, luma in pictures(tmp_path / "lapse.mp4")] == list(expected)


def test_a_timelapse_may_begin_long_before_a_key_frame(tmp_path: Path) -> None:
    made = write_file(tmp_path, encode_stamped(200, gop=100))
    span: dict[str, Any] = {"start_ns": NOON_NS + S_NS // 2, "end_ns": NOON_NS + 45 * S_NS // 10}
    draw([made], tmp_path / "lapse.mp4", kind="timelapse", speed=10.0, fps=10, **span)
    numbers = [stamp.read(luma) for _, luma in pictures(tmp_path / "lapse.mp4")]
    assert numbers == [13, 38, 63, 88]


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("every", "speed", "fps", "shown"),
    [
        (1, 2, 60, 200),  # more steps than frames
        (1, 2, 25, 100),
        (2, 2, 25, 100),  # 12.5 frames per second
        (5, 4, 60, 40),
    ],
)
def test_a_timelapse_is_as_fast_as_requested(
    tmp_path: Path, every: int, speed: int, fps: int, shown: int
) -> None:
    packets = encode_stamped(200 // every, gop=5)
    slow = [
        each._replace(
            pts=each.pts * every,
            received_ns=each.received_ns * every,
            duration=each.duration * every,
            captured_ns=NOON_NS + (each.captured_ns - NOON_NS) * every,
        )
        for each in packets
    ]
    made = write_files(tmp_path, slow, 4)
    draw(made, tmp_path / "lapse.mp4", kind="timelapse", speed=float(speed), fps=fps)
    assert_decodes(tmp_path / "lapse.mp4")
    assert length_s(tmp_path / "lapse.mp4") == pytest.approx(8 / speed, abs=every / 25 / speed)
    taken = pictures(tmp_path / "lapse.mp4")
    assert len(taken) == shown
    for at_s, luma in taken:
        number = stamp.read(luma)
        assert number is not None and at_s == pytest.approx(number * every / 25 / speed, abs=1.1 / fps)


@pytest.mark.parametrize(("speed", "shown"), [(10, 25), (100, 3)])
def test_gaps_take_no_time_however_long_a_step_is(tmp_path: Path, speed: int, shown: int) -> None:
    """10 s are recorded in five files."""
    made = [write_file(tmp_path, encode_stamped(50, first=n * 125)) for n in range(5)]
    span: dict[str, Any] = {"end_ns": NOON_NS + 200 * S_NS}
    draw(made, tmp_path / "lapse.mp4", kind="timelapse", speed=float(speed), fps=25, **span)
    assert len(pictures(tmp_path / "lapse.mp4")) == shown
    assert length_s(tmp_path / "lapse.mp4") == pytest.approx(shown / 25, abs=0.02)


def test_key_frames_that_arrive_slightly_early_are_shown(tmp_path: Path) -> None:
    packets = encode_stamped(250)
    uneven = [
        each._replace(captured_ns=each.captured_ns + (-1) ** (number // 25) * 5_000_000)
        for number, each in enumerate(packets)
    ]
    made = write_files(tmp_path, uneven, 10)
    draw(made, tmp_path / "lapse.mp4", kind="timelapse", speed=25.0, end_ns=NOON_NS + 10 * S_NS)
    assert [stamp.read(luma) for _, luma in pictures(tmp_path / "lapse.mp4")] == list(range(0, 250, 25))
