"""Who may do what: one question, `may`, and the authentication backend that answers `user.has_perm(perm, camera)`.

A permission comes from any of: being a superuser; a Django permission without a camera (`ninjacam.view_camera`), which
holds for all cameras; a grant for the camera to the user or one of the user's groups; any other permission backend of
the project (guardian, rules), asked with the camera. Roles stand for themselves, but `configure` includes `view`.
"""

from typing import Any, TypeAlias

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from ninjacam.models import GRANTED_BY, Camera, CameraGrant, permission_name

AnyUser: TypeAlias = AbstractBaseUser | AnonymousUser

_CACHE = "_ninjacam_grants"


def granted_roles(user: AnyUser, camera: Camera) -> frozenset[str]:
    """The roles that grants give for `camera`, with those they include.

    All grants of the user are read once and kept on the user object, as Django keeps its permissions: a fresh object
    sees fresh grants.
    """
    if isinstance(user, AnonymousUser) or not user.is_active:
        return frozenset()
    by_camera: dict[int, set[str]] | None = getattr(user, _CACHE, None)
    if by_camera is None:
        by_camera = {}
        holder = Q(user_id=user.pk)
        if hasattr(user, "groups"):
            holder |= Q(group__in=user.groups.all())
        for camera_id, role in CameraGrant.objects.filter(holder).values_list("camera_id", "role"):
            by_camera.setdefault(camera_id, set()).add(role)
        setattr(user, _CACHE, by_camera)
    held = by_camera.get(camera.pk, set())
    return frozenset(role for role, givers in GRANTED_BY.items() if held.intersection(givers))


def may(user: AnyUser, role: str, camera: Camera) -> bool:
    """Whether `user` has `role` (view, replay, export, control, configure) for `camera`, here and now."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return False
    if role in granted_roles(user, camera):
        return True
    has_perm = getattr(user, "has_perm", None)
    if has_perm is None:
        return False
    names = [permission_name(giver) for giver in GRANTED_BY[role]]
    return any(has_perm(name) for name in names) or any(has_perm(name, camera) for name in names)


def may_all(user: AnyUser, permission: str) -> bool:
    """Whether `user` has a Django permission of the app that is about no single camera, such as `add_camera`."""
    has_perm = getattr(user, "has_perm", None)
    return bool(has_perm and has_perm(f"ninjacam.{permission}"))


class CameraGrantBackend(BaseBackend):
    """Answers `user.has_perm("ninjacam.view_camera", camera)` by the grants. Authenticates nobody.

    Beside Django's own in AUTHENTICATION_BACKENDS. Without it everything of Ninjacam works; only `has_perm` with a
    camera in your own code does not know the grants.
    """

    def get_user_permissions(self, user_obj: AnyUser, obj: Any = None) -> set[str]:
        if not isinstance(obj, Camera):
            return set()
        return {permission_name(role) for role in granted_roles(user_obj, obj)}
