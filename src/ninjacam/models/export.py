"""An export: a span of recordings that is being converted, or was converted, into a downloadable file.

A backtest is a row of the same table, because it runs in the same way: its file is a comparison of events.
"""

import secrets
import uuid
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Sum
from django.utils.translation import gettext_lazy as _


class ExportState(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


MOVES: dict[ExportState, frozenset[ExportState]] = {
    ExportState.QUEUED: frozenset({ExportState.RUNNING, ExportState.CANCELLED}),
    # Back to QUEUED: its worker died, or was stopped.
    ExportState.RUNNING: frozenset(
        {ExportState.DONE, ExportState.FAILED, ExportState.CANCELLED, ExportState.QUEUED}
    ),
    ExportState.DONE: frozenset(),
    ExportState.FAILED: frozenset({ExportState.QUEUED}),
    ExportState.CANCELLED: frozenset({ExportState.QUEUED}),
}
"""Allowed state transitions."""
ACTIVE = (ExportState.QUEUED, ExportState.RUNNING)


class ExportQuerySet(models.QuerySet["Export"]):
    def move(self, to: ExportState, **values: Any) -> int:
        """Move the exports whose state allows it, in one statement, and return their number. So no two workers get
        the same one.
        """
        sources = [state for state, targets in MOVES.items() if to in targets]
        return self.filter(state__in=sources).update(state=to, **values)

    def claim(self, pk: uuid.UUID, now: datetime) -> "Export | None":
        """Start running it. Return None if another worker has it, or if it is no longer queued."""
        claim = secrets.token_hex(16)
        begun = self.filter(pk=pk).move(
            ExportState.RUNNING,
            claim=claim,
            attempts=F("attempts") + 1,
            progress=0.0,
            error=None,
            heartbeat_at=now,
            started_at=now,
        )
        return self.filter(pk=pk, claim=claim).first() if begun else None

    def held(self, pk: uuid.UUID, claim: str) -> "ExportQuerySet":
        """Return the row while the worker with `claim` runs it."""
        return self.filter(pk=pk, claim=claim, state=ExportState.RUNNING)

    def downloads(self) -> "ExportQuerySet":
        """Return those whose file is video."""
        return self.exclude(kind=Export.Kind.BACKTEST)

    def backtests(self) -> "ExportQuerySet":
        return self.filter(kind=Export.Kind.BACKTEST)

    def active(self) -> "ExportQuerySet":
        return self.filter(state__in=ACTIVE)

    def with_files(self) -> "ExportQuerySet":
        return self.filter(state=ExportState.DONE).exclude(claim="")

    def size_bytes(self) -> int:
        return self.order_by().aggregate(total=Sum("size_bytes"))["total"] or 0

    def of_cameras(self, slugs: Collection[str]) -> "ExportQuerySet":
        return self.filter(slug__in=slugs)


class Export(models.Model):
    """An export. `slug` is not a foreign key, because recordings outlive their camera.

    `claim`: a random word that identifies the run which has it, or made its file; empty after the file is deleted. A
    run writes nothing without it, so a worker that was wrongly considered dead does no harm. `heartbeat_at`: of that
    run. `handed_over`: waits for a task of Django's Tasks, not for our worker. `error`: NinjacamError.as_dict().
    """

    class Kind(models.TextChoices):
        COPY = "copy", _("as recorded")
        BURNED = "burned", _("re-encoded")
        TIMELAPSE = "timelapse", _("timelapse")
        KEY_FRAMES = "key_frames", _("timelapse of key frames")
        BACKTEST = "backtest", _("backtest")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.CharField(_("camera"), max_length=50)
    start_ns = models.BigIntegerField(_("start"))
    end_ns = models.BigIntegerField(_("end"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    options = models.JSONField(_("options"), default=dict)
    state = models.CharField(
        _("state"), max_length=10, choices=ExportState.choices, default=ExportState.QUEUED
    )
    progress = models.FloatField(_("progress"), default=0.0)
    attempts = models.IntegerField(_("attempts"), default=0)
    cancel_requested = models.BooleanField(_("to be cancelled"), default=False)
    error = models.JSONField(_("error"), null=True, blank=True)
    size_bytes = models.BigIntegerField(_("size"), null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    claim = models.CharField(max_length=32, blank=True, editable=False)
    handed_over = models.BooleanField(default=False, editable=False)
    heartbeat_at = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="camera_exports",
        verbose_name=_("user"),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    expires_at = models.DateTimeField(_("expires at"), null=True)

    objects = ExportQuerySet.as_manager()

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        ordering = ["-created_at", "pk"]
        indexes = [
            models.Index(fields=["state", "created_at"], name="ninjacam_export_state"),
            models.Index(fields=["slug", "created_at"], name="ninjacam_export_slug"),
        ]

    def __str__(self) -> str:
        return f"{self.slug} {self.kind} {self.pk}"

    def has_file(self, now: datetime) -> bool:
        """Return whether it can still be downloaded."""
        in_time = self.expires_at is not None and now < self.expires_at
        return self.state == ExportState.DONE and bool(self.claim) and in_time

    def path(self, root: Path) -> Path:
        """Return the name of the file of its current run. Each run has another name, so no file is overwritten."""
        ending = "json" if self.kind == self.Kind.BACKTEST else "mp4"
        return root / f"{self.pk}-{self.claim}.{ending}"
