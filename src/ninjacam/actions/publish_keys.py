"""Create and revoke the keys with which devices publish to a camera."""

from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.validation import require_configure
from ninjacam.auth import Actor
from ninjacam.core.errors import InvalidError, QuotaError
from ninjacam.models import Camera, PublishKey
from ninjacam.models.publish_key import MAX_KEYS_PER_CAMERA


@audited
def create_publish_key(actor: Actor, camera: Camera, name: str = "") -> tuple[PublishKey, str]:
    """Return the row and the key, which is not stored. A stream that is being published is interrupted briefly.

    Raises: ForbiddenError; InvalidError: the camera does not wait for a publisher; QuotaError: it has too many keys.
    """
    require_configure(actor, camera)
    if not camera.is_published:
        raise InvalidError.of("url", _("Only cameras with the URL “push:” have keys for publishers."))
    if camera.publish_keys.count() >= MAX_KEYS_PER_CAMERA:
        raise QuotaError(
            _("A camera has at most %(count)s keys. Revoke one first.") % {"count": MAX_KEYS_PER_CAMERA}
        )
    row, key = PublishKey.create(camera, name)
    record(actor, "publish_key.create", camera.slug, key=row.prefix, name=name)
    return row, key


@audited
def revoke_publish_key(actor: Actor, row: PublishKey) -> None:
    """Revoke a key. A stream that is published with it ends within seconds. Raises: ForbiddenError."""
    require_configure(actor, row.camera)
    prefix, camera = row.prefix, row.camera
    row.delete()
    record(actor, "publish_key.revoke", camera.slug, key=prefix)
