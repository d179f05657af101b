"""Add, change, find and remove cameras."""

import logging
import time
from pathlib import Path
from typing import Literal, TypedDict

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.auth import Actor
from ninjacam.conf import get_settings
from ninjacam.core.errors import (
    ConfigError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnsupportedSchemeError,
)
from ninjacam.core.redact import MASK, split_credentials
from ninjacam.credentials import Credentials, unseal
from ninjacam.models import Camera, CameraGrant, Event, Export, Role, Segment, archive
from ninjacam.queries.cameras import find_camera
from ninjacam.queries.status import read_status
from ninjacam.recordings.layout import remove_empty, slug_of
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.registry import scheme_of
from ninjacam.sources.urls import binding_of, parse_url

logger = logging.getLogger("ninjacam.recordings")


class SourceFields(TypedDict, total=False):
    """How to reach a camera. Missing values stay unchanged. Empty user and password remove the stored ones."""

    url: str
    username: str
    password: str
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


STOP_TIMEOUT_S = 5.0
"""Seconds within which the engine stops a deleted camera."""
DELETE_BATCH = 250
RECORD = ("record", "record_before_s", "record_after_s", "record_schedule")
_PLAIN = ("name", "enabled", *RECORD, "onvif_url", "transport", "audio", "verify_tls")
_SOURCE = ("url", "username", "password")


