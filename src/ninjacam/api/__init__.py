"""The HTTP API, `/api/v1`: thin routers over `ninjacam.actions`, and reading.

Every operation needs a session (with CSRF token) or a bearer token; there is no way to add one that does not but to say
`auth=None`, which a test refuses. Errors are problem+json (RFC 9457).
"""

from ninjacam.api.application import api, urls

__all__ = ["api", "urls"]
