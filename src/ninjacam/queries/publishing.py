"""The URLs at which devices publish to cameras, and the keys for them."""

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from ninjacam import signing
from ninjacam.auth import Actor
from ninjacam.conf import get_settings
from ninjacam.core.errors import NotFoundError
from ninjacam.models import Camera, PublishKey
from ninjacam.queries.cameras import get_camera

SHOWN_LINK_S = 3600
"""Lifetime in seconds of a link that a page shows as a QR code, which others may photograph."""
RENEWED_LINK_S = 30 * 24 * 3600
"""Lifetime in seconds of the link that a publishing page gets when it connects."""


def list_publish_keys(actor: Actor, slug: str) -> QuerySet[PublishKey]:
    """Return the keys of a camera. Raises: NotFoundError; ForbiddenError: this requires the role `configure`."""
    return get_camera(actor, slug, "configure").publish_keys.order_by("pk")


def get_publish_key(actor: Actor, slug: str, key_id: int) -> PublishKey:
    """Raises: NotFoundError, ForbiddenError."""
    camera: Camera = get_camera(actor, slug, "configure")
    row = camera.publish_keys.filter(pk=key_id).select_related("camera").first()
    if row is None:
        raise NotFoundError(_("The camera has no key %(id)s.") % {"id": key_id})
    return row


def publish_urls(key: str, host: str) -> list[str]:
    """Return the URLs at which a device may publish with `key`, the encrypted ones first. `host`: name or address of
    this host without a port.
    """
    ports = get_settings().publish_ports
    open_ports = [("rtmp", ports.rtmp_port), ("rtsp", ports.rtsp_port)]
    schemes = ["s", ""] if ports.certificate else [""]
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return [
        f"{name}{suffix}://{shown}:{port}/publish/{key}"
        for suffix in schemes
        for name, port in open_ports
        if port
    ]


def make_publish_link(key: PublishKey, *, lifetime_s: float = SHOWN_LINK_S) -> str:
    """Return the part of the path that identifies a publishing page. The link ends with the key."""
    return signing.sign_publish_link(key.prefix, lifetime_s=lifetime_s)


def get_linked_key(link: str) -> PublishKey:
    """Return the key of a publishing page. The link itself is the permission to publish.

    Raises: NotFoundError: the link is forged or has expired, its key was revoked, or its camera is disabled.
    """
    prefix = signing.read_publish_link(link)
    keys = PublishKey.objects.filter(prefix=prefix, camera__enabled=True).select_related("camera")
    key = keys.first() if prefix is not None else None
    if key is None:
        raise NotFoundError(
            _(
                "This link does not work any more. Scan a new code on the camera's page, or ask who gave it to you."
            )
        )
    return key
