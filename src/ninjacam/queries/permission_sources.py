"""Why a user or a group has a role for a camera: for the pages of administrators."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from ninjacam.models import GRANTED_BY, Camera, CameraGrant, Role
from ninjacam.permissions import load_grants, may

Sources = dict[str, list[str]]
"""Role -> the sources of the permission in words; empty: it is not permitted."""


class PermissionSources:
    """The sources of the permissions of some users and groups. Reads grants and permissions in a few queries for all,
    and up to three for each user who is not a superuser."""

    def __init__(self, users: Iterable[Any], groups: Iterable[Group]) -> None:
        self._users, self._groups = list(users), list(groups)
        load_grants(user for user in self._users if not getattr(user, "is_superuser", False))
        model = get_user_model()
        members = (
            {user.pk: list(user.groups.all()) for user in self._users} if hasattr(model, "groups") else {}
        )
        self._groups_of: dict[Any, list[Group]] = members
        known = {group.pk for group in self._groups} | {
            each.pk for found in members.values() for each in found
        }
        self._grants: dict[tuple[str, Any, int], set[str]] = {}
        of_users = CameraGrant.objects.filter(user__in=[user.pk for user in self._users])
        for grant in [*of_users, *CameraGrant.objects.filter(group__in=known)]:
            kind, holder = ("group", grant.group_id) if grant.user_id is None else ("user", grant.user_id)
            self._grants.setdefault((kind, holder, grant.camera_id), set()).add(grant.role)
        self._global = {
            ("group", pk): _roles(Permission.objects.filter(group=pk)) for pk in known
        }  # There are few groups.
        if hasattr(model, "user_permissions"):
            for user in self._users:
                self._global["user", user.pk] = _roles(user.user_permissions.all())

    def granted(self, holder: Any, camera: Camera) -> set[str]:
        """Return the roles that are given to this user or group itself, for this camera."""
        kind = "group" if isinstance(holder, Group) else "user"
        return self._grants.get((kind, holder.pk, camera.pk), set())

    def of_group(self, group: Group, camera: Camera) -> Sources:
        return {role: self._given("group", group.pk, camera, role, "") for role in Role.values}

    def of_user(self, user: Any, camera: Camera) -> Sources:
        return {role: self._of_user(user, camera, role) for role in Role.values}

    def _of_user(self, user: Any, camera: Camera, role: str) -> list[str]:
        if not user.is_active:
            return []
        if getattr(user, "is_superuser", False):
            return [_("administrator")]
        found = self._given("user", user.pk, camera, role, "")
        for group in self._groups_of.get(user.pk, ()):
            found += self._given("group", group.pk, camera, role, group.name)
        if not found and may(user, role, camera):
            return [_("another permission backend")]
        return found

    def _given(self, kind: str, holder: Any, camera: Camera, role: str, group_name: str) -> list[str]:
        """Return the sources of one holder. `group_name`: "" for the row's own holder."""
        found = []
        implied = set(GRANTED_BY[role]) - {role}
        granted, everywhere = (
            self._grants.get((kind, holder, camera.pk), set()),
            self._global.get((kind, holder), set()),
        )
        group = _("group “%(name)s”") % {"name": group_name} if group_name else ""
        if role in granted:
            found.append(group or _("this camera"))
        if granted & implied:
            found.append(" · ".join(filter(None, [group, _("included in “configure”")])))
        if everywhere & set(GRANTED_BY[role]):
            found.append(" · ".join(filter(None, [group, _("all cameras")])))
        return found


def _roles(permissions: "QuerySet[Permission]") -> set[str]:
    """Return the roles for all cameras that Django's permissions give."""
    codes = [f"{role}_camera" for role in Role.values]
    found = permissions.filter(content_type__app_label="ninjacam", codename__in=codes)
    return {code.removesuffix("_camera") for code in found.values_list("codename", flat=True)}
