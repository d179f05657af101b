"""Audit records of logins, and of writes outside of our actions: in Django's admin, in a shell, by other apps.

Connected once, in `AppConfig.ready`. A queryset's `update()`, `bulk_create()` and SQL send no signals, so they are
not recorded.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.http import HttpRequest

from ninjacam.actions.audit import is_in_action, present_name, record_as
from ninjacam.auth import address_of_request
from ninjacam.models import (
    ApiToken,
    Camera,
    CameraGrant,
    CameraZone,
    Profile,
    ProfileOverride,
    PublishKey,
    Rule,
    Stream,
    Webhook,
)
from ninjacam.throttle import get_throttle, network_of

_FLAGS = ("is_active", "is_staff", "is_superuser")
_QUIET = {"last_login", "last_used_at", "updated_at"}
"""Fields that change by using an account. They are not recorded."""
_CHANGED = "_ninjacam_changed"
FAILURES = 60
FAILURE_EVERY_S = 1.0
"""Limit on recorded failed logins: (burst, seconds per further one), for all attempts together."""
SAME_FAILURE_EVERY_S = 60.0
"""Seconds between two records of failures for one account from one network."""


def connect() -> None:
    """Connect the receivers. Idempotent."""
    user_model = get_user_model()
    for model in (*_NAMES, user_model):
        for signal, receiver in ((pre_save, _see_change), (post_save, _saved), (post_delete, _deleted)):
            signal.connect(receiver, sender=model, dispatch_uid=f"ninjacam.audit.{receiver.__name__}")
    for field in ("groups", "user_permissions"):
        if (through := getattr(getattr(user_model, field, None), "through", None)) is not None:
            m2m_changed.connect(_membership, sender=through, dispatch_uid="ninjacam.audit.membership")
    m2m_changed.connect(
        _membership, sender=Group.permissions.through, dispatch_uid="ninjacam.audit.membership"
    )
    user_logged_in.connect(_logged_in, dispatch_uid="ninjacam.audit.logged_in")
    user_logged_out.connect(_logged_out, dispatch_uid="ninjacam.audit.logged_out")
    user_login_failed.connect(_login_failed, dispatch_uid="ninjacam.audit.login_failed")


# --- models ---


_NAMES: dict[type[Model], str] = {
    Camera: "camera", Stream: "stream", CameraZone: "zone", CameraGrant: "grant", ApiToken: "token",
    PublishKey: "publish_key", Webhook: "webhook", Rule: "rule", Profile: "profile",
    ProfileOverride: "profile_override", Group: "group",
}  # fmt: skip

_RECORDED: dict[type[Model], dict[str, str]] = {
    Camera: {"url": "url"},
    Stream: {"stream": "name", "url": "url"},
    CameraZone: {"zone": "name", "kind": "kind"},
    PublishKey: {"key": "prefix", "name": "name"},
    Webhook: {"name": "name", "url": "url"},
    Rule: {"name": "name"},
}
"""Key in the record -> name of the field."""


def _kind(row: Model) -> str:
    return next((name for model, name in _NAMES.items() if isinstance(row, model)), "user")


def _subject(row: Model) -> str:
    if isinstance(row, Camera):
        return row.slug
    if isinstance(row, CameraGrant | CameraZone | PublishKey | Stream):
        return row.camera.slug
    if isinstance(row, ApiToken):
        return row.prefix
    if isinstance(row, Webhook | Rule):
        return str(row.pk)
    if isinstance(row, ProfileOverride):
        return row.profile.name
    return row.get_username() if isinstance(row, AbstractBaseUser) else str(row)


def _details(row: Model) -> dict[str, object]:
    """Return the recorded fields of a row. Never a password, a hash, or encrypted credentials."""
    if isinstance(row, CameraGrant):
        # A user who is being deleted is deleted before the grants, because these may have none.
        users = get_user_model()._base_manager.filter(pk__in=[row.user_id])
        groups = Group._base_manager.filter(pk__in=[row.group_id])
        return {"role": row.role, "user": str(users.first() or ""), "group": str(groups.first() or "")}
    if isinstance(row, ApiToken):
        return {"token": row.name, "user": row.user.get_username(), "scopes": row.scopes}
    if isinstance(row, AbstractBaseUser):
        return {flag: getattr(row, flag) for flag in _FLAGS if hasattr(row, flag)}
    if isinstance(row, ProfileOverride):
        # A camera that is being deleted is deleted before its overrides, because these may have none.
        slugs = Camera._base_manager.filter(pk=row.camera_id or 0).values_list("slug", flat=True)
        return {"camera": slugs.first()}
    fields = next((fields for model, fields in _RECORDED.items() if isinstance(row, model)), {})
    return {key: getattr(row, name) for key, name in fields.items()}


def _see_change(sender: type[Model], instance: Model, update_fields: Any = None, **_: Any) -> None:
    """Store the names of the fields that the save will change: one query, and none if the change is not recorded."""
    names = {field.attname for field in sender._meta.concrete_fields} - _QUIET
    if update_fields is not None:
        names &= {sender._meta.get_field(name).attname for name in update_fields}  # type: ignore[union-attr] # concrete
    setattr(instance, _CHANGED, None)
    if is_in_action() or instance._state.adding or not names:
        return
    before = sender._base_manager.filter(pk=instance.pk).values(*names).first() or {}
    changed = {name for name, value in before.items() if value != getattr(instance, name)}
    setattr(instance, _CHANGED, changed)


def _saved(
    sender: type[Model],
    instance: Model,
    created: bool,
    raw: bool = False,
    update_fields: Iterable[str] | None = None,
    **_: Any,
) -> None:
    changed: set[str] | None = getattr(instance, _CHANGED, None)
    if raw or is_in_action() or not (created or changed):
        return
    # Django rehashes a password at login if its hash is outdated; that is not a new password.
    rehashed = set(update_fields or ()) == {"password"} and getattr(instance, "_password", "") is None
    if rehashed:
        return
    verb = f"{_kind(instance)}.{'create' if created else 'update'}"
    fields = {} if created else {"fields": sorted(changed or ())}
    record_as(present_name(), verb, _subject(instance), **fields, **_details(instance))


def _deleted(sender: type[Model], instance: Model, **_: Any) -> None:
    if not is_in_action():
        record_as(present_name(), f"{_kind(instance)}.delete", _subject(instance), **_details(instance))


def _membership(
    sender: type[Model],
    instance: Model,
    action: str,
    model: type[Model],
    pk_set: Iterable[Any] | None,
    **_: Any,
) -> None:
    """Record changes to a user's groups and to the permissions of a user or group."""
    if is_in_action():
        return
    if action in ("post_add", "post_remove", "post_clear") and (pk_set is None or pk_set):
        others = model._base_manager.filter(pk__in=list(pk_set)[:50]) if pk_set else ()
        record_as(
            present_name(),
            f"{_kind(instance)}.{model._meta.verbose_name_plural}.{action.removeprefix('post_')}",
            _subject(instance),
            what=[str(each) for each in others],
        )


