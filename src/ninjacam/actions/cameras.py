"""Add, change, find and remove cameras."""

import logging
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.sources import AddressFields, assign_address
from ninjacam.actions.streams import ROLE_STREAMS, save_stream
from ninjacam.actions.validation import invalid, require_configure
from ninjacam.auth import Actor
from ninjacam.conf import get_settings
from ninjacam.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
)
from ninjacam.core.streams import MAIN
from ninjacam.models import (
    Camera,
    CameraGrant,
    Event,
    EventCall,
    Export,
    Role,
    Segment,
    Snapshot,
    Stream,
    archive,
)
from ninjacam.models.foreign_keys import lock_for_deletion
from ninjacam.models.ongoing import end_of_camera
from ninjacam.queries.cameras import find_camera, missing_camera
from ninjacam.queries.status import read_status
from ninjacam.queries.streams import find_stream
from ninjacam.recordings.layout import remove_empty, slug_of
from ninjacam.sources.base import SourceConfig

logger = logging.getLogger("ninjacam.actions")


class SourceFields(AddressFields, total=False):
    """The address and login of a camera. Missing values stay unchanged."""

    transport: str
    audio: bool
    verify_tls: bool


class CameraFields(SourceFields, total=False):
    name: str
    enabled: bool
    record: str
    record_before_s: int
    record_after_s: int
    record_schedule: str
    onvif_url: str
    sleeps: bool
    record_stream: str
    live_stream: str
    detect_stream: str
    thumbnail_stream: str
    processors: list[str]
    guest_view: str


STOP_TIMEOUT_S = 5.0
"""Seconds within which the engine stops a deleted camera."""
DELETE_BATCH = 250
RECORD = ("record", "record_before_s", "record_after_s", "record_schedule")
_PLAIN = (
    "name",
    "enabled",
    *RECORD,
    *ROLE_STREAMS,
    "guest_view",
    "onvif_url",
    "processors",
    "sleeps",
    "transport",
    "audio",
    "verify_tls",
)
_SOURCE = ("url", "username", "password")
_ALL_BUT_GUEST_VIEW = [
    field.name
    for field in Camera._meta.concrete_fields
    if not field.primary_key and field.name != "guest_view"
]


@audited
def create_camera(
    actor: Actor, slug: str, fields: CameraFields, streams: Mapping[str, AddressFields] | None = None
) -> Camera:
    """Add a camera. Its creator may view and configure it. `streams`: others besides `main`, by name.

    Recordings of an earlier camera with this name are renamed.

    Raises: ForbiddenError; ConflictError: the slug is in use; InvalidError: a value is invalid, including the slug
    of a camera that the actor cannot view.
    """
    if not actor.may_all("add_camera", "configure"):
        raise ForbiddenError(_("You are not allowed to add cameras."))
    camera = Camera(slug=slug)
    assign_fields(camera, fields)
    user = getattr(actor, "user", None)
    if archive.has_left(slug):
        _wait_until_stopped(slug)  # The last file of an earlier camera with this name belongs to that camera.
    try:
        with transaction.atomic():
            _check_and_save(actor, camera, roles_of=streams or ())
            for name, address in (streams or {}).items():
                save_stream(Stream(camera=camera, name=name), address)
            if user is not None and not user.is_superuser:
                CameraGrant.objects.create(camera=camera, user=user, role=Role.CONFIGURE)
    except IntegrityError as error:
        raise _taken(actor, slug) from error
    record(actor, "camera.create", slug, url=camera.url, **({"streams": sorted(streams)} if streams else {}))
    return camera


@audited
def update_camera(actor: Actor, camera: Camera, fields: CameraFields) -> Camera:
    """Change the fields in `fields`. Raises: ForbiddenError, InvalidError."""
    require_configure(actor, camera)
    assign_fields(camera, fields)
    if "guest_view" in fields:
        check_guest_view(camera)
    _check_and_save(actor, camera, sets_guest_view="guest_view" in fields)
    record(actor, "camera.update", camera.slug, fields=sorted(fields), url=camera.url)
    return camera


