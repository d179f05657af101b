"""The zones, lines and masks that users have drawn on the image of a camera."""

import logging

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from ninjacam.core.errors import InvalidError
from ninjacam.core.zones import DEFAULT_COLOR, MAX_NAME_CHARS, MAX_PRESET_CHARS, Zone
from ninjacam.models.camera import Camera

logger = logging.getLogger("ninjacam.models")


class CameraZone(models.Model):
    """A zone, line or mask of a camera. `points`: [[x, y], ...] as fractions of the width and height of the image.

    What the fields may contain is checked in one place, by `core.zones.Zone`.
    """

    class Kind(models.TextChoices):
        ZONE = "zone", _("zone")
        LINE = "line", _("line")
        MASK = "mask", _("mask")

    camera = models.ForeignKey(
        Camera, on_delete=models.CASCADE, related_name="zones", verbose_name=_("camera")
    )
    name = models.CharField(
        _("name"),
        max_length=MAX_NAME_CHARS,
        help_text=_("Used in code and URLs: a-z, 0-9, - and _, such as “driveway”."),
    )
    kind = models.CharField(
        _("kind"), max_length=4, choices=Kind.choices, default=Kind.ZONE, db_default=Kind.ZONE
    )
    points = models.JSONField(_("points"))
    inertia_s = models.FloatField(
        _("inertia"),
        default=0,
        db_default=0,
        help_text=_("Seconds that an object must be inside before it counts."),
    )
    loitering_s = models.FloatField(
        _("loitering time"),
        default=0,
        db_default=0,
        help_text=_("Seconds inside after which an object loiters. 0: never."),
    )
    preset = models.CharField(
        _("preset"),
        max_length=MAX_PRESET_CHARS,
        blank=True,
        default="",
        db_default="",
        help_text=_(
            "Token of the position of a moving camera: it applies only while the camera is there after our own "
            "command or a patrol. Empty: any position."
        ),
    )
    color = models.CharField(_("color"), max_length=7, default=DEFAULT_COLOR, db_default=DEFAULT_COLOR)

    class Meta:
        verbose_name = _("zone")
        verbose_name_plural = _("zones")
        ordering = ["camera", "name"]
        constraints = [models.UniqueConstraint(fields=["camera", "name"], name="ninjacam_zone_name")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        try:
            self.points = [list(point) for point in self.zone().fractions]
        except InvalidError as error:
            raise ValidationError(error.fields) from error

    def zone(self) -> Zone:
        """Return it as processors receive it. Raises: InvalidError."""
        return Zone(
            name=self.name,
            kind=self.kind,  # type: ignore[arg-type] # checked by Zone
            fractions=self.points,
            inertia_s=self.inertia_s,
            loitering_s=self.loitering_s,
            preset=self.preset,
            color=self.color,
        )

    def find_zone(self) -> Zone | None:
        """As `zone`; None if it cannot be used."""
        try:
            return self.zone()
        except InvalidError as error:
            logger.warning("The zone %s of %s cannot be used: %s", self.name, self.camera_id, error)
            return None
