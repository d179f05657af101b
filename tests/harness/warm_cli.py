"""Forks `ninjacam` commands from a process that has already imported their modules: 0.1 s instead of 1 s.

For setup and secondary checks. `test_cli.py` tests that the command also starts on its own.
"""

import atexit
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache

from tests.harness.fair_clock import fair_s
from tests.harness.processes import ROOT, python

_IMPORTED = (
    "asyncio", "cryptography.fernet", "django.contrib.auth.hashers", "django.contrib.staticfiles",
    "django.core.management", "django.db.backends.sqlite3.base", "django.db.models", "django.db.migrations.executor",
    "django.forms", "django.template.backends.django", "django.urls", "ninjacam.__main__", "ninjacam.sources.registry",
)  # fmt: skip
"""Modules that do not need settings."""


class _Template:
    """The process that forks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self._child = subprocess.Popen(
                python("-m", "tests.harness.warm_cli", str(number)), pass_fds=[number], cwd=ROOT
            )
        atexit.register(self.close)

    def close(self) -> None:
        self._requests.close()
        self._child.wait(10)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], stdin: str, timeout_s: float
    ) -> "subprocess.CompletedProcess[str]":
        files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
        request = json.dumps({"arguments": list(arguments), "environment": dict(environment)}).encode()
        try:
            os.write(files[0], stdin.encode())
            os.lseek(files[0], 0, os.SEEK_SET)
            with self._lock:
                socket.send_fds(self._requests, [request], files)
                status = self._status(arguments, timeout_s)
            printed = [
                os.pread(file, os.fstat(file).st_size, 0).decode("utf-8", "replace") for file in files[1:]
            ]
        finally:
            for file in files:
                os.close(file)
        return subprocess.CompletedProcess(["ninjacam", *arguments], status, *printed)

    def _status(self, arguments: Sequence[str], timeout_s: float) -> int:
        deadline_s = fair_s() + timeout_s
        while True:
            self._requests.settimeout(max(0.01, deadline_s - fair_s()))
            with suppress(TimeoutError):
                return int(self._requests.recv(16))
            if fair_s() >= deadline_s:
                self._child.kill()
                _template.cache_clear()
                raise subprocess.TimeoutExpired(["ninjacam", *arguments], timeout_s)


@cache
def _template(network: str) -> _Template:
    """`network`: the network namespace of the calling thread, in which its commands must run."""
    return _Template()


def _network() -> str:
    try:
        return os.readlink("/proc/thread-self/ns/net")
    except OSError:
        return ""


def run_command(
    arguments: Sequence[str], environment: Mapping[str, str], *, stdin: str = "", timeout_s: float = 60.0
) -> "subprocess.CompletedProcess[str]":
    """Run `ninjacam ARGUMENTS`. `timeout_s`: on the fair clock. Raises: subprocess.TimeoutExpired."""
    return _template(_network()).run(arguments, environment, stdin, timeout_s)


def _serve(requests: socket.socket) -> None:
    """Run until the tests end."""
    while True:
        request, files, *_ = socket.recv_fds(requests, 1 << 20, 3)
        if not request:
            return
        child = os.fork()
        if child == 0:
            requests.close()
            os._exit(_execute(json.loads(request), files))
        for file in files:
            os.close(file)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        requests.send(str(status).encode())


def _execute(request: dict[str, object], files: Sequence[int]) -> int:
    from django.apps import apps
    from django.db import connections

    from ninjacam.__main__ import main

    for standard, file in enumerate(files):
        os.dup2(file, standard)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload] # strings
    try:
        status: object = main(request["arguments"])  # type: ignore[arg-type] # strings
    except SystemExit as end:
        status = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    if apps.ready:
        connections.close_all()  # as at the end of a process: merges SQLite's log into the database
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


if __name__ == "__main__":
    for name in _IMPORTED:
        importlib.import_module(name)
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        _serve(requests)