@audited
def rename_camera(actor: Actor, camera: Camera, slug: str) -> Camera:
    """Change the short name of a camera. Recordings, events, exports, grants, tokens and links follow.

    URLs change with the name. Raises: ForbiddenError; InvalidError: the name is invalid; ConflictError: it is in
    use, or files of an unknown camera are stored under it.
    """
    require_configure(actor, camera)
    old = camera.slug
    if slug == old:
        return camera
    camera.slug = slug
    try:
        with transaction.atomic():
            unknown = not archive.has_left(slug)
            _check_and_save(actor, camera, sets_guest_view=False)
            if unknown:
                _require_no_directory(slug)
    except BaseException as error:
        camera.slug = old
        if isinstance(error, IntegrityError):
            raise _taken(actor, slug) from error
        raise
    record(actor, "camera.rename", slug, before=old)
    return camera


def _require_no_directory(slug: str) -> None:
    """Raises: ConflictError."""
    if (get_settings().recordings_dir / slug).exists():
        raise ConflictError(
            _("The directory “%(slug)s” contains unknown files. Choose another name, or remove the files.")
            % {"slug": slug}
        )


@audited
def delete_camera(actor: Actor, camera: Camera, *, recordings: Literal["keep", "delete"] = "keep") -> None:
    """Remove a camera with its grants. Requires the permission to delete cameras, or the role `configure` for it.

    `recordings`: "delete" also deletes its recordings, events and exports, including protected ones, and requires
    the role `export` for it; it waits a few seconds until recording has stopped. With "keep", users who may replay
    all cameras find them under the camera's name until a new camera takes it, and then under another name
    ("door-old").
    Raises: ForbiddenError.
    """
    if not actor.may_all("delete_camera", "configure"):
        require_configure(actor, camera)
    if recordings == "delete" and not actor.may(Role.EXPORT, camera):
        raise ForbiddenError(
            _("You may delete this camera, but not its recordings, which needs the role “export”.")
        )
    slug = camera.slug
    with transaction.atomic():
        lock_for_deletion(camera)  # A processor may be saving its state.
        camera.delete()
        end_of_camera(slug)
    record(actor, "camera.delete", slug, recordings=recordings)
    if recordings == "delete":
        _wait_until_stopped(slug)
        _delete_left(slug)


@audited
def delete_recordings(actor: Actor, slug: str) -> int:
    """Delete the recordings, events and exports of a deleted camera. Return the number of files.

    Raises: ForbiddenError: this requires the roles `configure` and `export` for all cameras; NotFoundError: there
    are none; ConflictError: a camera with this name exists.
    """
    if not (
        actor.may_all("export_camera", Role.EXPORT) and actor.may_all("configure_camera", Role.CONFIGURE)
    ):
        raise ForbiddenError(_("Only administrators may delete the recordings of deleted cameras."))
    if Camera.objects.filter(slug=slug).exists():
        raise ConflictError(
            _("The camera “%(slug)s” exists. Delete it together with its recordings.") % {"slug": slug[:50]}
        )
    if not archive.has_left(slug):
        raise NotFoundError(_("There are no recordings of “%(slug)s”.") % {"slug": slug[:50]})
    count = _delete_left(slug)
    record(actor, "recording.delete", slug, files=count)
    return count


def _wait_until_stopped(slug: str) -> None:
    """Wait until the engine has stopped the deleted camera, so that its last file is closed."""
    until_s = time.monotonic() + STOP_TIMEOUT_S
    while time.monotonic() < until_s:
        status = read_status()
        if not status.engine_running or slug not in status.cameras:
            return
        time.sleep(0.1)


def _delete_left(slug: str) -> int:
    """Delete files, then their rows. The row of a file that cannot be deleted stays."""
    config = get_settings()
    count = 0
    after = 0
    while rows := list(
        Segment.objects.filter(slug=slug, pk__gt=after)
        .order_by("pk")
        .values_list("pk", "path")[:DELETE_BATCH]
    ):
        gone = [pk for pk, path in rows if slug_of(path) == slug and _unlink(config.recordings_dir / path)]
        Segment.objects.filter(pk__in=gone).delete()
        count += len(gone)
        after = rows[-1][0]
    for export in Export.objects.filter(slug=slug):
        if export.claim:
            _unlink(export.path(config.exports_dir))
        export.delete()
    Event.objects.filter(slug=slug).delete()
    EventCall.objects.filter(slug=slug).delete()
    transaction.on_commit(Snapshot.objects.filter(slug=slug).sweep_events)
    if slug:
        remove_empty(config.recordings_dir / slug)
    return count


