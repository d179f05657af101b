"""`python -m ninjacam.processes.capture_worker --name NAME --run-dir DIR`: started only by the engine."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ninjacam.capture.process import CaptureProcess
from ninjacam.core.limits import NATIVE_DATA_BYTES, confine, keep_files_private
from ninjacam.engine.plan import OWN_CAPTURE
from ninjacam.recordings.writer import PERIOD_S, RecordingWriter
from ninjacam.supervision.child import child_parser, run_loop

MEMORY_BYTES = 4 << 30
"""Address space limit; a capture process of 16 cameras uses about 60 MB of it."""
LAST_WRITES_S = 0.8
"""Seconds to write remaining data at the end. The engine waits for 1.2 s."""


def main(arguments: Sequence[str] | None = None) -> None:
    keep_files_private()
    parser = child_parser()
    parser.add_argument("--recordings-dir", type=Path)
    parser.add_argument("--period-s", type=float, default=PERIOD_S, help="of a recorded file")
    options = parser.parse_args(arguments)
    is_native = options.name.startswith(OWN_CAPTURE)
    confine(memory_bytes=MEMORY_BYTES, data_bytes=NATIVE_DATA_BYTES if is_native else None)
    writer = (
        RecordingWriter(options.recordings_dir, period_s=options.period_s) if options.recordings_dir else None
    )
    process = CaptureProcess(
        name=options.name, run_dir=options.run_dir, orphan_s=options.orphan_s, sinks=writer
    )
    run_loop(process.run)
    if writer is not None:
        writer.close()
        if not writer.join(LAST_WRITES_S):
            logging.getLogger("ninjacam.capture").error("the disk is too slow: the last second is lost")


if __name__ == "__main__":
    main()
