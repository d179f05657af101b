"""Permissions: the function `may`, and the authentication backend that answers `user.has_perm(perm, camera)`.

A permission comes from any of: being a superuser; a Django permission without a camera (`ninjacam.view_camera`),
which applies to all cameras; a grant for the camera to the user or one of the user's groups; any other permission
backend of the project (guardian, rules), called with the camera. Roles are independent, but `configure` includes
`view`.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from ninjacam.models import GRANTED_BY, Camera, CameraGrant, permission_name

AnyUser: TypeAlias = AbstractBaseUser | AnonymousUser

_CACHE = "_ninjacam_grants"


def load_grants(users: Iterable[AbstractBaseUser]) -> None:
    """Read the grants of all `users` in two queries, and cache them on the user objects, as Django does with
    permissions.

    A new user object reads the grants again.
    """
    by_user: dict[Any, dict[int, set[str]]] = {}
    for user in users:
        by_user[user.pk] = by_user.get(user.pk, {})
        setattr(user, _CACHE, by_user[user.pk])
    if not by_user:
        return
    rows = list(CameraGrant.objects.filter(user__in=by_user).values_list("user_id", "camera_id", "role"))
    model = get_user_model()
    if hasattr(model, "groups"):
        of_groups = model._default_manager.filter(pk__in=by_user, groups__camera_grants__isnull=False)
        rows += of_groups.values_list("pk", "groups__camera_grants__camera_id", "groups__camera_grants__role")
    for user_id, camera_id, role in rows:
        by_user[user_id].setdefault(camera_id, set()).add(role)


def granted_roles(user: AnyUser, camera: Camera) -> frozenset[str]:
    """Return the roles that grants give for `camera`, with those they include."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return frozenset()
    if not hasattr(user, _CACHE):
        load_grants([user])
    held: set[str] = getattr(user, _CACHE).get(camera.pk, set())
    return frozenset(role for role, givers in GRANTED_BY.items() if held.intersection(givers))


def may(user: AnyUser, role: str, camera: Camera) -> bool:
    """Return whether `user` has `role` (view, replay, export, control, configure) for `camera`."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return False
    if getattr(user, "is_superuser", False) or role in granted_roles(user, camera):
        return True
    has_perm = getattr(user, "has_perm", None)
    if has_perm is None:
        return False
    names = [permission_name(giver) for giver in GRANTED_BY[role]]
    return any(has_perm(name) for name in names) or any(has_perm(name, camera) for name in names)


def may_all(user: AnyUser, permission: str) -> bool:
    """Return whether `user` has a Django permission of the app that is not about a single camera, such as
    `add_camera`.
    """
    has_perm = getattr(user, "has_perm", None)
    return bool(has_perm and has_perm(f"ninjacam.{permission}"))


class CameraGrantBackend(BaseBackend):
    """Answers `user.has_perm("ninjacam.view_camera", camera)` from the grants. Does not authenticate users.

    Add it to AUTHENTICATION_BACKENDS after Django's own. Without it, Ninjacam itself works, but `has_perm` with a
    camera in your own code ignores the grants.
    """

    def get_user_permissions(self, user_obj: AnyUser, obj: Any = None) -> set[str]:
        if not isinstance(obj, Camera):
            return set()
        return {permission_name(role) for role in granted_roles(user_obj, obj)}