def _unlink(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        logger.warning("%s cannot be deleted: %s", path, exc.strerror)
        return False
    return True


def source_to_probe(actor: Actor, fields: SourceFields, camera: Camera | None = None) -> SourceConfig:
    """Return the source of a camera to be tested before it is saved. Raises: as `draft_camera`."""
    return draft_camera(actor, fields, camera).source()


def draft_camera(actor: Actor, fields: CameraFields | SourceFields, camera: Camera | None = None) -> Camera:
    """Return an unsaved camera: a new one, or `camera` with `fields` changed.

    Raises: ForbiddenError, InvalidError.
    """
    if camera is not None:
        require_configure(actor, camera)
        draft = Camera.objects.get(pk=camera.pk)
    elif actor.may_all("add_camera", "configure"):
        draft = Camera(slug="probe")
    else:
        raise ForbiddenError(_("You are not allowed to add cameras, so you cannot test addresses either."))
    assign_fields(draft, fields)
    return draft


def streams_to_probe(
    actor: Actor,
    fields: SourceFields,
    streams: Mapping[str, AddressFields],
    camera: Camera | None = None,
) -> dict[str, SourceConfig]:
    """Return the sources of `streams` of the camera, by name, as `source_to_probe` does for `main`."""
    draft = draft_camera(actor, fields, camera)
    found = {}
    for name, address in streams.items():
        stream = (camera and find_stream(camera, name)) or Stream(name=name)
        stream.camera = draft
        assign_address(stream, address, verified_before=draft.verify_tls)
        found[name] = stream.source()
    return found


def assign_fields(camera: Camera, fields: CameraFields | SourceFields) -> None:
    """Assign `fields` to `camera` without checking them against the database and without saving. Raises:
    InvalidError.
    """
    verified_before = camera.verify_tls
    for name in _PLAIN:
        if name in fields:
            setattr(camera, name, fields[name])  # type: ignore[literal-required] # the names of both TypedDicts
    is_bound_anew = camera.credentials and camera.verify_tls != verified_before
    if any(name in fields for name in _SOURCE) or is_bound_anew or not camera.url:
        assign_address(camera, fields, verified_before=verified_before)


def _taken(actor: Actor, slug: str) -> ConflictError | InvalidError:
    """Return the error for a short name that is in use. Reveals this only to an actor who may see that camera."""
    if find_camera(actor, slug) is None:
        return InvalidError.of("slug", _("This short name cannot be used. Choose another one."))
    return ConflictError(_("A camera named “%(slug)s” already exists.") % {"slug": slug})


def _check_roles(camera: Camera, names: Collection[str] | None) -> None:
    """Raises: InvalidError: a role has a stream that the camera does not have."""
    roles = {role: str(getattr(camera, role)) for role in ROLE_STREAMS if getattr(camera, role)}
    if not roles:
        return
    known = {stream.name for stream in camera.stream_facts()} if names is None else {MAIN, *names}
    for role, name in roles.items():
        if name not in known:
            raise InvalidError.of(role, _("The camera has no stream “%(name)s”.") % {"name": name})


def check_guest_view(camera: Camera) -> None:
    """Raises: InvalidError: it has no view for guests, although the code declares one, which would be stored again."""
    declared = "" if camera.guest_view else read_status().view_for_guests(camera.slug)
    if declared:
        message = _(
            "The code of “%(name)s” declares that guests see its view. Remove “replaces_video_for” from it first."
        )
        raise InvalidError.of("guest_view", message % {"name": declared})


def _check_and_save(
    actor: Actor,
    camera: Camera,
    roles_of: Collection[str] | None = None,
    *,
    sets_guest_view: bool = True,
) -> None:
    """Check and save a camera. `roles_of`: names of its streams besides `main`; None: those in the database.
    `sets_guest_view`: False: keep the view for guests of the database, which may have been set since the camera was
    loaded.

    Raises: ConflictError, InvalidError; NotFoundError: it was deleted since then.
    """
    _check_roles(camera, roles_of)
    if not sets_guest_view:
        stored = Camera.objects.filter(pk=camera.pk).values_list("guest_view", flat=True).first()
        if stored is None:
            raise missing_camera(camera.slug)
        camera.guest_view = stored
    # A new camera or name may be one for which the code declares a view for guests.
    declared = "" if camera.guest_view else read_status().view_for_guests(camera.slug)
    camera.guest_view = camera.guest_view or declared
    try:
        camera.full_clean()
    except ValidationError as error:
        if any(problem.code == "unique" for problem in error.error_dict.get("slug", [])):
            raise _taken(actor, camera.slug) from error
        raise invalid(error) from error
    if sets_guest_view or declared:
        camera.save()
    else:
        camera.save(update_fields=_ALL_BUT_GUEST_VIEW)
