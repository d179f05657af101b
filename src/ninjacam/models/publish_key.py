"""Keys with which devices publish to a camera: `np_<prefix>_<secret>`. Only the SHA-256 hash is stored."""

import secrets
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from ninjacam.models.camera import Camera
from ninjacam.sources.publish import hash_key

MAX_KEYS_PER_CAMERA = 10
_SECRET_BYTES = 20  # 160 bits: a random secret needs no salt and no slow hash. People type keys into phones.


def new_key() -> tuple[str, str]:
    """(prefix, key)."""
    prefix = secrets.token_hex(4)
    return prefix, f"np_{prefix}_{secrets.token_hex(_SECRET_BYTES)}"


class PublishKey(models.Model):
    """Who knows the key may publish to `camera`, one publisher at a time. Deleting the row revokes the key, and ends a
    stream that was published with it.
    """

    camera = models.ForeignKey(
        Camera, on_delete=models.CASCADE, related_name="publish_keys", verbose_name=_("camera")
    )
    name = models.CharField(_("name"), max_length=100, blank=True)
    prefix = models.CharField(_("prefix"), max_length=16, unique=True, editable=False)
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    objects: ClassVar[models.Manager["PublishKey"]] = models.Manager()

    class Meta:
        verbose_name = _("publish key")
        verbose_name_plural = _("publish keys")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.name or self.camera} (np_{self.prefix}_...)"

    @classmethod
    def create(cls, camera: Camera, name: str = "") -> tuple["PublishKey", str]:
        """Return (the saved row, the key, which is not stored)."""
        prefix, key = new_key()
        row = cls.objects.create(camera=camera, name=name, prefix=prefix, key_hash=hash_key(key))
        return row, key
