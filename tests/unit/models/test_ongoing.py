"""Ongoing events end with what created them: a processor, a camera, or the name of a camera."""

from collections.abc import Callable

import pytest

from ninjacam.actions.cameras import delete_camera, rename_camera, update_camera
from ninjacam.auth import LocalOperator
from ninjacam.models import Camera, Event
from ninjacam.models.event import ENGINE, PROCESSOR

pytestmark = pytest.mark.django_db(transaction=True)
OPERATOR = LocalOperator()
SOURCES = {
    "objects-1": PROCESSOR,
    "motion-1": PROCESSOR,
    "mine": PROCESSOR,
    "": ENGINE,
    "theirs": "user:anna",
}
"""Key of an event -> its source."""


@pytest.fixture
def ongoing(camera: Camera) -> Callable[[], set[str]]:
    """Return a function that returns the keys of the events of `camera` that are still ongoing."""
    update_camera(OPERATOR, camera, {"processors": ["motion", "objects"]})
    for key, source in SOURCES.items():
        Event.objects.create(slug=camera.slug, kind="person", source=source, start_ns=1, key=key)
    return lambda: set(Event.objects.filter(end_ns=None).values_list("key", flat=True))


def test_those_of_a_processor_that_is_removed(camera: Camera, ongoing: Callable[[], set[str]]) -> None:
    update_camera(OPERATOR, camera, {"processors": ["motion"]})
    assert ongoing() == {"motion-1", "mine", "", "theirs"}
    update_camera(OPERATOR, camera, {"name": "The door"})
    assert ongoing() == {"motion-1", "mine", "", "theirs"}


def test_those_of_all_processors_of_a_disabled_camera(
    camera: Camera, ongoing: Callable[[], set[str]]
) -> None:
    camera.enabled = False
    camera.save(update_fields=["enabled"])
    assert ongoing() == {"", "theirs"}


def test_an_object_with_an_old_name_disables_its_camera_and_moves_nothing(
    camera: Camera, ongoing: Callable[[], set[str]]
) -> None:
    old = Camera.objects.get(pk=camera.pk)
    rename_camera(OPERATOR, camera, "gate")
    Event.objects.update(end_ns=None)
    old.enabled = False
    old.processors = []  # Not saved.
    old.save(update_fields=["enabled"])
    assert ongoing() == {"", "theirs"}
    assert set(Event.objects.values_list("slug", flat=True)) == {"gate"}


def test_those_of_processors_and_the_engine_of_a_deleted_or_renamed_camera(
    camera: Camera, ongoing: Callable[[], set[str]]
) -> None:
    rename_camera(OPERATOR, camera, "gate")
    assert ongoing() == {"theirs"}
    Event.objects.update(end_ns=None)
    delete_camera(OPERATOR, camera)
    assert ongoing() == {"theirs"}
