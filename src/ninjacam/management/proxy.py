"""What a proxy in front gets wrong, seen from outside: each of CSRF_TRUSTED_ORIGINS is asked as a browser asks."""

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
    """Yields a sentence for each fault of the proxy that answers at `origin`. Nothing: all is well."""
    try:
        login = _ask(origin, reverse("ninjacam:login"), {})
        socket = _ask(origin, reverse("ninjacam:live-ws"), {**_UPGRADE, "Origin": origin})
    except NoReverseMatch:
        return
    except ssl.SSLError as error:
        yield f"The certificate of {origin} is not accepted here: {error.reason or error}."
        return
    except (OSError, http.client.HTTPException) as error:
        yield f"{origin} does not answer: {type(error).__name__}. Is the proxy running, and is the address right?"
        return
    if login == 400:
        yield (
            f"{origin} passes on a host name that is not allowed: let the proxy send the browser's Host header, "
            "or add the name to NINJACAM_HOSTS."
        )
    elif login >= 404:
        yield (
            f"{origin} answers {login} for the login page: "
            "does the proxy lead to Ninjacam, and is NINJACAM_PREFIX right?"
        )
    if socket in (400, 404, 426) and login < 400:
        yield f"{origin} does not pass on WebSockets ({socket}): let the proxy send the headers Upgrade and Connection."


def _ask(origin: str, path: str, headers: dict[str, str]) -> int:
    """The status. Raises: OSError, HTTPException."""
    parts = urlsplit(origin)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def origins() -> list[str]:
    """Those that name one host."""
    return [each for each in settings.CSRF_TRUSTED_ORIGINS if "*" not in each][:MAX_ORIGINS]