# --- logins ---


def _address(request: HttpRequest | None) -> str:
    return address_of_request(request) if request is not None else ""


def _logged_in(sender: Any, request: HttpRequest | None, user: AbstractBaseUser, **_: Any) -> None:
    record_as(user.get_username(), "login", user.get_username(), address=_address(request))


def _logged_out(sender: Any, request: HttpRequest | None, user: AbstractBaseUser | None, **_: Any) -> None:
    if user is not None:
        record_as(user.get_username(), "logout", user.get_username(), address=_address(request))


def _login_failed(
    sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any
) -> None:
    record_failure("login.failed", str(credentials.get("username", "")), _address(request))


def record_failure(verb: str, username: str, address: str) -> None:
    """Record a failed login. Names the account only if it exists: users type their password into the wrong field."""
    throttle = get_throttle()
    network = network_of(address) or address
    if not throttle.claim(f"audit {verb}:{network}:{username[:200]}", every_s=SAME_FAILURE_EVERY_S):
        return
    if throttle.take(f"audit {verb}", burst=FAILURES, every_s=FAILURE_EVERY_S):
        return
    model = get_user_model()
    found = model._default_manager.filter(**{model.USERNAME_FIELD: username[:200]}).first()
    name = found.get_username() if found is not None else "(no such user)"
    record_as("not logged in", verb, name, address=address)
