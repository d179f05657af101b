"""Queries the device of a camera through the camera's capture process."""

from typing import Any

from pydantic import TypeAdapter

from ninjacam.auth import Actor
from ninjacam.conf import get_settings
from ninjacam.core.errors import NinjacamError
from ninjacam.core.viewer_errors import without_details
from ninjacam.devices.client import request
from ninjacam.devices.description import DeviceDescription, EncoderSettings
from ninjacam.models import Camera, Role
from ninjacam.onvif.device import Relay
from ninjacam.onvif.imaging import Imaging
from ninjacam.queries.cameras import get_camera

description_of = TypeAdapter(DeviceDescription).validate_python
"""Return the description from its JSON form."""
_encoder_settings_of = TypeAdapter(EncoderSettings).validate_python
_imaging_of = TypeAdapter(Imaging).validate_python
_relays_of = TypeAdapter(list[Relay]).validate_python


def ask_device(actor: Actor, camera: Camera, op: str, **values: Any) -> Any:
    """Send a request to the device of a camera, and return its result. Blocks for up to 15 s.

    Raises: StreamUnavailableError: the camera does not accept commands; SourceError, CommandError: of the camera,
    without addresses unless `actor` may configure it.
    """
    try:
        return request(get_settings().run_dir, camera.slug, op, **values)
    except NinjacamError as error:
        raise (error if actor.may(Role.CONFIGURE, camera) else without_details(error)) from error


def describe_device(actor: Actor, slug: str) -> DeviceDescription:
    """Raises: NotFoundError, ForbiddenError; as `ask_device`."""
    return description_of(ask_device(actor, get_camera(actor, slug, Role.CONFIGURE), "device"))


def get_encoder(actor: Actor, slug: str, profile: str) -> EncoderSettings:
    """Return the encoder of a profile. `profile`: token of a video profile. Raises: as `describe_device`;
    CommandRejectedError: it does not exist."""
    camera = get_camera(actor, slug, Role.CONFIGURE)
    return _encoder_settings_of(ask_device(actor, camera, "get_encoder", profile=profile))


def get_imaging(actor: Actor, slug: str) -> Imaging:
    """Raises: as `describe_device`."""
    return _imaging_of(ask_device(actor, get_camera(actor, slug, Role.CONTROL), "get_imaging"))


def list_outputs(actor: Actor, slug: str) -> list[Relay]:
    """Raises: as `describe_device`."""
    return _relays_of(ask_device(actor, get_camera(actor, slug, Role.CONTROL), "list_outputs"))
