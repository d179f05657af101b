"""The product's security headers and cookies. Not for other projects, which have their own requirements and
settings.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port

from ninjacam.actions.sign_in import COOKIE as KNOWN_COOKIE
from ninjacam.conf import get_settings

HSTS = "max-age=31536000"
"""One year, for this host name only: other services may use its subdomains."""

# Inline styles are required by the player's shadow root and Swagger UI, and blob: in media by MSE.
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)


def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    def add_policy(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    return add_policy


def secure_cookies(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Mark our cookies Secure and send HSTS if the browser uses https.

    This is the case if the request arrived by https, or if its host is that of an https origin (NINJACAM_ORIGINS),
    even if the reverse proxy does not forward the scheme. A browser that uses plain http to an address in the same
    network can still log in. Settings such as SESSION_COOKIE_SECURE could only apply to both.
    """

    def mark(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        host = split_domain_port(request.META.get("HTTP_HOST", ""))[0]
        is_public = host in settings.HTTPS_HOSTS
        if request.is_secure() or is_public:
            if is_public or not get_settings().has_own_certificate:
                response.headers.setdefault("Strict-Transport-Security", HSTS)
            for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, KNOWN_COOKIE):
                if name in response.cookies:
                    response.cookies[name]["secure"] = True
        return response

    return mark
