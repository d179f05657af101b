"""Read the streams of a device, and change its settings: encoders, clock, imaging, outputs.

The capture process of the camera sends the commands; see docs/design/0011-onvif.md.
"""

from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.cameras import CameraFields, SourceFields, draft_camera
from ninjacam.actions.commands import send_to_device
from ninjacam.actions.probe import describe_device
from ninjacam.actions.sources import AddressFields
from ninjacam.actions.streams import put_stream
from ninjacam.actions.validation import require_configure
from ninjacam.auth import Actor
from ninjacam.core.errors import InvalidError
from ninjacam.core.streams import MAIN
from ninjacam.devices.description import DeviceDescription, name_streams
from ninjacam.models import Camera, Role, Stream
from ninjacam.models.camera import AUTO, check_onvif_url
from ninjacam.onvif.imaging import ImagingChanges
from ninjacam.onvif.media import EncoderChanges
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.device import ask_device, description_of
from ninjacam.queries.streams import stream_urls
from ninjacam.sources.base import SourceConfig


def read_device(
    actor: Actor, fields: CameraFields | SourceFields, camera: Camera | None = None
) -> tuple[DeviceDescription, dict[str, str]]:
    """Ask a device, saved or not, or that of `camera` with `fields` changed, to describe itself.

    Without an ONVIF address, the common ports of the camera's host are tried. Returns the description, and the names
    of the streams for its profiles, by token. Blocks for up to 17 s. Raises: ForbiddenError, InvalidError,
    LimitError; SourceError, CommandError: of the device.
    """
    draft = draft_camera(actor, fields, camera)
    config = _device_of(draft)
    subject = camera.slug if camera else "(new)"
    record(actor, "device.probe", subject, host=urlsplit(config.url).hostname)
    found = describe_device(config, getattr(actor, "user", None))
    present = (stream_urls(camera) if camera else {}) | {MAIN: draft.url}
    return found, name_streams(found.profiles, present)


def _device_of(draft: Camera) -> SourceConfig:
    """Return the source of the device. Raises: InvalidError."""
    draft.onvif_url = draft.onvif_url or AUTO
    try:
        check_onvif_url(draft.onvif_url)
    except ValidationError as error:
        raise InvalidError.of("onvif_url", error.messages[0]) from error
    config = draft.device(draft.source())
    if config is None:
        raise InvalidError.of("onvif_url", _("The camera's address has no host. Enter its ONVIF address."))
    return config


@audited
def add_device_streams(actor: Actor, camera: Camera) -> list[Stream]:
    """Add the streams that the device describes and the camera lacks. Return them.

    Their addresses are at the device's host. They use the camera's login if it was entered for the same scheme, host
    and port. Blocks for up to 15 s. Raises: ForbiddenError, QuotaError; as `ask_device`.
    """
    require_configure(actor, camera)
    found = description_of(ask_device(actor, camera, "device"))
    present = stream_urls(camera)
    names = name_streams(found.profiles, present)
    wanted = {names[profile.token]: profile.url for profile in found.profiles if profile.token in names}
    return [
        put_stream(actor, camera, name, AddressFields(url=url))
        for name, url in sorted(wanted.items())
        if name not in present
    ]


def _given(changes: EncoderChanges | ImagingChanges) -> dict[str, Any]:
    """Return the values to change. Raises: InvalidError: there are none."""
    given = {name: value for name, value in asdict(changes).items() if value}
    if not given:
        raise InvalidError(_("Specify at least one setting to change."))
    return given


def set_encoder(actor: Actor, slug: str, profile: str, changes: EncoderChanges) -> None:
    """Change the encoder of a video profile; the camera keeps the other settings. Its stream may restart.

    Blocks for up to 15 s. Raises: NotFoundError, ForbiddenError; CommandRejectedError: the camera does not offer such
    a value; StreamUnavailableError, SourceError, CommandError.
    """
    camera = get_camera(actor, slug, Role.CONFIGURE)
    send_to_device(actor, camera, "encoder.update", "set_encoder", profile=profile, changes=_given(changes))


def set_clock(actor: Actor, slug: str) -> float:
    """Set the camera's clock to this host's time. Return the remaining seconds by which it is ahead. Raises: as
    `set_encoder`."""
    camera = get_camera(actor, slug, Role.CONFIGURE)
    return float(send_to_device(actor, camera, "clock.set", "set_clock"))


def set_imaging(actor: Actor, slug: str, changes: ImagingChanges) -> None:
    """Change imaging settings; the camera keeps the others. Raises: as `set_encoder`."""
    camera = get_camera(actor, slug, Role.CONTROL)
    send_to_device(actor, camera, "imaging.update", "set_imaging", changes=_given(changes))


def move_focus(actor: Actor, slug: str, speed: float, duration_s: float) -> None:
    """Move the focus near (-1) or far (1), for at most 3 s. Raises: as `set_encoder`."""
    camera = get_camera(actor, slug, Role.CONTROL)
    send_to_device(actor, camera, "focus.move", "move_focus", speed=speed, duration_s=duration_s)


def set_output(actor: Actor, slug: str, output: str, *, is_active: bool) -> None:
    """Switch a relay output. Raises: as `set_encoder`; CommandRejectedError: the output does not exist."""
    camera = get_camera(actor, slug, Role.CONTROL)
    send_to_device(actor, camera, "output.set", "set_output", output=output, is_active=is_active)
