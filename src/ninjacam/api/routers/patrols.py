"""Patrols of cameras."""

from dataclasses import asdict

from django.http import HttpRequest
from ninja import Router

from ninjacam.actions.patrols import set_patrol
from ninjacam.api.auth import principal
from ninjacam.api.schemas.patrols import PatrolIn, PatrolOut, PatrolStepFields
from ninjacam.api.schemas.problems import ErrorOut
from ninjacam.devices.patrol import PatrolStep
from ninjacam.queries.patrols import describe_patrol

router = Router()


@router.get("/{slug:slug}/patrol", response=PatrolOut, operation_id="get_patrol", summary="Get patrol")
def get_patrol(request: HttpRequest, slug: str) -> PatrolOut:
    """The steps of the camera's patrol, and what it does at the moment. Does not ask the camera."""
    found = describe_patrol(principal(request), slug)
    return PatrolOut(
        steps=[PatrolStepFields(**asdict(step)) for step in found.steps],
        state=found.state,
        step=found.step,
        error=ErrorOut.of(found.error),
        ended_by=found.ended_by,
    )


@router.put(
    "/{slug:slug}/patrol", response=PatrolOut, operation_id="set_patrol", summary="Start or end patrol"
)
def put_patrol(request: HttpRequest, patrol: PatrolIn, slug: str) -> PatrolOut:
    """Save the steps, and start the patrol from the first one, or end it. It continues after a restart, and ends when a
    user moves the camera. Requires the role `control`."""
    steps = [PatrolStep(step.preset, step.dwell_s) for step in patrol.steps]
    set_patrol(principal(request), slug, steps, running=patrol.running)
    return get_patrol(request, slug)
