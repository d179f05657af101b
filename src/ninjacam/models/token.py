"""API tokens: `nc_<prefix>_<secret>`. Only the SHA-256 hash is stored."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from ninjacam.models.camera import Camera

_SECRET_BYTES = 24  # 192 bits: a random secret needs no salt and no slow hash.


class ApiTokenManager(models.Manager["ApiToken"]):
    def find(self, token: str) -> "ApiToken | None":
        """Return the usable token for the string `token`, with its user; None if it is unknown, expired or revoked,
        or its user is inactive. One query, and one more for each generation.
        """
        parts = token.split("_")
        if len(parts) != 3 or parts[0] != "nc" or not parts[1].isalnum() or len(token) > 100:
            return None
        found = self.select_related("user").filter(prefix=parts[1]).first()
        # Compare even if there is none, so that a known prefix takes as long as an unknown one.
        matches = constant_time_compare(hash_token(token), found.token_hash if found else "")
        return found if found is not None and matches and found.is_usable() and found.user.is_active else None

    def with_descendants(self, ids: Iterable[int]) -> set[int]:
        """Return `ids` plus the ids of all tokens created with them, directly or not. One query per generation."""
        found = latest = set(ids)
        while latest:
            latest = set(self.filter(parent_id__in=latest).values_list("pk", flat=True)) - found
            found = found | latest
        return found


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> tuple[str, str]:
    """(prefix, token)."""
    prefix = secrets.token_hex(5)
    return prefix, f"nc_{prefix}_{secrets.token_hex(_SECRET_BYTES)}"


class ApiToken(models.Model):
    """A secret that lets a program act for `user`, limited by `scopes` and the user's own permissions.

    `scopes`: `*`; or a role (`view`) for all cameras; or a role and a camera (`view:door`); or `metrics`. `cameras`:
    the primary key, as text, of each camera that `scopes` name: `{"door": "7"}`. A scope never applies to a later
    camera with the same name. `parent`: the token that created this one, which is revoked with it.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="camera_tokens",
        verbose_name=_("user"),
    )
    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(_("prefix"), max_length=16, unique=True, editable=False)
    token_hash = models.CharField(max_length=64, editable=False)
    parent = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="children",
        verbose_name=_("created with"),
    )
    scopes = models.JSONField(_("scopes"), default=list)
    cameras = models.JSONField(default=dict, db_default={}, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    objects: ClassVar[ApiTokenManager] = ApiTokenManager()

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.name} (nc_{self.prefix}_...)"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Bind the scopes of a new token to the cameras that they name now."""
        if self._state.adding:
            named = {scope.partition(":")[2] for scope in self.scopes if ":" in scope}
            rows = Camera.objects.filter(slug__in=named).values_list("slug", "pk") if named else ()
            self.cameras = {slug: str(pk) for slug, pk in rows}
        super().save(*args, **kwargs)

    def is_usable(self, now: datetime | None = None) -> bool:
        """Return whether neither it nor a token that it was created with is revoked or expired."""
        now = now or timezone.now()
        if self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= now):
            return False
        return self.parent_id is None or (self.parent is not None and self.parent.is_usable(now))
