"""Password login: limits on failures, and on concurrent password checks.

A failed attempt counts against its network and its account, whether or not the account exists. Anyone can use up
these two limits, so they do not apply to a browser that has logged in to the account before, which a cookie proves,
and the account's limit does not apply to a network from which the account has logged in. Those have separate limits,
so the owner can log in while others attack the account.
"""

import contextlib
import hashlib
import secrets
import threading
import unicodedata
from collections.abc import Iterator

from django.contrib.auth.base_user import AbstractBaseUser
from django.core import signing
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from ninjacam.actions.audit_signals import record_failure
from ninjacam.auth import address_of_request
from ninjacam.core.errors import LimitError
from ninjacam.throttle import get_throttle, network_of

COOKIE = "ninjacam_known"
_COOKIE_AGE_S = 365 * 24 * 3600
_SALT = "ninjacam.known-browser/1"
_KNOWN_NETWORK_S = 90 * 24 * 3600

FAILURES_PER_NETWORK = 20
NETWORK_EVERY_S = 30.0
FAILURES_PER_ACCOUNT = 10
ACCOUNT_EVERY_S = 60.0
"""Limits on failures: (burst, seconds per further one)."""

CHECKS_AT_ONCE = 1
CHECKS_WAITING = 4
CHECK_WAIT_S = 5.0
"""Seconds that a check may wait. Limits apply per worker, and separately to known browsers: checking a password
takes half a second of CPU time."""

_Bucket = tuple[str, int, float]


class Busy:
    """Admits a few callers at once, lets a few more wait, and refuses the others."""

    def __init__(self) -> None:
        self._turns = threading.BoundedSemaphore(CHECKS_AT_ONCE)
        self._places = threading.BoundedSemaphore(CHECKS_AT_ONCE + CHECKS_WAITING)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn. Raises: LimitError."""
        if not self._places.acquire(blocking=False):
            raise LimitError(_("Too many people are logging in right now. Try again in a few seconds."))
        try:
            if not self._turns.acquire(timeout=CHECK_WAIT_S):
                raise LimitError(_("Too many people are logging in right now. Try again in a few seconds."))
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()


_anybody, _known_browsers = Busy(), Busy()


def account_of(username: str) -> str:
    """Return the key under which attempts for an account are counted. Equivalent spellings are one account."""
    plain = unicodedata.normalize("NFKC", username[:200]).casefold()
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()[:24]


@contextlib.contextmanager
def attempt(request: HttpRequest | None, username: str) -> Iterator[None]:
    """Wrap the check of a password, which fails by raising ValidationError.

    The attempt is counted before the check, so that concurrent attempts cannot exceed the limit, and is given back
    if it succeeds. Raises: LimitError: too many attempts have failed, or too many passwords are being checked.
    """
    throttle = get_throttle()
    account = account_of(username)
    address = address_of_request(request) if request is not None else ""
    network = network_of(address)
    browser = _known_browser(request, account)
    buckets = _buckets(account, network, browser)
    taken: list[_Bucket] = []
    refused_for_s = 0.0
    for key, burst, every_s in buckets:
        refused_for_s = throttle.take(key, burst=burst, every_s=every_s)
        if refused_for_s:
            break
        taken.append((key, burst, every_s))
    if refused_for_s:
        _give_back(taken)
        record_failure("login.throttled", username, address)
        raise LimitError(
            _("Too many failed attempts to log in. Try again in %(seconds)d seconds.")
            % {"seconds": int(refused_for_s) + 1}
        )
    try:
        with (_known_browsers if browser else _anybody).turn():
            yield
    except ValidationError:
        raise
    except BaseException:  # The password was correct.
        _give_back(taken)
        raise
    _give_back(taken)
    throttle.mark(f"login network:{account}:{network}", for_s=_KNOWN_NETWORK_S)


def _buckets(account: str, network: str, browser: str) -> list[_Bucket]:
    if browser:
        return [(f"login browser:{browser}", FAILURES_PER_ACCOUNT, ACCOUNT_EVERY_S)]
    found = []
    if network:
        found.append((f"login:{network}", FAILURES_PER_NETWORK, NETWORK_EVERY_S))
    known = network and get_throttle().is_marked(f"login network:{account}:{network}")
    name = f"login account:{account}:{network}" if known else f"login account:{account}"
    found.append((name, FAILURES_PER_ACCOUNT, ACCOUNT_EVERY_S))
    return found


def _give_back(taken: list[_Bucket]) -> None:
    for key, _burst, every_s in taken:
        get_throttle().give_back(key, every_s=every_s)


def _known_browser(request: HttpRequest | None, account: str) -> str:
    """Return the browser's number if it has logged in to the account before, else an empty string."""
    value = request.COOKIES.get(COOKIE, "") if request is not None else ""
    if not value or len(value) > 300:
        return ""
    try:
        its_account, browser = signing.loads(value, salt=_SALT, max_age=_COOKIE_AGE_S)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(browser) if its_account == account else ""


def remember_browser(request: HttpRequest, response: HttpResponse, user: AbstractBaseUser) -> None:
    """Set the cookie on the response to a successful login."""
    value = signing.dumps([account_of(user.get_username()), secrets.token_hex(12)], salt=_SALT)
    response.set_cookie(
        COOKIE, value, max_age=_COOKIE_AGE_S, httponly=True, samesite="Lax", secure=request.is_secure()
    )


def note_login(
    sender: object, request: HttpRequest | None, user: AbstractBaseUser, **_kwargs: object
) -> None:
    """Handle Django's signal `user_logged_in`."""
    if request is not None:
        request._ninjacam_logged_in = user  # type: ignore[attr-defined] # for the middleware


def logged_in_user(request: HttpRequest) -> AbstractBaseUser | None:
    """Return the user who logged in with this request."""
    return getattr(request, "_ninjacam_logged_in", None)
