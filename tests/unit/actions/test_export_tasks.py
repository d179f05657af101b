"""Django's Tasks, which this Django may lack: the tests replace the used part of `django.tasks` (6.0)."""

import importlib
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ninjacam.actions import export_tasks
from ninjacam.models import Export

ELSEWHERE = {"default": {"BACKEND": "somebody.tasks.backend.DatabaseBackend"}}


@dataclass
class FakeTask:
    """django.tasks.base.Task"""

    func: Callable[..., Any]
    queue_name: str
    enqueued: list[tuple[Any, ...]] = field(default_factory=list)
    broken: bool = False

    def enqueue(self, *args: Any, **kwargs: Any) -> None:
        if self.broken:
            raise ConnectionError("no queue")
        self.enqueued.append(args)


@pytest.fixture
def django_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("django.tasks")

    def task(function: Callable[..., Any], *, queue_name: str = "default") -> FakeTask:
        return FakeTask(function, queue_name)

    module.task = task  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "django.tasks", module)


@pytest.fixture
def loaded(settings: Any) -> Iterator[Callable[[Any], types.ModuleType]]:
    def load(tasks: Any) -> types.ModuleType:
        if tasks is not None:
            settings.TASKS = tasks
        return importlib.reload(export_tasks)

    yield load
    settings.TASKS = {}
    importlib.reload(export_tasks)


@pytest.mark.parametrize(
    "tasks",
    [
        None,
        {},
        {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}},
        {"default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}},
    ],
)
def test_without_a_task_worker_our_own_worker_is_used(tasks: Any, loaded: Any, django_tasks: None) -> None:
    module = loaded(tasks)
    assert not module.tasks_are_used()
    module.hand_over(Export())


def test_without_django_tasks_our_own_worker_is_used(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "django.tasks", None)
    assert not loaded(ELSEWHERE).tasks_are_used()


@pytest.mark.django_db(transaction=True)
def test_with_a_task_backend_the_export_is_enqueued_there(loaded: Any, django_tasks: None) -> None:
    module = loaded(ELSEWHERE)
    assert module.tasks_are_used()
    export = Export.objects.create(slug="door", start_ns=0, end_ns=1, kind="copy", handed_over=True)
    module.hand_over(export)
    task = module.run_export
    assert isinstance(task, FakeTask) and task.queue_name == "default"
    assert task.enqueued == [(str(export.pk),)]
    # A task worker imports it by this name.
    assert (task.func.__module__, task.func.__qualname__) == (module.__name__, "run_export")


@pytest.mark.django_db(transaction=True)
def test_if_enqueueing_fails_our_own_worker_takes_the_export(loaded: Any, django_tasks: None) -> None:
    module = loaded({"default": {**ELSEWHERE["default"], "QUEUES": ["video"]}})
    export = Export.objects.create(slug="door", start_ns=0, end_ns=1, kind="copy", handed_over=True)
    module.run_export.broken = True
    assert module.run_export.queue_name == "video"
    module.hand_over(export)
    export.refresh_from_db()
    assert not export.handed_over
