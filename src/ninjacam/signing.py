"""Signed expiring links (`?sig=`) for what cannot send a header: `<img>`, `<video>`, a shared link.

A signature names its issuer, one path with its whole query, and one camera and view. It gives what its issuer may at
the time of use, so losing the permission, the token or the password ends the link. Logging out does not: a link that
was shared works until it expires. The camera is named by its primary key, so a later camera of the same short name is
not opened.
Not here: who the issuer is now (`ninjacam.auth`) and who may make one (`ninjacam.actions`).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core import signing

MAX_AGE_S = 7 * 24 * 3600
PARAMETER = "sig"
_SALT = "ninjacam.link/3"
_UNSIGNED = {PARAMETER, "_"}
"""Parameters outside the signature: itself, and the one by which pages defeat caches."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a signature says. `path`: as the browser requests it, mount point included. `query`: all of it.

    `camera`: its primary key, as text.
    `guard`: of the issuer's password (`ninjacam.auth.password_guard`). `token_id`: of the API token that made it.
    `role`: what it gives for the camera: to see it live, its recordings, or to take them away.
    """

    path: str
    camera: str
    view: str
    query: tuple[tuple[str, str], ...]
    user_id: str
    guard: str
    expires_at_s: int
    token_id: int | None = None
    role: str = "view"


def signed_query(query: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in query.items() if name not in _UNSIGNED))


def sign(link: Link) -> str:
    """The value of `sig`."""
    return signing.dumps(
        [link.path, link.camera, link.view, [list(pair) for pair in link.query], link.user_id, link.guard,
         link.expires_at_s, link.token_id, link.role],
        salt=_SALT,
        compress=True,
    )  # fmt: skip


def read(signature: str, *, path: str, query: Mapping[str, str], now_s: float | None = None) -> Link | None:
    """The link that `signature` was made for; None where it is forged, expired, or for another path or query."""
    if len(signature) > 2000:
        return None
    try:
        fields: Any = signing.loads(signature, salt=_SALT, max_age=MAX_AGE_S)
        signed_path, camera, view, pairs, user_id, guard, expires_at_s, token_id, role = fields
        signed = tuple((str(name), str(value)) for name, value in pairs)
        link = Link(signed_path, camera, view, signed, user_id, guard, expires_at_s, token_id, role)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    if (time.time() if now_s is None else now_s) >= link.expires_at_s:
        return None
    return link if link.path == path and link.query == signed_query(query) else None
