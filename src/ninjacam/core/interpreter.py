"""How a process of ours starts another Python process: what that one may import, and which environment it gets.

Each of them runs with `-P` (safe path): Python then adds neither the current directory nor the script's to `sys.path`.
What is to be importable stands in PYTHONPATH: the directories that this process imports from.
"""

import os
import sys
from pathlib import Path

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_NEEDED = frozenset(
    {"PATH", "LANG", "LANGUAGE", "TZ", "TZDIR", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR"}
)
_NEEDED_PREFIXES = ("LC_", "LD_", "FAKETIME", "MALLOC_", "OMP_", "OPENBLAS_", "OPENCV_", "PYTHON")
"""What steers Python, the linker and native libraries. FAKETIME: of libfaketime, which LD_PRELOAD may name."""


def python_command(module: str, *arguments: str) -> list[str]:
    """The command line of `python -P -m MODULE ARGUMENTS` with this interpreter."""
    return [sys.executable, "-P", "-m", module, *arguments]


def import_path() -> str:
    """PYTHONPATH for a child: the absolute entries of `sys.path`, then the directory of this package.

    A relative entry means the current directory, from which nothing may be imported.
    """
    entries = [entry for entry in sys.path if os.path.isabs(entry)]
    return os.pathsep.join(dict.fromkeys([*entries, str(_PACKAGE_ROOT)]))


def full_environment() -> dict[str, str]:
    """Our environment, for children that load the project's settings: these may read any variable."""
    return {**os.environ, "PYTHONPATH": import_path()}


def bare_environment() -> dict[str, str]:
    """Without secrets, for children that need no settings: among them all that decode what a camera sent."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _NEEDED or name.startswith(_NEEDED_PREFIXES)
    }
    return {**kept, "PYTHONPATH": import_path()}
