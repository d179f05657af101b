"""The product's content security policy. Not for other projects: their pages have their own needs."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Styles inline: the player's shadow root and Swagger UI. blob: in media: what MSE plays.
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
