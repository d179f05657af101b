"""Add, change and remove the streams of a camera besides `main`, which is the camera's own address."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.sources import AddressFields, assign_address
from ninjacam.actions.validation import invalid, require_configure
from ninjacam.auth import Actor
from ninjacam.core.errors import InvalidError, QuotaError
from ninjacam.core.streams import MAX_STREAMS
from ninjacam.models import Camera, Stream
from ninjacam.queries.streams import find_stream, get_stream

ROLE_STREAMS = ("record_stream", "live_stream", "detect_stream", "thumbnail_stream")
"""The fields of a camera that assign a role to a stream."""


@audited
def put_stream(actor: Actor, camera: Camera, name: str, fields: AddressFields) -> Stream:
    """Add the stream `name`, or change its address and login.

    A login is kept while scheme, host, port and TLS verification stay the same. A stream without a login uses the
    camera's, if that was entered for the same scheme, host and port. Raises: ForbiddenError, InvalidError,
    QuotaError.
    """
    require_configure(actor, camera)
    with transaction.atomic():
        found = find_stream(camera, name)
        stream = found or Stream(camera=camera, name=name)
        save_stream(stream, fields)
    verb = "stream.update" if found else "stream.create"
    record(actor, verb, camera.slug, stream=name, fields=sorted(fields), url=stream.url)
    return stream


def save_stream(stream: Stream, fields: AddressFields) -> None:
    """Assign `fields`, check and save. Raises: InvalidError, QuotaError: the camera has too many streams."""
    camera = stream.camera
    assign_address(stream, fields, verified_before=camera.verify_tls)
    if stream.url.startswith("push:"):
        raise InvalidError.of("url", _("Only the camera's own address can wait for a publisher."))
    try:
        stream.full_clean()
    except ValidationError as error:
        raise invalid(error) from error
    if stream.pk is None and Stream.objects.filter(camera=camera).count() >= MAX_STREAMS:
        raise QuotaError(
            _("A camera has at most %(count)s streams besides “main”. Remove one first.")
            % {"count": MAX_STREAMS}
        )
    stream.save()


@audited
def delete_stream(actor: Actor, camera: Camera, name: str) -> None:
    """Remove a stream. Its roles are assigned by the rules again. Raises: ForbiddenError, UnknownStreamError."""
    require_configure(actor, camera)
    stream = get_stream(camera, name)
    with transaction.atomic():
        stream.delete()
        roles = {role: "" for role in ROLE_STREAMS if getattr(camera, role) == name}
        for role in roles:
            setattr(camera, role, "")
        if roles:
            camera.save(update_fields=[*roles, "updated_at"])
    record(actor, "stream.delete", camera.slug, stream=name)
