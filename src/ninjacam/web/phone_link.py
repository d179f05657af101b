"""The link by which a phone's browser becomes a camera, and its QR code."""

import ipaddress
from dataclasses import dataclass

from django.http import HttpRequest
from django.http.request import split_domain_port
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from ninjacam.models import PublishKey
from ninjacam.queries.publishing import make_publish_link


@dataclass(frozen=True, slots=True)
class PhoneLink:
    """A link. `image`: the QR code, an SVG element. `is_secure`: whether the link uses https, which phones require
    for access to their camera. `is_local`: whether its host is this machine itself, which a phone cannot reach.
    """

    url: str
    image: SafeString
    is_secure: bool
    is_local: bool


def make_phone_link(request: HttpRequest, key: PublishKey) -> PhoneLink:
    """Return a new link, at the address that the browser used for this server."""
    import segno  # Imported here, because only few requests need it.

    url = request.build_absolute_uri(reverse("ninjacam:publish", args=[make_publish_link(key)]))
    code = segno.make_qr(url, error="l")
    svg = code.svg_inline(scale=4, border=4, light="#fff", svgclass="qr", omitsize=True)
    return PhoneLink(url, mark_safe(svg), request.is_secure(), _is_local(request))  # noqa: S308 (made of squares)


def _is_local(request: HttpRequest) -> bool:
    host = split_domain_port(request.get_host())[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
