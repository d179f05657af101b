"""What one may do with a camera."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    """VIEW: live pictures and state. REPLAY: recordings. EXPORT: take recordings away. CONTROL: move it, switch its
    outputs. CONFIGURE: change and test it, see the tracebacks of its processors."""

    VIEW = "view", _("view")
    REPLAY = "replay", _("replay")
    EXPORT = "export", _("export")
    CONTROL = "control", _("control")
    CONFIGURE = "configure", _("configure")


GRANTED_BY: dict[str, tuple[str, ...]] = {
    role.value: (Role.VIEW.value, Role.CONFIGURE.value) if role is Role.VIEW else (role.value,)
    for role in Role
}
"""Role -> the roles of which any one gives it. Each stands for itself, but who configures a camera also sees it."""


def permission_name(role: str) -> str:
    """The name for `user.has_perm`: `ninjacam.view_camera`, without a camera for all of them, with one for that one."""
    return f"ninjacam.{role}_camera"
