"""Password hashing of the product: Django's, without slowing down the streams of the same process."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from django.contrib.auth.hashers import PBKDF2PasswordHasher

_NICENESS = 19


class BackgroundPBKDF2PasswordHasher(PBKDF2PasswordHasher):
    """Django's default hash, in the same format. One at a time per process, in a thread with the lowest priority.

    A hash deliberately takes half a second of CPU time, so many logins could stop all video otherwise.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return _executor(os.getpid()).submit(super().encode, password, salt, iterations).result()


@lru_cache(maxsize=1)
def _executor(pid: int) -> ThreadPoolExecutor:
    """Return the executor of this process: threads do not survive a fork."""
    return ThreadPoolExecutor(1, thread_name_prefix="ninjacam-passwords", initializer=_step_back)


def _step_back() -> None:
    """Lower the priority of this thread. Linux has a priority for each thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
