"""Change what a user is notified of, mute cameras, and add and remove browsers.

Not here: sending (`push_messages`). A subscription ends when its browser logs out, its user is deactivated or gets
another password, or its push service does not know it any more.
"""

import json
import secrets
from collections.abc import MutableMapping
from typing import Any
from uuid import uuid4

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import post_save
from django.http import HttpRequest
from django.utils import translation
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record, record_as
from ninjacam.actions.conditions import ConditionFields, check_conditions
from ninjacam.auth import Principal, password_guard
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import (
    ConfigError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    LimitError,
    NotFoundError,
    QuotaError,
)
from ninjacam.credentials import fingerprint
from ninjacam.models import (
    Action,
    NotificationChoice,
    Phase,
    PushSubscription,
    Role,
    VapidKey,
    WebhookDelivery,
)
from ninjacam.models.notification import (
    EVERYTHING,
    MAX_ENDPOINT_CHARS,
    MAX_MUTE_NS,
    MAX_SUBSCRIPTIONS,
    TTL_NS,
    hash_endpoint,
    remove_subscriptions,
)
from ninjacam.permissions import AnyUser
from ninjacam.push.encryption import receiver_keys
from ninjacam.queries.cameras import get_recorded, may_deleted
from ninjacam.queries.notifications import require_own
from ninjacam.queries.profiles import require_profiles
from ninjacam.signing import read_mute
from ninjacam.sources.urls import parse_url
from ninjacam.throttle import get_throttle

HOUR_S = 3600
TESTS_AT_ONCE = 3
TEST_EVERY_S = 20.0
"""Limit on test notifications of one user: (burst, seconds per further one)."""
_BROWSER_KEY = "ninjacam_browser"
"""Of the session: identifies the browser, also after its session key has changed."""

_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"),
            ("CrOS", "ChromeOS"), ("Linux", "Linux"))  # fmt: skip


def browser_marker(user: AnyUser) -> str:
    """Return a text by which a browser notices that another user has logged in, or that the password has changed:
    `<user>.<password>`, neither of which reveals anything.
    """
    return (
        f"{fingerprint('push user', user.pk)}.{password_guard(user)}"
        if isinstance(user, AbstractBaseUser)
        else ""
    )


@audited
def update_notifications(who: Principal, fields: ConditionFields) -> NotificationChoice:
    """Change the fields in `fields`. Raises: ForbiddenError; InvalidError: also for cameras whose events the user may
    not read.
    """
    require_own(who)
    with transaction.atomic():
        choice = _locked_choice(who)
        before = set(choice.cameras)
        for name, value in fields.items():
            setattr(choice, name, value)
        _check_cameras(who, choice, before)
        if set(choice.profiles) and "profiles" in fields:
            require_profiles(who, "view")
        check_conditions(choice)
        choice.save()
    record(who, "notifications.update", who.user.get_username(), fields=sorted(fields))
    return choice


def _locked_choice(who: Principal) -> NotificationChoice:
    """Return the user's row, which is created if there is none, locked until the transaction ends."""
    NotificationChoice.objects.bulk_create([NotificationChoice(user_id=who.user.pk)], ignore_conflicts=True)
    return NotificationChoice.objects.select_for_update().get(user_id=who.user.pk)


def _check_cameras(who: Principal, choice: NotificationChoice, before: set[str]) -> None:
    """Raises: InvalidError: the user may not read the events of a new camera; unknown ones get the same answer."""
    if not isinstance(choice.cameras, list):
        return  # `check_conditions` refuses it.
    for slug in choice.cameras:
        if slug not in before:
            try:
                get_recorded(who, str(slug), Role.REPLAY)
            except (NotFoundError, ForbiddenError) as error:
                raise InvalidError.of("cameras", str(error)) from error


@audited
def mute_notifications(who: Principal, slug: str | None, duration_s: int) -> None:
    """Mute a camera (None: everything, "": the host) from now on; 0 s ends that. Raises: ForbiddenError, NotFoundError,
    InvalidError.
    """
    require_own(who)
    if not 0 <= duration_s * 10**9 <= MAX_MUTE_NS:
        raise InvalidError.of("duration_s", _("Use a number of seconds from 0 to 86400."))
    if slug:
        get_recorded(who, slug, Role.REPLAY)
    elif slug == "" and not may_deleted(who, Role.REPLAY):
        raise ForbiddenError(_("You need the role “%(role)s” for all cameras.") % {"role": str(Role.REPLAY)})
    with transaction.atomic():
        _mute(_locked_choice(who), EVERYTHING if slug is None else slug, duration_s)
    record(who, "notifications.mute", EVERYTHING if slug is None else slug, duration_s=duration_s)


def mute_by_notification(token: str) -> None:
    """Mute the camera of a notification for an hour. Raises: NotFoundError: the token is forged or has expired, or its
    browser receives no notifications any more.
    """
    meant = read_mute(token)
    found = None
    with transaction.atomic():
        if meant is not None:
            subscriptions = PushSubscription.objects.filter(pk=meant[0]).values("choice")
            choices = NotificationChoice.objects.filter(pk__in=subscriptions, user__is_active=True)
            found = choices.select_for_update(of=("self",)).select_related("user").first()
        if meant is None or found is None:
            raise NotFoundError(_("This notification is too old to mute its camera."))
        _mute(found, meant[1], HOUR_S)
    record_as(found.user.get_username(), "notifications.mute", meant[1], duration_s=HOUR_S)


