"""Runs exports with Django's Tasks (Django 6.0, DEP 14), if the project has a backend that runs tasks in other
processes.

Otherwise, our own worker takes exports from the database (`ninjacam.processes.job_worker`).
"""

import importlib
import logging
import uuid
from typing import Any

from django.conf import settings
from django.db import transaction

from ninjacam.models import Export

logger = logging.getLogger("ninjacam.actions")

_NO_WORKER = ("django.tasks.backends.immediate", "django.tasks.backends.dummy")
"""Django's own backends: one would run the export inside the request, the other never."""


def run_export(export_id: str) -> None:
    """Called by a task worker: run the export until it is finished or has failed."""
    from ninjacam.actions.export_jobs import ExportJobs
    from ninjacam.conf import get_settings

    ExportJobs(get_settings()).run_one(uuid.UUID(export_id))


def _as_task() -> Any:
    """Return `run_export` as a Task, or None if this Django version has no tasks, or the project no worker for them."""
    backend = getattr(settings, "TASKS", {}).get("default", {})
    if str(backend.get("BACKEND", "")).rpartition(".")[0] in {"", *_NO_WORKER}:
        return None
    try:
        tasks = importlib.import_module("django.tasks")
    except ImportError:
        return None
    queues = backend.get("QUEUES") or ["default"]
    return tasks.task(run_export, queue_name="default" if "default" in queues else queues[0])


_task = _as_task()
if _task is not None:
    run_export = _task  # A task worker imports it by the function's name, and expects a Task there.


def tasks_are_used() -> bool:
    return _task is not None


def hand_over(export: Export) -> None:
    """Enqueue an export after the commit. If that fails, our own worker takes it."""
    if _task is not None:
        transaction.on_commit(lambda: _enqueue(export.pk))


def _enqueue(pk: uuid.UUID) -> None:
    try:
        _task.enqueue(str(pk))
    except Exception:  # The boundary to the queue that the project has chosen.
        logger.exception("the task of an export cannot be enqueued; Ninjacam's own worker takes it")
        Export.objects.filter(pk=pk).update(handed_over=False)
