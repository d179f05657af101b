"""Session and bearer token as Ninja takes them. `principal(request)` is what operations use."""

from django.conf import settings
from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from ninjacam.auth import Principal, address_of_request, principal_from, principal_of_request


class SessionAuth(APIKeyCookie):
    """Django's session. Writes need the CSRF token. A request that offers a token is judged by the token alone."""

    param_name = settings.SESSION_COOKIE_NAME
    openapi_description = "The session of a signed-in browser; writes need the X-CSRFToken header as well."

    def __call__(self, request: HttpRequest) -> Principal | None:
        if "Authorization" in request.headers:
            return None
        found = principal_of_request(request)
        if found is None or found.source != "session":
            return None
        if check_csrf(request) is not None:
            raise HttpError(403, "The CSRF token is missing or wrong: send it in the header X-CSRFToken.")
        return found

    def authenticate(self, request: HttpRequest, key: str | None) -> Principal | None:
        return self(request)


class BearerAuth(HttpBearer):
    """`Authorization: Bearer nc_...`."""

    openapi_bearerFormat = "nc_<prefix>_<secret>"  # noqa: N815 (OpenAPI's name)

    def __call__(self, request: HttpRequest) -> Principal | None:
        # Not Ninja's own, which logs what it does not understand where DEBUG is on.
        return principal_from(
            cookies={},
            authorization=request.headers.get("Authorization", ""),
            address=address_of_request(request),
        )

    def authenticate(self, request: HttpRequest, token: str) -> Principal | None:
        return self(request)


def principal(request: HttpRequest) -> Principal:
    """Who asks. Ninja has called one of the above before any operation."""
    found = getattr(request, "auth", None)
    if not isinstance(found, Principal):
        raise HttpError(401, "Unauthorized")
    return found
