"""Scripts that fork, in separate processes, because the test process may have threads."""

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path


def run_script(script: str, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python code, with warnings as errors, until that process ends. Processes that it has started may continue.

    `path`: a directory that it can import from.
    """
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as errors:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([*([str(path)] if path else []), *sys.path])},
            stdout=printed,
            stderr=errors,
            timeout=60,
            check=False,
        )
        texts = [os.pread(file.fileno(), 1 << 20, 0).decode() for file in (printed, errors)]
    return subprocess.CompletedProcess(done.args, done.returncode, *texts)
