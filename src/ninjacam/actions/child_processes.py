"""Work that a request does in a separate process, with limits on time and number: it may crash, or never return."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

from ninjacam.core.errors import LimitError
from ninjacam.core.interpreter import bare_environment, full_environment, python_command


def run_module(module: str, question: bytes, timeout_s: float, *, bare: bool) -> bytes | None:
    """Return what a module prints when it is run with `question` as its standard input; None: it takes too long.

    `bare`: without our environment, which contains secrets: where foreign data are read. Blocks.
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
    """Limits what runs at once in this worker: one for each user, so that none blocks the others; `at_once` in total.

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
        """`user`: None: nobody in particular. Raises: LimitError."""
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
