"""An ASGI application under each of the servers that are commonly used with Django."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from benchmarks.proc import descendants
from tests.harness.processes import Process, free_port, python, wait_until

ServerName = Literal["uvicorn", "gunicorn-asgi", "gunicorn-uvicorn", "granian"]
SERVERS: tuple[ServerName, ...] = ("uvicorn", "gunicorn-asgi", "gunicorn-uvicorn", "granian")


def _command(name: ServerName, application: str, port: int, workers: int) -> list[str]:
    address = f"127.0.0.1:{port}"
    match name:
        case "uvicorn":
            return [
                "-m",
                "uvicorn",
                application,
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--workers",
                str(workers),
            ]
        case "gunicorn-asgi":
            return ["-m", "gunicorn", application, "-k", "asgi", "-b", address, "-w", str(workers)]
        case "gunicorn-uvicorn":
            worker = "uvicorn_worker.UvicornWorker"
            return ["-m", "gunicorn", application, "-k", worker, "-b", address, "-w", str(workers)]
        case "granian":
            place = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
            return ["-m", "granian", "--interface", "asgi", application, *place]


class AsgiServer(Process):
    """`application`: "module:name", importable from `cwd`. `options`: additional command-line options of the server."""

    def __init__(
        self,
        name: ServerName,
        application: str,
        *options: str,
        workers: int = 1,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.port = port or free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.workers = workers
        self._single = name == "uvicorn" and workers == 1
        self._is_granian = name == "granian"
        command = python(*_command(name, application, self.port, workers), *options)
        super().__init__(f"{name} x{workers}", command, environment=environment, cwd=cwd)

    def start(self) -> Self:
        """Wait until the server accepts connections and all its workers run.

        Granian's workers lose a SIGTERM while they import, and granian then waits for them without end.
        """
        super().start()
        wait_until(self._accepts, 30, f"{self.name} listening", processes=[self])
        if self._is_granian:
            wait_until(
                lambda: self.output.count("Started worker-") >= self.workers,
                30,
                "all workers",
                processes=[self],
            )
        wait_until(
            lambda: len(self.worker_pids()) >= self.workers, 30, f"workers of {self.name}", processes=[self]
        )
        return self

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.5):
            return True
        return False

    def worker_pids(self) -> list[int]:
        if self._single:
            return [self.pid]
        return [pid for pid in descendants(self.pid)[1:] if not _is_tracker(pid)]

    def reload(self, timeout_s: float = 60.0) -> float:
        """Send SIGHUP and return the seconds until all old workers have ended. Not for uvicorn without workers.

        Granian replaces one worker after the other, in 3.5 s each, and ignores SIGTERM meanwhile.
        """
        started_s, old = time.monotonic(), set(self.worker_pids())
        os.kill(self.pid, signal.SIGHUP)
        wait_until(
            lambda: not old & set(self.worker_pids()), timeout_s, f"reload of {self.name}", processes=[self]
        )
        wait_until(
            lambda: len(self.worker_pids()) >= self.workers, 30, f"workers of {self.name}", processes=[self]
        )
        return time.monotonic() - started_s


def _is_tracker(pid: int) -> bool:
    """Return whether the process is multiprocessing's resource tracker, which is not a worker."""
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
