"""Finds errors in the configuration of a reverse proxy: requests each of CSRF_TRUSTED_ORIGINS as a browser does."""

import http.client
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import NoReverseMatch, reverse

TIMEOUT_S = 5.0
MAX_ORIGINS = 5
_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "bmluamFjYW0gZG9jdG9yIQ==",
}


def look_through(origin: str) -> Iterator[str]:
    """Yield a sentence for each error of the proxy at `origin`."""
    try:
        login = _ask(origin, reverse("ninjacam:login"), {})
        socket = _ask(origin, reverse("ninjacam:live-ws"), {**_UPGRADE, "Origin": origin})
    except NoReverseMatch:
        return
    except ssl.SSLError as error:
        yield f"The certificate of {origin} is not accepted here: {error.reason or error}."
        return
    except (OSError, http.client.HTTPException) as error:
        yield f"{origin} does not respond: {type(error).__name__}. Check that the proxy runs at this address."
        return
    if login == 400:
        yield (
            f"{origin} forwards a host name that is not allowed. Configure it to send the browser's Host header, "
            "or add the name to NINJACAM_HOSTS."
        )
    elif login >= 404:
        yield (
            f"{origin} returns {login} for the login page. "
            "Check that the proxy points to Ninjacam and that NINJACAM_PREFIX is correct."
        )
    if socket in (400, 404, 426) and login < 400:
        yield f"{origin} does not forward WebSockets ({socket}). Configure it to send Upgrade and Connection."


def _ask(origin: str, path: str, headers: dict[str, str]) -> int:
    """Return the response's status. Raises: OSError, HTTPException."""
    parts = urlsplit(origin)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def origins() -> list[str]:
    """Return the trusted origins without wildcards."""
    return [each for each in settings.CSRF_TRUSTED_ORIGINS if "*" not in each][:MAX_ORIGINS]
