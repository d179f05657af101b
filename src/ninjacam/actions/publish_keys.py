"""Create and revoke the keys with which devices publish to a camera."""

from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.auth import Actor
from ninjacam.core.errors import ForbiddenError, InvalidError, LimitError
from ninjacam.models import Camera, PublishKey
from ninjacam.models.publish_key import MAX_KEYS_PER_CAMERA


@audited
def create_publish_key(actor: Actor, camera: Camera, name: str = "") -> tuple[PublishKey, str]:
    """Return the row and the key, which is not stored. A stream that is being published is interrupted for a moment.

    Raises: ForbiddenError; InvalidError: the camera does not wait for a publisher; LimitError: it has too many keys.
    """
    _require_configure(actor, camera)
    if not camera.is_published:
        raise InvalidError.of("url", _("Only cameras with the URL “push:” have keys for publishers."))
    if camera.publish_keys.count() >= MAX_KEYS_PER_CAMERA:
        raise LimitError(
            _("A camera has at most %(count)s keys. Revoke one first.") % {"count": MAX_KEYS_PER_CAMERA}
        )
    row, key = PublishKey.create(camera, name)
    record(actor, "publish_key.create", camera.slug, key=row.prefix, name=name)
    return row, key


@audited
def revoke_publish_key(actor: Actor, row: PublishKey) -> None:
    """A stream that is published with it ends within seconds. Raises: ForbiddenError."""
    _require_configure(actor, row.camera)
    prefix, camera = row.prefix, row.camera
    row.delete()
    record(actor, "publish_key.revoke", camera.slug, key=prefix)


def _require_configure(actor: Actor, camera: Camera) -> None:
    if not actor.may("configure", camera):
        raise ForbiddenError(
            _("You are not allowed to change the camera “%(slug)s”.") % {"slug": camera.slug}
        )
