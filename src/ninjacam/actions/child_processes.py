"""Runs work of a request in a separate process, which may crash or never return, with limits on time and number."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

from ninjacam.core.errors import LimitError
from ninjacam.core.interpreter import bare_environment, full_environment, python_command


def run_module(module: str, question: bytes, timeout_s: float, *, bare: bool) -> bytes | None:
    """Return the output of a module that is run with `question` as its standard input; None: timeout. Blocks.

    `bare`: run it without our environment, which contains secrets. Use it if the module reads foreign data.
    """
    try:
        done = subprocess.run(
            python_command(module),
            input=question,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
            env=bare_environment() if bare else full_environment(),
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout


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