def _mute(choice: NotificationChoice, key: str, duration_s: int) -> None:
    """Save the mute, and forget those that have ended: there are no more than cameras."""
    now_ns = SYSTEM_CLOCK.wall_ns()
    mutes = {**choice.present_mutes(now_ns), key: now_ns + duration_s * 10**9}
    choice.mutes = {slug: until_ns for slug, until_ns in mutes.items() if until_ns > now_ns}
    choice.save(update_fields=["mutes"])


@audited
def subscribe(
    who: Principal,
    session: MutableMapping[str, Any],
    *,
    endpoint: str,
    p256dh: str,
    auth: str,
    user_agent: str = "",
) -> PushSubscription:
    """Add the browser of this session, or renew what is known of it. Messages have the language of this request.

    Raises: ForbiddenError: not a session; InvalidError; QuotaError: too many browsers; ConflictError: the key of this
    server was replaced, because it cannot be decrypted.
    """
    require_own(who)
    if who.source != "session":
        raise ForbiddenError(_("Only a browser in which you are logged in can receive notifications."))
    _check_target(endpoint, p256dh, auth)
    _check_key()
    browser = session.setdefault(_BROWSER_KEY, secrets.token_hex(8))
    with transaction.atomic():
        choice = _locked_choice(who)
        known = PushSubscription.objects.filter(endpoint_hash=hash_endpoint(endpoint))
        # Another user of the same browser has not logged out.
        remove_subscriptions(known.exclude(choice=choice))
        # The browser has a new address.
        remove_subscriptions(choice.subscriptions.filter(browser=browser).exclude(pk__in=known.values("pk")))
        subscription = known.first() or PushSubscription(choice=choice)
        if subscription.pk is None and choice.subscriptions.count() >= MAX_SUBSCRIPTIONS:
            raise QuotaError(
                _("At most %(count)s browsers receive notifications. Remove one first.")
                % {"count": MAX_SUBSCRIPTIONS}
            )
        subscription.set_target(endpoint, p256dh, auth)
        subscription.name = name_of_browser(user_agent)
        subscription.browser = browser
        subscription.guard = password_guard(who.user)
        subscription.language = translation.get_language() or "en"
        subscription.save()
    record(who, "notifications.subscribe", who.user.get_username(), browser=subscription.name)
    return subscription


def is_browser_of(subscription: PushSubscription, session: MutableMapping[str, Any]) -> bool:
    return bool(subscription.browser) and subscription.browser == session.get(_BROWSER_KEY)


def _check_target(endpoint: str, p256dh: str, auth: str) -> None:
    """Raises: InvalidError."""
    is_short = len(endpoint) <= MAX_ENDPOINT_CHARS and endpoint.isascii() and "@" not in endpoint
    try:
        is_usable = is_short and parse_url(endpoint).scheme == "https"
    except ConfigError:
        is_usable = False
    if not is_usable:
        raise InvalidError.of(
            "endpoint", _("This is not an address of a push service. It starts with https://.")
        )
    try:
        receiver_keys(p256dh, auth)
    except ConfigError as error:
        raise InvalidError.of("keys", _("These are not the keys of a push subscription.")) from error


def _check_key() -> None:
    """Raises: ConflictError."""
    try:
        VapidKey.get().private_key()
    except ConfigError as error:
        VapidKey.replace()
        raise ConflictError(
            _("This server has a new key for notifications. Reload the page, and turn them on again.")
        ) from error


def name_of_browser(user_agent: str) -> str:
    """Return a name such as “Chrome, Android” for lists of browsers."""
    given = user_agent[:500]
    names = [next((name for part, name in known if part in given), "") for known in (_BROWSERS, _SYSTEMS)]
    return ", ".join(filter(None, names)) or _("Browser")


@audited
def unsubscribe(who: Principal, subscription: PushSubscription) -> None:
    """Remove one of the user's browsers. Raises: ForbiddenError."""
    require_own(who)
    remove_subscriptions(PushSubscription.objects.filter(pk=subscription.pk))
    record(who, "notifications.unsubscribe", who.user.get_username(), browser=subscription.name)


def send_test(who: Principal, subscription: PushSubscription) -> None:
    """Have a notification sent that is about no event. Raises: ForbiddenError, LimitError."""
    require_own(who)
    wait_s = get_throttle().take(f"push test:{who.user.pk}", burst=TESTS_AT_ONCE, every_s=TEST_EVERY_S)
    if wait_s:
        raise LimitError(_("Too many tests. Try again in a minute."), retry_after_s=wait_s)
    now_ns, key = SYSTEM_CLOCK.wall_ns(), uuid4()
    WebhookDelivery.objects.create(
        subscription=subscription,
        action=Action.PUSH,
        event_id=-now_ns,
        phase=Phase.BEGUN,
        key=key,
        payload=json.dumps({"id": str(key), "expires_ns": now_ns + TTL_NS}),
        created_ns=now_ns,
        next_try_ns=now_ns,
    )


# --- What ends subscriptions ---


def connect() -> None:
    """Connect the receivers. Idempotent."""
    user_logged_out.connect(_logged_out, dispatch_uid="ninjacam.notifications.logged_out")
    post_save.connect(_saved, sender=get_user_model(), dispatch_uid="ninjacam.notifications.saved")


def _logged_out(
    sender: object, request: HttpRequest | None, user: AbstractBaseUser | None, **_kwargs: object
) -> None:
    browser = (
        request.session.get(_BROWSER_KEY) if request is not None and hasattr(request, "session") else None
    )
    if user is not None and browser:
        remove_subscriptions(PushSubscription.objects.filter(choice__user_id=user.pk, browser=browser))


def _saved(sender: object, instance: Any, raw: bool = False, **_kwargs: object) -> None:
    if not raw and not instance.is_active:
        remove_subscriptions(PushSubscription.objects.filter(choice__user_id=instance.pk))
