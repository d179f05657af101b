"""Movement of cameras."""

from dataclasses import asdict

from django.http import HttpRequest
from ninja import Router

from ninjacam.actions import ptz as actions
from ninjacam.api.auth import principal
from ninjacam.api.schemas.ptz import PresetOut, PtzIn, PtzOut, PtzResult
from ninjacam.core.movement import Vector
from ninjacam.queries import ptz as queries

router = Router()


@router.get(
    "/{slug:slug}/ptz", response=PtzOut, operation_id="get_ptz", summary="Get PTZ abilities and presets"
)
def get_ptz(request: HttpRequest, slug: str) -> PtzOut:
    """Asks the camera. 409 `command_unsupported`: it cannot move; 503: it is disabled or has no ONVIF address; 502:
    it does not answer as it should."""
    found = queries.describe_ptz(principal(request), slug)
    presets = [PresetOut(token=preset.token, name=preset.name) for preset in found.presets]
    abilities = {name: value for name, value in asdict(found.abilities).items() if name != "min_timeout_s"}
    return PtzOut(**abilities, presets=presets, preset=found.preset or None)


@router.post(
    "/{slug:slug}/ptz", response=PtzResult, operation_id="send_ptz_command", summary="Send PTZ command"
)
def send_ptz_command(request: HttpRequest, command: PtzIn, slug: str) -> PtzResult:
    """Move the camera, and return when it has accepted the command. Errors as for `GET`; 502 `command_rejected`: it
    refuses."""
    values = actions.PtzCommand(
        command.command,
        Vector(command.pan, command.tilt, command.zoom),
        command.preset,
        command.name,
        command.duration_s,
    )
    return PtzResult(preset=actions.send_command(principal(request), slug, values))
