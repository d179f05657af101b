"""An empty PostgreSQL server on 127.0.0.1, without a password, for the duration of a `with` block."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.harness.processes import Process, free_port, wait_until

_PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
_USER = "postgres"
"""The server refuses to run as root. Debian's package creates this account."""


def postgres_missing() -> str:
    """Return the reason why PostgreSQL is not available; empty if it is."""
    if _PROGRAMS is None:
        return "PostgreSQL is not installed (apt install postgresql)."
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(_USER)
        except KeyError:
            return f"There is no account {_USER!r} for PostgreSQL."
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        return f"psycopg cannot be imported: {error}"
    return ""


def _as_owner(*command: str) -> list[str]:
    return (
        ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups", *command]
        if not os.geteuid()
        else [*command]
    )


class Postgres(Process):
    """`url`: the value of DATABASE_URL."""

    def __init__(self) -> None:
        assert _PROGRAMS is not None
        self.port = free_port()
        self.url = f"postgres://{_USER}@127.0.0.1:{self.port}/postgres"
        self._directory = tempfile.TemporaryDirectory(prefix="postgres-", dir="/tmp")
        data = Path(self._directory.name)
        if not os.geteuid():
            shutil.chown(data, _USER, _USER)
        subprocess.run(
            _as_owner(str(_PROGRAMS / "initdb"), "-D", str(data), "-U", _USER, "-A", "trust", "-E", "UTF8"),
            check=True, capture_output=True, cwd="/",
        )  # fmt: skip
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-p", str(self.port)]
        super().__init__(
            "postgres", _as_owner(str(_PROGRAMS / "postgres"), "-D", str(data), *options), cwd=Path("/")
        )

    def start(self) -> "Postgres":
        super().start()
        ready = [str((_PROGRAMS or Path()) / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until(
            lambda: subprocess.run(ready, check=False).returncode == 0, 30, "PostgreSQL", processes=[self]
        )
        return self

    def close(self) -> None:
        if self._child is not None and self.is_running():
            self.child.send_signal(2)  # SIGINT: a fast shutdown, which does not wait for clients
            self.wait(20)
        super().close()
        self._directory.cleanup()
