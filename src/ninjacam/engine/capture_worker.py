"""`python -m ninjacam.engine.capture_worker --name capture-1 --run-dir DIR`: started by the engine, never by hand."""

import argparse
from pathlib import Path

from ninjacam.capture.process import CaptureProcess
from ninjacam.core.limits import confine
from ninjacam.hub.child import run_loop

MEMORY_BYTES = 4 << 30
"""Address space, of which a capture of 16 cameras touches some 60 MB."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--orphan-s", type=float, default=60)
    parser.add_argument("--recordings-dir", type=Path)
    arguments = parser.parse_args()
    confine(memory_bytes=MEMORY_BYTES)
    process = CaptureProcess(name=arguments.name, run_dir=arguments.run_dir, orphan_s=arguments.orphan_s)
    run_loop(process.run)


if __name__ == "__main__":
    main()
