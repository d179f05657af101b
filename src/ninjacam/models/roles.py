"""Roles for a camera."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    """VIEW: live video and state. REPLAY: recordings. EXPORT: download recordings. CONTROL: move it, switch its
    outputs, create events. CONFIGURE: change and test it, see the tracebacks of its processors.
    """

    VIEW = "view", _("view")
    REPLAY = "replay", _("replay")
    EXPORT = "export", _("export")
    CONTROL = "control", _("control")
    CONFIGURE = "configure", _("configure")


GRANTED_BY: dict[str, tuple[str, ...]] = {
    role.value: (Role.VIEW.value, Role.CONFIGURE.value) if role is Role.VIEW else (role.value,)
    for role in Role
}
"""Role -> roles that imply it. Roles are independent, but `configure` implies `view`."""


def permission_name(role: str) -> str:
    """Return the permission name for `user.has_perm`: `ninjacam.view_camera`, with a camera or, for all cameras,
    without.
    """
    return f"ninjacam.{role}_camera"
