"""`python -m ninjacam.processes.export_job`: creates one export, or runs one backtest, described on standard input by
`supervision.job_process`.

Sets up Django only if a processor is needed, because processors are defined in apps. Started only by the engine's
jobs.
"""

import argparse
import contextlib
import json
import logging
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ninjacam.core.errors import NinjacamError
from ninjacam.core.limits import confine, die_with_parent, keep_files_private

MEMORY_BYTES = 4 << 30
NICE = 10
TELL_EVERY_S = 0.25


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True, help="process that this one ends with")
    keep_files_private()
    die_with_parent(parser.parse_args().parent)
    os.nice(NICE)
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Output of user code must not mix with the job's messages.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    question = json.load(sys.stdin)

    def report(**message: Any) -> None:
        output.write(json.dumps(message) + "\n")
        output.flush()

    try:
        made = _make(question, _Progress(lambda share: report(progress=round(share, 4))))
    except NinjacamError as exc:
        report(error=exc.as_dict())
    else:
        report(result=asdict(made))


class _Progress:
    """Limits the rate of progress reports."""

    def __init__(self, report: Callable[[float], None]) -> None:
        self._report = report
        self._due_s = 0.0

    def __call__(self, share: float) -> None:
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + TELL_EVERY_S
            self._report(share)


def _make(question: dict[str, Any], on_progress: Callable[[float], None]) -> Any:
    """Raises: NinjacamError."""
    if question["kind"] == "backtest":
        return _try_options(question, on_progress)
    from ninjacam.recordings.export import ExportSpec, export_copy

    spec = ExportSpec.from_dict(question)
    # Models map more address space than they use.
    confine(memory_bytes=resource.RLIM_INFINITY if spec.view else MEMORY_BYTES)
    on_progress(0)
    if spec.kind == "copy":
        paths = [Path(path) for path in spec.paths]
        return export_copy(paths, spec.start_ns, spec.end_ns, Path(spec.output), on_progress)
    if spec.kind == "key_frames":
        from ninjacam.recordings.key_timelapse import export_key_frames

        return export_key_frames(spec, on_progress)
    import cv2

    from ninjacam.core.memory import keep_freed_frames
    from ninjacam.recordings.render import export_drawn

    cv2.setNumThreads(1)
    keep_freed_frames()
    if not spec.view:
        return export_drawn(spec, on_progress)
    with contextlib.closing(_load_view(spec.camera, spec.view)) as view:
        return export_drawn(spec, on_progress, view.draw)


def _try_options(question: dict[str, Any], on_progress: Callable[[float], None]) -> Any:
    """Raises: NinjacamError."""
    from ninjacam.backtest.trial import TrialSpec, run_trial

    confine(memory_bytes=resource.RLIM_INFINITY)  # User code runs in its children (`processes.backtest_job`).
    on_progress(0)
    return run_trial(TrialSpec.from_dict(question), on_progress)


def _load_view(camera: str, view: str) -> Any:
    """Raises: ViewNotFoundError, ProcessorError."""
    import django

    django.setup()
    from ninjacam import events
    from ninjacam.conf import get_settings
    from ninjacam.core.zones import Zones
    from ninjacam.models import Camera
    from ninjacam.processes.processor_modules import processor_modules
    from ninjacam.vision.calling import RecordedView
    from ninjacam.vision.code import ProcessorCode

    events.send_to(events.discard)  # Only the result of an export matters; errors of close() were logged.
    code = ProcessorCode(processor_modules(get_settings()))
    code.refresh()
    row = Camera.objects.filter(slug=camera).first() or Camera(slug=camera)
    return RecordedView(camera, view, code, row.processor_options, Zones(row.drawn_zones()))


if __name__ == "__main__":
    main()
