"""Arguments of `ninjacam backtest` and `motion-search`. tests/integration/test_backtest.py runs the commands."""

from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from ninjacam.management.commands import ninjacam_backtest as command
from ninjacam.models import Camera, Segment
from ninjacam.recordings.segments import SegmentInfo
from tests.unit.backtest.clips import write_video

pytestmark = pytest.mark.django_db
NS = 10**9
START_NS = 1_790_000_000 * NS
SPAN = ["--camera", "door", "--from", "2026-09-21T14:13:20Z", "--to", "2026-09-21T14:14:00Z"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Specify --file VIDEO, or --camera SLUG --from TIME --to TIME."),
        (["--camera", "door"], "Specify --file VIDEO, or --camera SLUG --from TIME --to TIME."),
        ([*SPAN[:5], "2026-09-21T14:13:00Z"], "The end must be after the start, by at most 32 days."),
        ([*SPAN[:5], "2027-09-21T14:13:00Z"], "The end must be after the start, by at most 32 days."),
        (SPAN, "“door” has no recordings between these times."),
        (["--from", "yesterday"], "unknown time 'yesterday'; use one such as 2026-11-22T20:00"),
        (["--set", "x"], "Write --set NAME=VALUE instead of 'x'."),
        (["--set", "=1"], "Write --set NAME=VALUE instead of '=1'."),
        (["--set", ".a=1"], "Write --set NAME=VALUE instead of '.a=1'."),
        (["--compare"], "Specify with --set what to compare, or a file: --compare FILE."),
        (["--processes", "100000"], "processes."),
        (["--processes", "-1"], "processes."),
        (["--width", "5"], "Specify a width of 64 to 8192 pixels."),
        (["--timeout", "0"], "Specify a timeout of up to 3600 s."),
        (["--timeout", "nan"], "Specify a timeout of up to 3600 s."),
        (["--file", "/etc/passwd"], "“passwd” cannot be read as a video."),
        (["--file", "/missing.mp4"], "No file “missing.mp4”."),
        (["--file", "/missing.mp4", "--to", "2026-09-21T14:13:00Z"], "Leave out --to"),
    ],
)
def test_mistakes_are_one_sentence(camera: Camera, arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("ninjacam_backtest", "motion", *arguments)
    assert message in str(caught.value)


def options(*arguments: str) -> dict[str, object]:
    parser = command.Command().create_parser("ninjacam", "backtest")
    return vars(parser.parse_args(["people", *arguments]))


def test_options_are_those_of_the_camera_with_changes(camera: Camera, tmp_path: Path) -> None:
    camera.processor_options = {"people": {"score": 0.4, "label": "car"}, "other": {"x": 1}}
    camera.save()
    video = write_video(tmp_path / "v.mp4", 1)
    given = options(
        "--file", str(video), "--camera", "door", "--compare",
        "--set", "score=0.5", "--set", "label=a b", "--set", "before.labels=[1]",
    )  # fmt: skip
    spec = command._make_spec(given)
    assert spec.options == (
        camera.processor_options,
        {"people": {"score": 0.5, "label": "a b"}, "other": {"x": 1}, "before": {"labels": [1]}},
    )
    assert (spec.length_s, spec.source, spec.question.camera) == (1.0, "v.mp4", "door")


def test_recordings_of_the_span_are_used(camera: Camera) -> None:
    Segment.objects.put(
        [
            SegmentInfo(
                "door",
                f"door/{n}.mp4",
                START_NS + n * 60 * NS,
                START_NS + (n + 1) * 60 * NS,
                9,
                "h264",
                64,
                36,
            )
            for n in (-2, 0, 5)
        ]
    )
    spec = command._make_spec(options(*SPAN))
    assert [each.start_ns for each in spec.files] == [START_NS]
    assert (spec.video.start_ns, spec.video.end_ns, spec.length_s) == (START_NS, START_NS + 40 * NS, 40.0)
    assert spec.video.is_recorded and spec.video.paths[0].endswith("door/0.mp4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--from", "2026-09-21T14:13:20Z", "--to", "2026-09-21T14:13:20Z"],
            "The end must be after the start",
        ),
        (
            ["--from", "2026-09-21T14:13:20Z", "--to", "2026-09-21T15:13:20Z", "--region", "1"],
            "Specify the region as",
        ),
        (["--from", "x", "--to", "y"], "unknown time 'x'"),
    ],
)
def test_mistakes_in_a_search_are_one_sentence(camera: Camera, arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("ninjacam_motion_search", "door", *arguments)
    assert message in str(caught.value)
