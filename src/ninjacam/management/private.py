"""Finds the files and directories that only this user may read, and corrects their modes.

Not here: the umask, which keeps new files private (`core.limits.keep_files_private`).
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from ninjacam.conf import OWN_CERTIFICATE, Settings
from ninjacam.processes.processor_modules import PRODUCT_SETTINGS

OTHERS = 0o077
_OURS = re.compile(
    r"\.?(secret_key|ninjacam\.sqlite3|demo-password|tls\.pem|migrate\.lock|demo|run|recordings|exports|files|models|__pycache__)"
    r"(-wal|-shm|-journal|\..*)?|.*\.py"
)
"""Files that we create in a data directory, and the user's code in it."""


@dataclass(frozen=True, slots=True)
class PrivatePath:
    """A private path. `own`: only Ninjacam creates it, so its mode may be changed without confirmation."""

    what: str
    path: Path
    own: bool

    def mode(self) -> int | None:
        """Return the permission bits if other users have any of them, else None."""
        try:
            mode = stat.S_IMODE(self.path.stat().st_mode)
        except OSError:
            return None
        return mode if mode & OTHERS else None

    @property
    def command(self) -> str:
        """Return the shell command that corrects the mode."""
        return f"chmod go= {self.path}"


def private_paths(config: Settings) -> list[PrivatePath]:
    """Return private paths, directories first. In a user's own project, the database belongs to the project:
    it is reported, but never changed.
    """
    is_product = settings.SETTINGS_MODULE == PRODUCT_SETTINGS
    inside = config.data_dir
    found = [PrivatePath("data directory", inside, _is_ours(inside))]
    for what, path in (
        ("run directory", config.run_dir),
        ("recordings directory", config.recordings_dir),
        ("exports directory", config.exports_dir),
    ):
        found.append(PrivatePath(what, path, path.is_relative_to(inside)))
    found.append(PrivatePath("certificate", inside / OWN_CERTIFICATE, True))
    if is_product:
        found.append(PrivatePath("secret key", inside / "secret_key", True))
        found.append(PrivatePath("demo password", inside / "demo-password", True))
    database = _database_file()
    if database is not None:
        for suffix in ("", "-wal", "-shm"):
            path = database.with_name(database.name + suffix)
            found.append(PrivatePath("database", path, is_product and path.is_relative_to(inside)))
    return found


def _database_file() -> Path | None:
    database = settings.DATABASES.get("default", {})
    name = str(database.get("NAME") or "")
    if not database.get("ENGINE", "").endswith("sqlite3") or not name or ":memory:" in name:
        return None
    return Path(name).absolute()


def _is_ours(directory: Path) -> bool:
    """Return whether the directory contains only known files. A directory shared with others is left
    unchanged.
    """
    if directory in (Path("/"), Path.home()):
        return False
    try:
        return all(_OURS.fullmatch(name) for name in os.listdir(directory))
    except OSError:
        return False


def make_private(paths: Iterable[PrivatePath]) -> Iterator[str]:
    """Remove other users' permissions from our files. Yield a sentence for each change and each failure."""
    for each in paths:
        mode = each.mode()
        if mode is None:
            continue
        if not each.own or each.path.stat().st_uid != os.geteuid():
            yield f"Other users can read the {each.what} {each.path} (mode {mode:o}). Run: {each.command}"
            continue
        try:
            each.path.chmod(mode & ~OTHERS)
        except OSError as error:
            yield f"The mode of the {each.what} {each.path} cannot be changed: {error.strerror}."
        else:
            yield f"Changed the mode of the {each.what} {each.path} from {mode:o} to {mode & ~OTHERS:o}."
