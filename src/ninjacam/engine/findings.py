"""Findings: unusual conditions of a camera, each with one sentence of advice for the owner.

Each finding is a limit of one figure (`CHECKS`). It begins and ends when the figure has been beyond the limit, or
back within it by some margin, for some time. Pure bookkeeping. Not here: measuring the figures (`ninjacam.capture`,
`ninjacam.vision`, `engine.bitrates`). docs/design/0013-camera-health.md
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import Any

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.packets import CameraState, Codec
from ninjacam.core.texts import Sentence, gettext_noop, origin_of, sentence
from ninjacam.engine.bitrates import BitrateChange

Json = dict[str, Any]
_RUNNING = (CameraState.LIVE, CameraState.STALLED)
UNKNOWN_AFTER_S = 120.0
"""Seconds after which a finding with an unknown figure ends. A reconnect alone does not change a camera."""


class Level(StrEnum):
    """INFO: notable. WARNING: some video is lost or late. PROBLEM: the camera does not show its scene."""

    INFO = "info"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a camera. `report`: its status. `scene`: figures of its decoded frames, as
    `vision.camera.CameraPixels.scene` returns them; empty if it is not decoded."""

    report: Mapping[str, Any] = field(default_factory=dict)
    scene: Mapping[str, Any] = field(default_factory=dict)
    bitrate: BitrateChange | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """The definition of one finding. `value`: returns the figure, None: unknown. `begin`, `end`: limits at which the
    finding begins and ends; large values are unusual if `begin` is at least `end`, else small ones. `warning`,
    `problem`: limits of these levels. `label`: one or two words for lists. `message`: a sentence with numbers and
    units."""

    code: str
    label: str
    value: Callable[[Figures], float | None]
    begin: float
    end: float
    message: Callable[[Figures], str]
    advice: str
    warning: float | None = None
    problem: float | None = None
    begin_after_s: float = 10.0
    end_after_s: float = 20.0

    def exceeds(self, value: float, limit: float | None) -> bool:
        if limit is None:
            return False
        return value >= limit if self.begin >= self.end else value <= limit

    def level(self, value: float) -> Level:
        if self.exceeds(value, self.problem):
            return Level.PROBLEM
        return Level.WARNING if self.exceeds(value, self.warning) else Level.INFO


# --- figures ---


def _reported(name: str) -> Callable[[Figures], float | None]:
    return lambda figures: figures.report.get(name)


def _frame_share(figures: Figures) -> float | None:
    """Return the number of sent frames as a fraction of the declared frames."""
    mean_fps, declared_fps = figures.report.get("mean_fps"), figures.report.get("declared_fps")
    return mean_fps / declared_fps if mean_fps is not None and declared_fps else None


def _key_interval_s(figures: Figures) -> float | None:
    """Return the key frame interval; None if each frame is a key frame, because the camera then sends few frames or
    single images."""
    report = figures.report
    interval_s, mean_fps = report.get("key_interval_s"), report.get("mean_fps")
    if not interval_s or report.get("codec") == Codec.MJPEG.label:
        return None
    return None if mean_fps is not None and interval_s * mean_fps < 1.5 else float(interval_s)


def _clock_error_s(figures: Figures) -> float | None:
    offset_s = figures.report.get("clock_offset_s")
    return None if offset_s is None else abs(offset_s)


def _bitrate_share(figures: Figures) -> float | None:
    return figures.bitrate.share if figures.bitrate is not None else None


def _decodes_in_software(figures: Figures) -> float | None:
    """Return 1 if hardware should decode and software does, else 0."""
    return float(bool(figures.scene["software_reason"])) if "software_reason" in figures.scene else None


BLACK_LEVEL, NOT_BLACK_LEVEL = 30.0, 36.0
"""Brightness (8 bits of luma, of which video uses 16 to 235) of the brightest part of a black frame."""


def _brightest(figures: Figures) -> float | None:
    return figures.scene.get("brightest")


def _unless_black(name: str) -> Callable[[Figures], float | None]:
    """Return None for a black frame, which has no detail and does not change: one finding is sufficient."""

    def value(figures: Figures) -> float | None:
        brightest = _brightest(figures)
        return None if brightest is None or brightest <= BLACK_LEVEL else figures.scene.get(name)

    return value


# --- words ---


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %" if share < 0.0995 else f"{share * 100:.0f} %"


