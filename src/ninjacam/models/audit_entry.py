"""The audit log: who did what, and when. Written by `ninjacam.actions.audit` only."""

from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ninjacam.conf import get_settings

FAILURES = ("login.failed", "login.throttled")
FAILURE_SHARE = 10
"""Failed logins use at most one in this many entries, so that an attacker cannot push out the others."""


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    def sweep(self) -> None:
        """Delete entries older than NINJACAM["AUDIT_DAYS"], and the oldest beyond NINJACAM["AUDIT_ENTRIES"]."""
        config = get_settings()
        self.filter(at__lt=timezone.now() - timedelta(days=config.audit_days)).delete()
        self.filter(verb__in=FAILURES)._keep(config.audit_entries // FAILURE_SHARE)
        self._keep(config.audit_entries)

    def _keep(self, count: int) -> None:
        first = self.order_by("-pk").values_list("pk", flat=True)[count : count + 1].first()
        if first is not None:
            self.filter(pk__lte=first).delete()

    def of_user(self, name: str) -> "AuditEntryQuerySet":
        """Return what a user did by any authentication method, and what was done to the user's account."""
        is_account = Q(subject=name) & (Q(verb__startswith="user.") | Q(verb__startswith="log"))
        return self.filter(Q(actor=name) | Q(actor__startswith=f"{name} (") | is_account)


class AuditEntry(models.Model):
    """One action. Names are stored as they were, so an entry outlives its user and its camera.

    `actor`: the user and the authentication method, as `Principal.name`; or a process. `verb`: such as "camera.update".
    `camera`: the short name of the camera that it is about; "": none. `details`: never credentials.
    """

    at = models.DateTimeField(_("time"), default=timezone.now, db_index=True)
    actor = models.CharField(_("user"), max_length=200, db_index=True)
    verb = models.CharField(_("action"), max_length=64, db_index=True)
    subject = models.CharField(_("subject"), max_length=200, blank=True)
    camera = models.CharField(_("camera"), max_length=50, blank=True, db_index=True)
    details = models.JSONField(_("details"), default=dict)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("entry of the audit log")
        verbose_name_plural = _("audit log")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.verb} {self.subject}"
