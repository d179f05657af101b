"""Grants: roles of users and groups for one camera."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ninjacam.models.camera import Camera
from ninjacam.models.roles import Role


class CameraGrant(models.Model):
    """One role for one camera, to one user or to one group."""

    camera = models.ForeignKey(
        Camera, on_delete=models.CASCADE, related_name="grants", verbose_name=_("camera")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="camera_grants",
        verbose_name=_("user"),
    )
    group = models.ForeignKey(
        "auth.Group",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="camera_grants",
        verbose_name=_("group"),
    )
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.VIEW)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("grant")
        verbose_name_plural = _("grants")
        ordering = ["camera", "role", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=True) ^ Q(group__isnull=True),
                name="ninjacam_grant_one_holder",
                violation_error_message=_("Specify either a user or a group."),
            ),
            models.UniqueConstraint(
                fields=["camera", "user", "role"],
                condition=Q(user__isnull=False),
                name="ninjacam_grant_user_role",
            ),
            models.UniqueConstraint(
                fields=["camera", "group", "role"],
                condition=Q(group__isnull=False),
                name="ninjacam_grant_group_role",
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="ninjacam_grant_role"),
        ]

    def __str__(self) -> str:
        return f"{self.camera_id}: {self.role} for {self.user or self.group}"
