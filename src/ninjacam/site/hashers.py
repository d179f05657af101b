"""How the product checks passwords: as Django does, but never at the expense of the streams of the same process."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from django.contrib.auth.hashers import PBKDF2PasswordHasher

_NICENESS = 19


class BackgroundPBKDF2PasswordHasher(PBKDF2PasswordHasher):
    """Django's default hash, with the same format. One at a time in a process, in a thread of the lowest priority.

    A hash takes half a second of a core on purpose, so whoever sends many logins could stop the pictures of everybody.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return _executor(os.getpid()).submit(super().encode, password, salt, iterations).result()


@lru_cache(maxsize=1)
def _executor(pid: int) -> ThreadPoolExecutor:
    """One for each process: threads do not survive a fork."""
    return ThreadPoolExecutor(1, thread_name_prefix="ninjacam-passwords", initializer=_step_back)


def _step_back() -> None:
    """Linux knows a priority for each thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
