"""Where devices publish to cameras, and the keys for it."""

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from ninjacam.auth import Actor
from ninjacam.conf import get_settings
from ninjacam.core.errors import NotFoundError
from ninjacam.models import Camera, PublishKey
from ninjacam.queries.cameras import get_camera


def list_publish_keys(actor: Actor, slug: str) -> QuerySet[PublishKey]:
    """Raises: NotFoundError; ForbiddenError: it needs the role `configure`."""
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
