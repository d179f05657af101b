import os
import threading
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher as Usual
from django.contrib.auth.hashers import check_password, get_hasher, make_password

from ninjacam.site import hashers
from ninjacam.site import settings as product

NAMES = product.PASSWORD_HASHERS


def test_the_hash_equals_that_of_django(settings: Any) -> None:
    usual = Usual().encode("a password", "salt", 1000)
    settings.PASSWORD_HASHERS = NAMES
    assert isinstance(get_hasher("pbkdf2_sha256"), hashers.BackgroundPBKDF2PasswordHasher)
    assert check_password("a password", usual) and not check_password("another", usual)
    assert get_hasher().encode("a password", "salt", 1000) == usual  # type: ignore[call-arg] # of PBKDF2
    assert make_password("x").startswith("pbkdf2_sha256$")


def test_hashing_runs_in_a_thread_with_the_lowest_priority() -> None:
    executor = hashers._executor(os.getpid())
    thread, priority = executor.submit(
        lambda: (threading.current_thread().name, os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    ).result()
    assert thread.startswith("ninjacam-passwords") and priority == 19
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < 19
