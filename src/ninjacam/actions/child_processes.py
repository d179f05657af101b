"""Runs work of a request in a separate process, which may crash or never return, with limits on time and number."""

import contextlib
import os
import selectors
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

from ninjacam.core.errors import LimitError
from ninjacam.core.interpreter import bare_environment, full_environment, python_command
from ninjacam.core.limits import kill_session

MAX_PRINTED_BYTES = 16 << 20
"""Maximum size of an answer. A process that reads foreign data may print without end."""
READ_BYTES = 1 << 16


def run_module(module: str, question: bytes, timeout_s: float, *, bare: bool) -> bytes | None:
    """Return the output of a module that is run with `question` as its standard input. None: timeout; empty: it printed
    more than MAX_PRINTED_BYTES. Blocks.

    `bare`: run it without our environment, which contains secrets. Use it if the module reads foreign data. The process
    and its children end with this call, and with this process.
    """
    deadline_s = time.monotonic() + timeout_s
    with tempfile.TemporaryFile() as stdin:  # A pipe would block us until the module reads.
        stdin.write(question)
        stdin.seek(0)
        process = subprocess.Popen(
            python_command(module, "--parent", str(os.getpid())),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=bare_environment() if bare else full_environment(),
            start_new_session=True,
        )
    assert process.stdout is not None
    with process.stdout as stdout:
        try:
            return _read_all(stdout.fileno(), deadline_s)
        finally:
            kill_session(process)


def _read_all(descriptor: int, deadline_s: float) -> bytes | None:
    printed = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while (left_s := deadline_s - time.monotonic()) > 0:
            if selector.select(left_s):
                data = os.read(descriptor, READ_BYTES)
                printed += data
                if not data:
                    return bytes(printed)
                if len(printed) > MAX_PRINTED_BYTES:
                    return b""
    return None


class UserSlots:
    """Limits concurrent work in this worker: one per user, so that users do not block each other, and `at_once` in
    total.

    `own`, `others`: messages of the error, lazily translated.
    """

    def __init__(self, at_once: int, *, own: Any, others: Any) -> None:
        self._at_once = at_once
        self._own = own
        self._others = others
        self._users: list[Any] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def take(self, user: Any) -> Iterator[None]:
        """Occupy a slot. `user`: None: no particular user. Raises: LimitError."""
        key = None if user is None else user.pk
        with self._lock:
            if key is not None and key in self._users:
                raise LimitError(str(self._own))
            if len(self._users) >= self._at_once:
                raise LimitError(str(self._others))
            self._users.append(key)
        try:
            yield
        finally:
            with self._lock:
                self._users.remove(key)
