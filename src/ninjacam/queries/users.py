"""Users and groups, for administrators."""

import contextlib
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from ninjacam.auth import Principal
from ninjacam.core.errors import ForbiddenError, NotFoundError

MAX_SEARCH_CHARS = 150


def require_administrator(who: Principal) -> None:
    """Raises: ForbiddenError: `who` may not administer users, sessions and the audit log."""
    if not who.may_administer():
        raise ForbiddenError(_("Only administrators may open this page."))


def list_users(who: Principal, search: str = "") -> "QuerySet[Any]":
    """Return the users whose name contains `search`, ordered by name. Raises: ForbiddenError."""
    require_administrator(who)
    model = get_user_model()
    name = model.USERNAME_FIELD
    return _named(model._default_manager.all(), name, search).order_by(name, "pk")


def get_user(who: Principal, user_id: str) -> Any:
    """Return the user with this primary key, as text. Raises: ForbiddenError, NotFoundError."""
    require_administrator(who)
    model = get_user_model()
    found: AbstractBaseUser | None = None
    with contextlib.suppress(ValidationError, OverflowError):
        found = model._default_manager.filter(pk=model._meta.pk.to_python(user_id)).first()
    if found is None:
        raise NotFoundError(_("No such user."))
    return found


def list_groups(who: Principal, search: str = "") -> QuerySet[Group]:
    """Return the groups whose name contains `search`, ordered by name. Raises: ForbiddenError."""
    require_administrator(who)
    return _named(Group.objects.all(), "name", search).order_by("name", "pk")


def get_group(who: Principal, group_id: int) -> Group:
    """Raises: ForbiddenError, NotFoundError."""
    require_administrator(who)
    found = Group.objects.filter(pk=group_id).first() if group_id < 2**31 else None
    if found is None:
        raise NotFoundError(_("No such group."))
    return found


def _named(rows: "QuerySet[Any]", field: str, search: str) -> "QuerySet[Any]":
    text = search.replace("\0", "").strip()[:MAX_SEARCH_CHARS]
    return rows.filter(**{f"{field}__icontains": text}) if text else rows
