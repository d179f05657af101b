"""The patrol of a camera: its steps, and its current state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ninjacam.auth import Actor
from ninjacam.core.viewer_errors import for_viewers
from ninjacam.devices.patrol import PatrolStep
from ninjacam.models import Camera, Role
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.status import read_status

PatrolState = Literal["off", "waiting", "running", "failed"]


@dataclass(frozen=True, slots=True)
class PatrolReport:
    """A patrol and its state. `state`: "waiting": it should run, but the camera is disabled or starting. `step`: its
    number from 0; None: none. `error`: of the last step. `ended_by`: the user who ended it by moving the camera.
    """

    steps: tuple[PatrolStep, ...]
    state: PatrolState
    step: int | None
    error: Mapping[str, Any] | None
    ended_by: str


def describe_patrol(actor: Actor, slug: str) -> PatrolReport:
    """Raises: NotFoundError, ForbiddenError."""
    camera = get_camera(actor, slug, Role.CONTROL)
    steps = tuple(PatrolStep(**step) for step in camera.patrol_steps or ())
    if camera.patrol is None:
        return PatrolReport(steps, "off", None, None, camera.patrol_ended_by)
    found = _reported(camera)
    if found is None:
        return PatrolReport(steps, "waiting", None, None, "")
    error = found.get("error")
    if not actor.may(Role.CONFIGURE, camera):
        error = for_viewers(error)
    return PatrolReport(steps, found["state"], found["step"], error, "")


def _reported(camera: Camera) -> Mapping[str, Any] | None:
    """Return the capture process's report on the running patrol; None: there is none yet."""
    found = read_status().cameras.get(camera.slug, {}).get("patrol")
    # "ended": by a user, and the database is not updated yet.
    return found if camera.enabled and found and found["state"] in ("running", "failed") else None
