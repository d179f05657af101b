"""The setup link: the first administrator of an installation without one, created in the browser.

`ninjacam serve` prints the link. The data directory has only the token's hash. The link is used up by removing that
file, which succeeds for one process only, so two people with the link cannot both become administrators.
"""

import hashlib
import hmac
import json
import os
import secrets
import time
from pathlib import Path

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record_as
from ninjacam.actions.audit_signals import record_failure
from ninjacam.actions.sign_in import FAILURES_PER_NETWORK, NETWORK_EVERY_S
from ninjacam.auth import address_of_request
from ninjacam.conf import get_settings
from ninjacam.core.errors import LimitError, NotFoundError
from ninjacam.throttle import get_throttle, network_of

LIFETIME_S = 3600.0
"""Seconds for which a setup link is valid. Each start of `ninjacam serve` makes a new one."""
MAX_TOKEN_CHARS = 100


def make_setup_token() -> str | None:
    """Return a new token, which replaces the previous one; None if there is an administrator."""
    if _has_administrator():
        _path().unlink(missing_ok=True)
        return None
    token = secrets.token_urlsafe(32)
    new = _path().with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"hash": _hash_of(token), "expires": time.time() + LIFETIME_S}, file)
    new.replace(_path())
    return token


def check_setup_token(request: HttpRequest, token: str) -> None:
    """Raises: NotFoundError: the token is wrong, expired or used, or there is an administrator; LimitError: too many
    attempts have failed in this network, at the login or here."""
    throttle, address = get_throttle(), address_of_request(request)
    network = network_of(address)
    bucket = f"login:{network}"
    # Without a network, as for this host, nobody may block the others. A token cannot be guessed anyway.
    wait_s = throttle.take(bucket, burst=FAILURES_PER_NETWORK, every_s=NETWORK_EVERY_S) if network else 0
    if wait_s:
        raise LimitError(
            _("Too many failed attempts to log in. Try again in %(seconds)d seconds.")
            % {"seconds": int(wait_s) + 1}
        )
    if not _is_valid(token):
        record_failure("setup.failed", "", address)
        raise _not_valid()
    if network:
        throttle.give_back(bucket, every_s=NETWORK_EVERY_S)


@audited
def create_first_administrator(request: HttpRequest, token: str, user: AbstractUser) -> None:
    """Save `user`, which has a valid name and password, as the administrator, and use up the link.

    Raises: NotFoundError, LimitError, as `check_setup_token`.
    """
    check_setup_token(request, token)
    user.is_staff = user.is_superuser = True
    with transaction.atomic():
        user.save()
        try:
            _path().unlink()  # Last: if another request was first, this one is rolled back.
        except FileNotFoundError as error:
            raise _not_valid() from error
    record_as(
        user.get_username(), "setup.administrator", user.get_username(), address=address_of_request(request)
    )


def _is_valid(token: str) -> bool:
    try:
        stored = json.loads(_path().read_text())
        expected, expires = str(stored["hash"]), float(stored["expires"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    is_equal = hmac.compare_digest(_hash_of(token[:MAX_TOKEN_CHARS]), expected)
    return is_equal and time.time() < expires and not _has_administrator()


def _not_valid() -> NotFoundError:
    return NotFoundError(
        _(
            "This setup link is not valid. Log in, or restart “ninjacam serve”: it prints a new link while there is no "
            "administrator. Or run “ninjacam createuser NAME --admin”."
        )
    )


def _has_administrator() -> bool:
    return get_user_model()._default_manager.filter(is_superuser=True).exists()


def _hash_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _path() -> Path:
    return get_settings().data_dir / "setup-link"
