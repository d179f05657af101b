"""Reads the latest report of this host's engine (`<run>/status.json`): states, processors, views.

The file is parsed only if it has changed. Not here: writing it (`ninjacam.engine`).
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from ninjacam.conf import get_settings
from ninjacam.core.packets import CameraState
from ninjacam.core.viewer_errors import for_viewers
from ninjacam.models import Camera

STALE_AFTER_S = 6.0


@dataclass(frozen=True, slots=True)
class Status:
    """The latest report. `engine_running`: the report is recent. Other fields are as written by the engine, and
    empty if there is no report.

    A camera that no running engine reports has the state "unknown"; its last figures are not reported as current
    ones.
    """

    engine_running: bool = False
    updated_ns: int = 0
    engine_pid: int = 0
    cameras: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    processors: tuple[Mapping[str, Any], ...] = ()
    modules: tuple[Mapping[str, Any], ...] = ()
    is_code_known: bool = False
    views: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    processes: tuple[Mapping[str, Any], ...] = ()
    recordings: Mapping[str, Any] = field(default_factory=dict)
    events: Mapping[str, int] = field(default_factory=dict)

    def camera(self, camera: Camera, *, details: bool) -> Mapping[str, Any]:
        """Return the report about one camera, which always contains `state`.

        `details`: with the full message of its error, for users who may configure it.
        """
        if not camera.enabled:
            return {"state": CameraState.DISABLED.value}
        if not self.engine_running:
            return {"state": CameraState.UNKNOWN.value}
        report = {"state": CameraState.CONNECTING.value, **self.cameras.get(camera.slug, {})}
        return report if details else {**report, "error": for_viewers(report.get("error"))}

    @property
    def is_code_complete(self) -> bool:
        """Return whether `processors` has all of them: a vision worker runs, and has loaded all modules."""
        is_known = self.engine_running and self.is_code_known
        return is_known and not any(module.get("error") for module in self.modules)

    def processors_of(self, slug: str) -> list[Mapping[str, Any]]:
        return [
            processor
            for processor in self.processors
            if any(fnmatchcase(slug, pattern) for pattern in processor.get("cameras", ()))
        ]

    def view_for_guests(self, slug: str) -> str:
        """Return the view that the code declares for the guests of a camera, as it was loaded last; "": none."""
        declared = (each for each in self.processors_of(slug) if each.get("replaces_video_for"))
        return next((str(each["name"]) for each in declared), "")

    def overlay_of(self, slug: str) -> str | None:
        """Return the annotations that our pages display over a camera's video: the recorded ones, if any."""
        return " ".join(str(each["name"]) for each in self.processors_of(slug) if each.get("record")) or None

    def views_of(self, slug: str) -> list[Mapping[str, Any]]:
        """Return a camera's processors that make views. Those that currently fail to load have only a name."""
        processors = [each for each in self.processors_of(slug) if each.get("when") != "events"]
        lost = self.views.get(slug, {}).keys() - {"", *(processor["name"] for processor in processors)}
        return [*processors, *({"name": name} for name in sorted(lost))]


class StatusReader:
    """Reads the report. `read` costs a stat while the file is unchanged. Thread: any; a new report replaces the last
    one atomically."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: tuple[tuple[int, int, int], dict[str, Any]] | None = None

    def read(self, now_ns: int | None = None) -> Status:
        try:
            found = os.stat(self._path)
            key = (found.st_ino, found.st_mtime_ns, found.st_size)
            if self._last is None or self._last[0] != key:
                content = json.loads(self._path.read_bytes())
                self._last = (key, content if isinstance(content, dict) else {})
        except (OSError, ValueError):
            # There is no engine yet, or no permission. The file is never partial: it is replaced atomically.
            return Status()
        report = self._last[1]
        age_s = ((time.time_ns() if now_ns is None else now_ns) - report.get("updated_ns", 0)) / 1e9
        return Status(
            engine_running=abs(age_s) <= STALE_AFTER_S,
            updated_ns=report.get("updated_ns", 0),
            engine_pid=report.get("engine_pid", 0),
            cameras=report.get("cameras", {}),
            processors=tuple(report.get("processors", ())),
            modules=tuple(report.get("modules", ())),
            is_code_known=bool(report.get("is_code_known")),
            views=report.get("views", {}),
            processes=tuple(report.get("processes", ())),
            recordings=report.get("recordings", {}),
            events=report.get("events", {}),
        )


@lru_cache(maxsize=8)
def _file(path: Path) -> StatusReader:
    return StatusReader(path)


def read_status() -> Status:
    """Return the report of the engine that uses this project's run directory."""
    return _file(get_settings().status_path).read()