def describe_duration(seconds: float) -> Sentence:
    """Return a duration in its one or two largest units: “45 s”, “1 h 2 min”, “26 years”."""
    seconds = round(seconds)
    if seconds < 60:
        return sentence("%(s)s s", s=seconds)
    if seconds < 3600:
        if seconds < 600 and seconds % 60:
            return sentence("%(min)s min %(s)s s", min=seconds // 60, s=seconds % 60)
        return sentence("%(min)s min", min=seconds // 60)
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        if minutes % 60:
            return sentence("%(h)s h %(min)s min", h=minutes // 60, min=minutes % 60)
        return sentence("%(h)s h", h=minutes // 60)
    days = round(seconds / 86_400)
    if days < 730:
        return sentence("%(days)s days", days=days)
    return sentence("%(years)s years", years=round(days / 365.25))


def _say_loss(figures: Figures) -> Sentence:
    return sentence(
        "The camera loses %(share)s of its packets.", share=_percent(figures.report["packet_loss"])
    )


def _say_jitter(figures: Figures) -> Sentence:
    ms = round(figures.report["jitter_s"] * 1000)
    return sentence("Frames arrive irregularly, by %(ms)s ms on average.", ms=ms)


def _say_frame_rate(figures: Figures) -> Sentence:
    mean_fps, declared_fps = figures.report["mean_fps"], figures.report["declared_fps"]
    return sentence(
        "The camera sends %(fps)s frames per second instead of %(declared)s.",
        fps=f"{mean_fps:.3g}",
        declared=f"{declared_fps:.3g}",
    )


def _say_key_interval(figures: Figures) -> Sentence:
    seconds = figures.report["key_interval_s"]
    return sentence(
        "The camera sends a key frame every %(s)s s: after an interruption, video starts that late.",
        s=f"{seconds:.0f}",
    )


def _say_clock(figures: Figures) -> Sentence:
    offset_s = figures.report["clock_offset_s"]
    duration = describe_duration(abs(offset_s))
    if offset_s > 0:
        return sentence("The camera's clock is %(duration)s ahead.", duration=duration)
    return sentence("The camera's clock is %(duration)s behind.", duration=duration)


def _say_less(figures: Figures) -> Sentence:
    assert figures.bitrate is not None
    less = _percent(1 - figures.bitrate.share)
    return sentence(
        "In the last hour, the camera sent %(share)s less data than at this time in the last 7 days.",
        share=less,
    )


def _say_more(figures: Figures) -> Sentence:
    assert figures.bitrate is not None
    return sentence(
        "In the last hour, the camera sent %(factor)s times as much data as at this time in the last 7 days.",
        factor=f"{figures.bitrate.share:.1f}",
    )


def _say_software(figures: Figures) -> Sentence:
    return sentence("The video is decoded in software: %(reason)s.", reason=figures.scene["software_reason"])


def _say_frozen(figures: Figures) -> Sentence:
    return sentence(
        "The image has not changed at all for %(duration)s.",
        duration=describe_duration(figures.scene["still_s"]),
    )


CHECKS = (
    Check(
        "software_decoding",
        gettext_noop("software decoding"),
        _decodes_in_software,
        begin=1.0,
        end=1.0,
        begin_after_s=0.0,
        message=_say_software,
        advice=gettext_noop("Check the driver of the graphics card, or set DECODE to “software”."),
    ),
    Check(
        "key_frame_interval",
        gettext_noop("rare key frames"),
        _key_interval_s,
        begin=4.6,
        end=4.2,
        warning=9.0,
        message=_say_key_interval,
        advice=gettext_noop(
            "Set the key frame interval (GOP, I-frame interval) to 2 s in the camera, and disable smart codecs."
        ),
    ),
    Check(
        "packet_loss",
        gettext_noop("packet loss"),
        _reported("packet_loss"),
        begin=0.01,
        end=0.005,
        warning=0.01,
        problem=0.05,
        message=_say_loss,
        advice=gettext_noop(
            "Connect the camera by cable or move it nearer to the access point; if that does not help, lower its "
            "bitrate."
        ),
    ),
    Check(
        "jitter",
        gettext_noop("jitter"),
        _reported("jitter_s"),
        begin=0.04,
        end=0.025,
        warning=0.08,
        message=_say_jitter,
        advice=gettext_noop("Connect the camera by cable, or use a Wi-Fi channel with less traffic."),
    ),
    Check(
        "frame_rate",
        gettext_noop("few frames"),
        _frame_share,
        begin=0.8,
        end=0.9,
        warning=0.8,
        message=_say_frame_rate,
        advice=gettext_noop(
            "Lower the resolution or the maximum exposure time in the camera, or its frame rate if that is "
            "intended."
        ),
    ),
    Check(
        "clock_offset",
        gettext_noop("clock"),
        _clock_error_s,
        begin=5.0,
        end=3.0,
        warning=60.0,
        message=_say_clock,
        advice=gettext_noop("Enable NTP in the camera, and check its time zone."),
    ),
    Check(
        "less_data",
        gettext_noop("less data"),
        _bitrate_share,
        begin=0.6,
        end=0.7,
        warning=0.6,
        message=_say_less,
        advice=gettext_noop(
            "Check that the lens is not covered and that the settings of the camera have not changed."
        ),
    ),
    Check(
        "more_data",
        gettext_noop("more data"),
        _bitrate_share,
        begin=2.0,
        end=1.7,
        message=_say_more,
        advice=gettext_noop("Check the bitrate setting of the camera: recordings fill the disk sooner."),
    ),
    Check(
        "black",
        gettext_noop("black"),
        _brightest,
        begin=BLACK_LEVEL,
        end=NOT_BLACK_LEVEL,
        problem=NOT_BLACK_LEVEL,
        message=lambda _: gettext_noop("The camera shows a black image."),
        advice=gettext_noop("Check the light, the lens cover, and the infrared setting of the camera."),
    ),
    Check(
        "covered",
        gettext_noop("covered"),
        _unless_black("detail"),
        begin=1.3,
        end=1.6,
        warning=1.6,
        message=lambda _: gettext_noop("The image has almost no detail: the lens may be covered or dirty."),
        advice=gettext_noop("Check the lens, and clean it."),
    ),
    Check(
        "frozen",
        gettext_noop("frozen"),
        _unless_black("still_s"),
        begin=60.0,
        end=60.0,
        problem=60.0,
        begin_after_s=0.0,
        message=_say_frozen,
        advice=gettext_noop("Restart the camera."),
    ),
)
"""All findings. Within a level, the most serious one is the last."""
_RANKS = {(level, check.code): rank for rank, (level, check) in enumerate(product(Level, CHECKS))}


# --- state ---


@dataclass(slots=True)
class _Condition:
    """The state of a check. `is_beyond`: whether the figure is beyond the limit, since `changed_ns` (monotonic) and
    `changed_wall_ns`. `finding`: None until the condition has lasted long enough."""

    is_beyond: bool
    changed_ns: int
    changed_wall_ns: int
    finding: Json | None = None


class FindingKeeper:
    """The findings of all cameras. Thread: the event loop."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._conditions: dict[str, dict[str, _Condition]] = {}

    def observe(self, figures: Mapping[str, Figures]) -> dict[str, list[Json]]:
        """Process the current figures of all cameras. Return their findings, the most serious first: {"code", "label",
        "level", "message" and its origin (`core.texts`), "advice", "since_ns" (wall clock)}.
        """
        self._conditions = {slug: self._conditions.get(slug, {}) for slug in figures}
        return {slug: self._observe(self._conditions[slug], each) for slug, each in figures.items()}

    def _observe(self, conditions: dict[str, _Condition], figures: Figures) -> list[Json]:
        is_running = figures.report.get("state") in _RUNNING
        for check in CHECKS:
            value = check.value(figures) if is_running else None
            if value is not None or check.code in conditions:
                self._apply(check, conditions, value, figures)
        found = [each.finding for each in conditions.values() if each.finding is not None]
        return sorted(found, key=lambda each: _RANKS[each["level"], each["code"]], reverse=True)

    def _apply(
        self, check: Check, conditions: dict[str, _Condition], value: float | None, figures: Figures
    ) -> None:
        condition = conditions.get(check.code) or _Condition(False, 0, 0)
        has_begun = condition.finding is not None
        is_beyond = value is not None and check.exceeds(value, check.end if has_begun else check.begin)
        now_ns = self._clock.monotonic_ns()
        if is_beyond is not condition.is_beyond:
            condition.is_beyond, condition.changed_ns = is_beyond, now_ns
            if not has_begun:
                condition.changed_wall_ns = self._clock.wall_ns()
        lasted_s = (now_ns - condition.changed_ns) / 1e9
        if value is not None and is_beyond:
            conditions[check.code] = condition
            if has_begun or lasted_s >= check.begin_after_s:
                condition.finding = _describe(check, value, figures, condition.changed_wall_ns)
        elif not has_begun or lasted_s >= (UNKNOWN_AFTER_S if value is None else check.end_after_s):
            conditions.pop(check.code, None)


def _describe(check: Check, value: float, figures: Figures, since_ns: int) -> Json:
    message = check.message(figures)
    return {
        "code": check.code,
        "label": check.label,
        "level": check.level(value),
        "message": str(message),
        **origin_of(message),
        "advice": check.advice,
        "since_ns": since_ns,
    }
