"""Layouts of the wall: which cameras it shows, in which order."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.validators import ProhibitNullCharactersValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ninjacam.models.camera import Camera

MAX_LAYOUTS = 50
"""Maximum number of layouts of one user."""


class WallLayoutQuerySet(models.QuerySet["WallLayout"]):
    def visible_to(self, user: AbstractBaseUser) -> "WallLayoutQuerySet":
        """Return the layouts of the user, and those that other users share."""
        return self.filter(Q(owner_id=user.pk) | Q(shared=True)).order_by("name", "pk")


class WallLayout(models.Model):
    """`cameras`: primary keys in the order of the wall. A camera that was deleted, or that a user may not view, is left
    out. `shared`: with all users.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(_("name"), max_length=50, validators=[ProhibitNullCharactersValidator()])
    cameras = models.JSONField(_("cameras"), default=list)
    shared = models.BooleanField(_("shared"), default=False, help_text=_("All users can choose it."))

    objects = WallLayoutQuerySet.as_manager()
    owner_id: Any

    class Meta:
        verbose_name = _("layout of the wall")
        verbose_name_plural = _("layouts of the wall")
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"],
                name="ninjacam_wall_layout",
                violation_error_message=_("You already have a layout of this name."),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def arrange(self, cameras: Iterable[Camera]) -> list[Camera]:
        """Return those of `cameras` that the layout contains, in its order."""
        by_pk = {camera.pk: camera for camera in cameras}
        return [by_pk[pk] for pk in self.cameras if pk in by_pk]
