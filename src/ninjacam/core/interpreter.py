"""The command line, import path and environment of our other Python processes.

Each of them runs with `-P` (safe path), so Python adds neither the current directory nor the script's directory to
`sys.path`. PYTHONPATH lists the directories that this process imports from.
"""

import os
import sys
from pathlib import Path

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_NEEDED = frozenset(
    {"PATH", "LANG", "LANGUAGE", "TZ", "TZDIR", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR"}
)
_NEEDED_PREFIXES = ("LC_", "LD_", "FAKETIME", "MALLOC_", "OMP_", "OPENBLAS_", "OPENCV_", "PYTHON")
"""Variables that control Python, the linker and native libraries. FAKETIME: for libfaketime, which LD_PRELOAD may
name.
"""


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command line of `python -P -m MODULE ARGUMENTS` with this interpreter."""
    return [sys.executable, "-P", "-m", module, *arguments]


def import_path() -> str:
    """Return PYTHONPATH for a child: the absolute entries of `sys.path`, then the directory of this package.

    A relative entry depends on the current directory, from which modules must not be imported.
    """
    entries = [entry for entry in sys.path if os.path.isabs(entry)]
    return os.pathsep.join(dict.fromkeys([*entries, str(_PACKAGE_ROOT)]))


def full_environment() -> dict[str, str]:
    """Return our environment, for children that load the project's settings, which may read any variable."""
    return {**os.environ, "PYTHONPATH": import_path()}


def bare_environment() -> dict[str, str]:
    """Return an environment without secrets, for children that need no settings, such as those that decode camera
    data.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _NEEDED or name.startswith(_NEEDED_PREFIXES)
    }
    return {**kept, "PYTHONPATH": import_path()}
