"""The figures that become findings, their texts, and their beginning and end."""

from typing import Any

import pytest

from ninjacam.engine.bitrates import BitrateChange
from ninjacam.engine.findings import (
    CHECKS,
    UNKNOWN_AFTER_S,
    Figures,
    FindingKeeper,
    Level,
    describe_duration,
)
from ninjacam.testing.clock import FakeClock

FINE = {
    "state": "live",
    "packet_loss": 0.0,
    "jitter_s": 0.004,
    "mean_fps": 24.9,
    "declared_fps": 25,
    "key_interval_s": 2.0,
    "clock_offset_s": 0.2,
}
SCENE = {"brightness": 110.0, "brightest": 220.0, "detail": 9.0, "still_s": 0.0, "software_reason": ""}


class Host:
    """A keeper that observes one camera each second."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.keeper = FindingKeeper(clock=self.clock)

    def pass_s(self, seconds: int, figures: Figures) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for _ in range(seconds):
            found = self.keeper.observe({"door": figures})["door"]
            self.clock.advance(1)
        return found


def figures(
    scene: dict[str, Any] | None = None, bitrate: BitrateChange | None = None, **report: Any
) -> Figures:
    return Figures({**FINE, **report}, SCENE if scene is None else scene, bitrate)


CASES = [
    ("packet_loss", Level.WARNING, figures(packet_loss=0.021), "The camera loses 2.1 % of its packets."),
    ("packet_loss", Level.PROBLEM, figures(packet_loss=0.4), "The camera loses 40 % of its packets."),
    ("jitter", Level.INFO, figures(jitter_s=0.0512), "Frames arrive irregularly, by 51 ms on average."),
    ("jitter", Level.WARNING, figures(jitter_s=0.12), "Frames arrive irregularly, by 120 ms on average."),
    (
        "frame_rate",
        Level.WARNING,
        figures(mean_fps=12.02),
        "The camera sends 12 frames per second instead of 25.",
    ),
    (
        "frame_rate",
        Level.WARNING,
        figures(mean_fps=9.5, declared_fps=12.5),
        "The camera sends 9.5 frames per second instead of 12.5.",
    ),
    (
        "key_frame_interval",
        Level.INFO,
        figures(key_interval_s=5.0),
        "The camera sends a key frame every 5 s: after an interruption, video starts that late.",
    ),
    (
        "key_frame_interval",
        Level.WARNING,
        figures(key_interval_s=10.2),
        "The camera sends a key frame every 10 s: after an interruption, video starts that late.",
    ),
    (
        "clock_offset",
        Level.WARNING,
        figures(clock_offset_s=-3720.0),
        "The camera's clock is 1 h 2 min behind.",
    ),
    ("clock_offset", Level.INFO, figures(clock_offset_s=12.3), "The camera's clock is 12 s ahead."),
    (
        "clock_offset",
        Level.WARNING,
        figures(clock_offset_s=-26.9 * 365.25 * 86_400),
        "The camera's clock is 27 years behind.",
    ),
    (
        "less_data",
        Level.WARNING,
        figures(bitrate=BitrateChange(1_800_000, 3_000_000)),
        "In the last hour, the camera sent 40 % less data than at this time in the last 7 days.",
    ),
    (
        "more_data",
        Level.INFO,
        figures(bitrate=BitrateChange(7_500_000, 3_000_000)),
        "In the last hour, the camera sent 2.5 times as much data as at this time in the last 7 days.",
    ),
    (
        "software_decoding",
        Level.INFO,
        figures({**SCENE, "software_reason": "cuda does not work on this host (PermissionError)"}),
        "The video is decoded in software: cuda does not work on this host (PermissionError).",
    ),
    (
        "black",
        Level.PROBLEM,
        figures({"brightness": 16.0, "brightest": 18.0, "detail": 0.1, "still_s": 300.0}),
        "The camera shows a black image.",
    ),
    (
        "covered",
        Level.WARNING,
        figures({**SCENE, "detail": 0.3}),
        "The image has almost no detail: the lens may be covered or dirty.",
    ),
    (
        "frozen",
        Level.PROBLEM,
        figures({**SCENE, "still_s": 754.0}),
        "The image has not changed at all for 12 min.",
    ),
]


@pytest.mark.parametrize(("code", "level", "given", "message"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_an_unusual_figure_is_one_finding_with_advice(
    code: str, level: Level, given: Figures, message: str
) -> None:
    (finding,) = Host().pass_s(12, given)
    assert (finding["code"], finding["level"], finding["message"]) == (code, level, message)
    advice = finding["advice"]
    assert advice.endswith(".") and advice.count(". ") == 0 and advice[0].isupper(), "one sentence"


def test_each_check_has_a_case() -> None:
    assert {case[0] for case in CASES} == {check.code for check in CHECKS}


@pytest.mark.parametrize(
    "given",
    [
        figures(),
        Figures({"state": "live"}),
        figures(packet_loss=None, jitter_s=None, mean_fps=None, declared_fps=0, clock_offset_s=None),
        figures(mean_fps=25, declared_fps=12.5),
        figures(mean_fps=0, declared_fps=0),
        figures(key_interval_s=0),
        figures(key_interval_s=4.0),
        figures(key_interval_s=10.0, codec="mjpeg", mean_fps=None),
        figures(key_interval_s=10.0, mean_fps=0.1, declared_fps=0),
        figures(packet_loss=0.004),
        figures(clock_offset_s=-4.0),
        figures(bitrate=BitrateChange(2_500_000, 3_000_000)),
        figures(scene={}),
        figures({**SCENE, "still_s": 40.0}),
    ],
)
def test_usual_and_unknown_figures_are_no_finding(given: Figures) -> None:
    assert Host().pass_s(120, given) == []


@pytest.mark.parametrize("state", ["connecting", "reconnecting", "failed", "disabled", "idle"])
def test_a_camera_that_is_not_running_has_no_new_finding(state: str) -> None:
    assert Host().pass_s(60, figures(packet_loss=0.5, state=state)) == []


def test_a_finding_begins_after_a_while_and_keeps_its_beginning() -> None:
    host = Host()
    host.pass_s(30, figures())
    began_ns = host.clock.wall_ns()
    assert host.pass_s(10, figures(clock_offset_s=3600.0)) == []
    for offset_s in (3600.0, 3601.0):
        (finding,) = host.pass_s(5, figures(clock_offset_s=offset_s))
        assert finding["since_ns"] == began_ns


def test_a_finding_does_not_end_near_its_limit() -> None:
    host = Host()
    host.pass_s(20, figures(packet_loss=0.02))
    assert host.pass_s(300, figures(packet_loss=0.007))
    assert host.pass_s(15, figures(packet_loss=0.004))
    (finding,) = host.pass_s(5, figures(packet_loss=0.02))
    assert finding["since_ns"] == FakeClock().wall_ns(), "it is the same finding"
    assert host.pass_s(25, figures(packet_loss=0.004)) == []
    assert host.pass_s(60, figures(packet_loss=0.007)) == []


def test_a_short_peak_is_no_finding() -> None:
    host = Host()
    for _ in range(20):
        assert host.pass_s(8, figures(jitter_s=0.2)) == []
        assert host.pass_s(2, figures()) == []


def test_a_finding_survives_a_short_interruption() -> None:
    host = Host()
    began_ns = host.clock.wall_ns()
    host.pass_s(30, figures(mean_fps=12))
    for _ in range(5):
        assert host.pass_s(60, figures(state="reconnecting"))
        (finding,) = host.pass_s(30, figures(mean_fps=12))
        assert finding["since_ns"] == began_ns
    assert host.pass_s(int(UNKNOWN_AFTER_S) + 2, figures(mean_fps=None)) == []


def test_the_wall_clock_may_be_set() -> None:
    host = Host()
    host.pass_s(5, figures(packet_loss=0.02))
    began_ns = host.clock.wall_ns() - 5 * 10**9
    host.clock.step_wall(-86_400)
    (finding,) = host.pass_s(10, figures(packet_loss=0.02))
    assert finding["since_ns"] == began_ns


def test_the_most_serious_finding_is_the_first() -> None:
    found = Host().pass_s(
        20,
        figures(
            {**SCENE, "still_s": 100.0},
            BitrateChange(1, 3),
            packet_loss=0.06,
            key_interval_s=5.0,
            mean_fps=12,
        ),
    )
    codes = [finding["code"] for finding in found]
    assert codes == ["frozen", "packet_loss", "less_data", "frame_rate", "key_frame_interval"]


def test_the_finding_of_a_removed_camera_is_forgotten() -> None:
    host = Host()
    host.pass_s(20, figures(packet_loss=0.02))
    assert host.keeper.observe({}) == {}
    assert host.pass_s(5, figures(packet_loss=0.02)) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.6, "5 s"), (59, "59 s"), (60, "1 min"), (95, "1 min 35 s"), (1200, "20 min"), (3599, "59 min"),
     (3600, "1 h"), (3720, "1 h 2 min"), (90_000, "25 h"), (200_000, "2 days"), (900 * 86_400, "2 years")],
)  # fmt: skip
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert describe_duration(seconds) == text
