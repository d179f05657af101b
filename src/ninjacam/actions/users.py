"""Create and change users and groups. Only for administrators.

Each action locks the administrators and checks that the user who acts is still one. Nobody can deactivate themselves or
withdraw their own administration, so there is always an active administrator, whatever happens at the same time.
"""

from typing import Any, TypedDict

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.sessions import end_access
from ninjacam.actions.tokens import revoke_all_tokens
from ninjacam.actions.validation import invalid
from ninjacam.auth import Principal
from ninjacam.core.errors import ForbiddenError, InvalidError, LimitError, NotFoundError
from ninjacam.queries.users import require_administrator

MAX_GROUPS = 200


class UserFields(TypedDict, total=False):
    """`groups`: primary keys; the user is in no other groups then."""

    username: str
    email: str
    is_active: bool
    is_superuser: bool
    groups: list[int]


def has_groups() -> bool:
    """Return whether users of this project can be in groups."""
    return hasattr(get_user_model(), "groups")


@audited
@transaction.atomic
def create_user(who: Principal, fields: UserFields, password: str) -> Any:
    """Return the new user. Raises: ForbiddenError, InvalidError."""
    _lock(who)
    user = get_user_model()()
    changed = _apply(user, fields)
    _set_password(user, password)
    _save(user)
    _set_groups(user, fields)
    record(who, "user.create", user.get_username(), fields=sorted(changed), **_flags(user))
    return user


@audited
@transaction.atomic
def update_user(who: Principal, user: Any, fields: UserFields) -> None:
    """Change a user. A deactivated user's sessions, tokens and streams end, and do not come back when the user is
    activated again. Raises: ForbiddenError, InvalidError, NotFoundError."""
    _lock(who)
    present = _lock_user(user)
    was_active = present.is_active
    changed = _apply(present, fields)
    if present.pk == who.user.pk:
        _check_own(present)
    _save(present)  # Not update(): the signal ends notifications.
    changed |= _set_groups(present, fields)
    if was_active and not present.is_active:
        end_access(who, present)
    if changed:
        record(who, "user.update", present.get_username(), fields=sorted(changed), **_flags(present))


@audited
@transaction.atomic
def set_password(who: Principal, user: Any, password: str, *, end_tokens: bool) -> None:
    """Set a password. It ends the user's sessions and signed links. `end_tokens`: also the API tokens.

    Raises: ForbiddenError, InvalidError, NotFoundError.
    """
    _lock(who)
    present = _lock_user(user)
    _set_password(present, password)
    present.save()
    if end_tokens:
        revoke_all_tokens(who, present)
    record(who, "user.password", present.get_username())


@audited
@transaction.atomic
def create_group(who: Principal, name: str) -> Group:
    """Raises: ForbiddenError, InvalidError, LimitError."""
    _lock(who)
    if Group.objects.count() >= MAX_GROUPS:
        raise LimitError(_("There are too many groups. Delete some of them first."))
    group = Group(name=name.strip())
    _save(group)
    record(who, "group.create", group.name)
    return group


@audited
@transaction.atomic
def rename_group(who: Principal, group: Group, name: str) -> None:
    """Raises: ForbiddenError, InvalidError."""
    _lock(who)
    before, group.name = group.name, name.strip()
    _save(group)
    record(who, "group.update", group.name, before=before)


@audited
@transaction.atomic
def delete_group(who: Principal, group: Group) -> None:
    """Delete a group with its roles. Its members stay. Raises: ForbiddenError."""
    _lock(who)
    group.delete()
    record(who, "group.delete", group.name)


def _lock(who: Principal) -> None:
    """Lock all administrators until the end of the transaction. Raises: ForbiddenError."""
    require_administrator(who)
    # In one order, so that two requests cannot block each other. SQLite has locked the database with the transaction.
    administrators = get_user_model()._default_manager.filter(is_superuser=True, is_active=True)
    locked = administrators.select_for_update().order_by("pk").values_list("pk", flat=True)
    if who.user.pk not in list(locked):
        raise ForbiddenError(_("You are no longer an administrator."))


def _lock_user(user: Any) -> Any:
    """Return the present row. Raises: NotFoundError."""
    present = get_user_model()._default_manager.select_for_update().filter(pk=user.pk).first()
    if present is None:
        raise NotFoundError(_("No such user."))
    return present


def _apply(user: Any, fields: UserFields) -> set[str]:
    """Set the fields of the user's own row. Return the names of those that changed."""
    model = type(user)
    values: dict[str, Any] = {}
    if "username" in fields:
        values[model.USERNAME_FIELD] = model.normalize_username(fields["username"])
    if "email" in fields and hasattr(model, "EMAIL_FIELD"):
        values[model.get_email_field_name()] = fields["email"]
    if "is_active" in fields:
        values["is_active"] = fields["is_active"]
    if "is_superuser" in fields and user.is_superuser != fields["is_superuser"]:
        values["is_superuser"] = fields["is_superuser"]
        if hasattr(user, "is_staff"):  # As `ninjacam createuser --admin` does.
            values["is_staff"] = fields["is_superuser"]
    changed = {name for name, value in values.items() if getattr(user, name) != value}
    for name, value in values.items():
        setattr(user, name, value)
    return changed


def _check_own(user: Any) -> None:
    """Raises: InvalidError: a user withdraws their own access."""
    if not user.is_active:
        raise InvalidError.of("is_active", _("You cannot deactivate yourself. Ask another administrator."))
    if not user.is_superuser:
        raise InvalidError.of(
            "is_superuser", _("You cannot withdraw your own administration. Ask another administrator.")
        )


def _set_groups(user: Any, fields: UserFields) -> set[str]:
    if "groups" not in fields or not has_groups():
        return set()
    wanted = set(fields["groups"])
    if wanted == set(user.groups.values_list("pk", flat=True)):
        return set()
    found = list(Group.objects.filter(pk__in=wanted))
    if len(found) != len(wanted):
        raise InvalidError.of("groups", _("No such group."))
    user.groups.set(found)
    return {"groups"}


def _set_password(user: Any, password: str) -> None:
    """Raises: InvalidError."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidError(error.messages[0], {"password": error.messages}) from error
    user.set_password(password)


def _save(row: Any) -> None:
    """Raises: InvalidError."""
    try:
        row.full_clean()
    except ValidationError as error:
        raise invalid(error) from error
    row.save()


def _flags(user: Any) -> dict[str, object]:
    return {"is_active": user.is_active, "is_superuser": user.is_superuser}