@audited
def create_camera(actor: Actor, slug: str, fields: CameraFields) -> Camera:
    """Add a camera. Its creator may view and configure it.

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
            _check_and_save(actor, camera)
            if user is not None and not user.is_superuser:
                CameraGrant.objects.create(camera=camera, user=user, role=Role.CONFIGURE)
    except IntegrityError as error:
        raise _taken(actor, slug) from error
    record(actor, "camera.create", slug, url=camera.url)
    return camera


@audited
def update_camera(actor: Actor, camera: Camera, fields: CameraFields) -> Camera:
    """Change the fields in `fields`. Raises: ForbiddenError, InvalidError."""
    _require_configure(actor, camera)
    assign_fields(camera, fields)
    _check_and_save(actor, camera)
    record(actor, "camera.update", camera.slug, fields=sorted(fields), url=camera.url)
    return camera


@audited
def rename_camera(actor: Actor, camera: Camera, slug: str) -> Camera:
    """Change the short name of a camera. Recordings, events, exports, grants, tokens and links follow.

    URLs change with the name. Raises: ForbiddenError; InvalidError: the name is invalid; ConflictError: it is in
    use, or files of an unknown camera are stored under it.
    """
    _require_configure(actor, camera)
    old = camera.slug
    if slug == old:
        return camera
    camera.slug = slug
    try:
        with transaction.atomic():
            unknown = not archive.has_left(slug)
            _check_and_save(actor, camera)
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
        _require_configure(actor, camera)
    if recordings == "delete" and not actor.may(Role.EXPORT, camera):
        raise ForbiddenError(
            _("You may delete this camera, but not its recordings, which needs the role “export”.")
        )
    slug = camera.slug
    camera.delete()
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
    """Return how to reach a camera that is to be tested before it is saved: a new one, or `camera` with `fields`
    changed.

    Raises: ForbiddenError, InvalidError.
    """
    if camera is not None:
        _require_configure(actor, camera)
        draft = Camera.objects.get(pk=camera.pk)
    elif actor.may_all("add_camera", "configure"):
        draft = Camera(slug="probe")
    else:
        raise ForbiddenError(_("You are not allowed to add cameras, so you cannot test addresses either."))
    assign_fields(draft, fields)
    return draft.source()


def _require_configure(actor: Actor, camera: Camera) -> None:
    if not actor.may("configure", camera):
        raise ForbiddenError(
            _("You are not allowed to change the camera “%(slug)s”.") % {"slug": camera.slug}
        )


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
        _assign_source(camera, fields, verified_before)


def _assign_source(camera: Camera, fields: SourceFields, verified_before: bool) -> None:
    """Raises: InvalidError."""
    url = fields.get("url", camera.url).strip()
    _check_login(fields)
    has_login = _check_url(camera, url)
    stored = _stored(camera, fields)
    kept = stored if stored and _keeps(camera, stored, url, fields, verified_before) else None
    if MASK in url and kept is None:
        raise InvalidError.of(
            "url", _("The URL contains secrets that were not kept. Enter the whole URL again.")
        )
    login = Credentials() if kept is None or (has_login and url != camera.url) else kept
    username = fields.get("username", login.username)
    password = fields.get("password", login.password)
    if url == camera.url and kept and kept.url:
        url = kept.url
    camera.set_source(url, username, password)


def _check_login(fields: SourceFields) -> None:
    """Raises: InvalidError."""
    for name, value in (("username", fields.get("username")), ("password", fields.get("password"))):
        if value == MASK:
            raise InvalidError.of(name, _("“***” stands for the stored value. Omit it to keep the value."))
        try:
            (value or "").encode()
        except UnicodeEncodeError:  # Half of a surrogate pair, or bytes of another encoding.
            raise InvalidError.of(name, _("This is not valid UTF-8 text.")) from None


def _check_url(camera: Camera, url: str) -> bool:
    """Whether the URL has a login in it. Raises: InvalidError."""
    if url != camera.url and MASK in url:
        raise InvalidError.of(
            "url", _("“***” stands for the stored value. Enter the whole URL, or leave it unchanged.")
        )
    try:
        has_login = split_credentials(url)[0] != url
        if scheme_of(url) not in ("file", "v4l2", "push"):
            parse_url(url)
    except (UnsupportedSchemeError, ConfigError) as error:
        raise InvalidError.of("url", error.message) from error
    except ValueError:  # Its text contains the URL.
        raise InvalidError.of("url", _("This is not a valid URL. Check its host and port.")) from None
    return has_login


def _stored(camera: Camera, fields: SourceFields) -> Credentials | None:
    """Raises: InvalidError: the secret key has changed, and no new password is given."""
    try:
        return unseal(camera.credentials) if camera.credentials else None
    except ConfigError as error:
        if "password" in fields and MASK not in fields.get("url", camera.url):
            return None
        raise InvalidError.of("password", error.message) from error


def _keeps(
    camera: Camera, stored: Credentials, url: str, fields: SourceFields, verified_before: bool
) -> bool:
    """Return whether the stored credentials stay in use: only for the scheme, host, port and TLS verification they
    were entered for.

    Otherwise, a user who may configure a camera could have its password sent to another host, or in clear text.
    Raises: InvalidError: one of these has changed, and no new credentials are given.
    """
    true_url = stored.url or camera.url
    before = stored.bound_to or binding_of(true_url, verify_tls=verified_before)
    now = binding_of(true_url if url == camera.url else url, verify_tls=camera.verify_tls)
    if before == now:
        return True
    if "password" in fields or any(split_credentials(url)[1:]):
        return False
    raise InvalidError.of("password", _why_anew(before, now))


def _why_anew(before: str, now: str) -> str:
    """`before`, `now`: results of `binding_of`."""
    old, new = (_parts_of(binding) for binding in (before, now))
    if old[1] != new[1]:
        return _("The URL has another host than before. Enter the user and password again.")
    if old[2] != new[2]:
        return _("The URL has another port than before. Enter the user and password again.")
    if old[0] != new[0]:
        return _("The URL starts with %(new)s instead of %(old)s. Enter the user and password again.") % {
            "new": f"{new[0]}:",
            "old": f"{old[0]}:",
        }
    return _("TLS verification was switched on or off. Enter the user and password again.")


def _parts_of(binding: str) -> tuple[str, str, str]:
    """(scheme, host, port)"""
    scheme, _separator, rest = binding.partition("://")
    host, _separator, port = rest.partition(" ")[0].rpartition(":")
    return scheme, host, port


def _taken(actor: Actor, slug: str) -> ConflictError | InvalidError:
    """Return the error for a short name that is in use. Reveals this only to an actor who may know that camera."""
    if find_camera(actor, slug) is None:
        return InvalidError.of("slug", _("This short name cannot be used. Choose another one."))
    return ConflictError(_("A camera named “%(slug)s” already exists.") % {"slug": slug})


def _check_and_save(actor: Actor, camera: Camera) -> None:
    """Raises: ConflictError, InvalidError."""
    try:
        camera.full_clean()
    except ValidationError as error:
        if any(problem.code == "unique" for problem in error.error_dict.get("slug", [])):
            raise _taken(actor, camera.slug) from error
        raise invalid(error) from error
    camera.save()


def invalid(error: ValidationError) -> InvalidError:
    fields = {name: list(messages) for name, messages in error.message_dict.items()}
    first = next(iter(fields.items()), ("", [_("A value is invalid.")]))
    prefix = "" if first[0] in {"", NON_FIELD_ERRORS} else f"{first[0]}: "
    return InvalidError(prefix + first[1][0], fields)
