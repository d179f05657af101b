"""Signed, expiring links (`?sig=`) for clients that cannot send a header: `<img>`, `<video>`, shared links.

A signature contains its issuer, one path with its whole query, and one camera and view. It grants the issuer's
permissions at the time of use, so it ends with the issuer's permission, token or password. It remains valid after
logging out: a shared link works until it expires. The camera is identified by its primary key, so the link never
applies to a later camera with the same short name. Not here: authentication (`ninjacam.auth`) and permission to
create links (`ninjacam.actions`).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core import signing

MAX_AGE_S = 7 * 24 * 3600
PARAMETER = "sig"
_SALT = "ninjacam.link/3"
_PUBLISH_SALT = "ninjacam.publish/1"
_MUTE_SALT = "ninjacam.mute/1"
MUTE_AGE_S = 24 * 3600
"""Seconds for which a notification can be used to mute its camera."""
_UNSIGNED = {PARAMETER, "_"}
"""Parameters that are not signed: the signature itself, and the parameter by which pages bypass caches."""


@dataclass(frozen=True, slots=True)
class Link:
    """The content of a signature. `path`: as the browser requests it, including the mount point. `query`: all of it.

    `camera`: its primary key, as text. `guard`: of the issuer's password (`ninjacam.auth.password_guard`).
    `token_id`: the API token that created it. `role`: the role for the camera that it grants.
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
    """Return the value of `sig`."""
    return signing.dumps(
        [link.path, link.camera, link.view, [list(pair) for pair in link.query], link.user_id, link.guard,
         link.expires_at_s, link.token_id, link.role],
        salt=_SALT,
        compress=True,
    )  # fmt: skip


def read(signature: str, *, path: str, query: Mapping[str, str], now_s: float | None = None) -> Link | None:
    """Return the link of `signature`; None if it is forged, expired, or for another path or query."""
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


def sign_mute(subscription_id: int, slug: str) -> str:
    """Return a text that mutes the notifications of a camera for the user of a subscription, for MUTE_AGE_S."""
    return signing.dumps([subscription_id, slug], salt=_MUTE_SALT)


def read_mute(text: str) -> tuple[int, str] | None:
    """Return (id of the subscription, slug); None if the text is forged or has expired."""
    try:
        subscription_id, slug = signing.loads(text[:500], salt=_MUTE_SALT, max_age=MUTE_AGE_S)
        return int(subscription_id), str(slug)
    except (signing.BadSignature, ValueError, TypeError):
        return None


def sign_publish_link(prefix: str, *, lifetime_s: float, now_s: float | None = None) -> str:
    """Return the part of a publishing page's path that represents the publish key with this prefix."""
    expires_at_s = int((time.time() if now_s is None else now_s) + lifetime_s)
    return signing.dumps([prefix, expires_at_s], salt=_PUBLISH_SALT)


def read_publish_link(text: str, *, now_s: float | None = None) -> str | None:
    """Return the prefix of the publish key; None if the link is forged or has expired."""
    try:
        prefix, expires_at_s = signing.loads(text, salt=_PUBLISH_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    is_current = (time.time() if now_s is None else now_s) < expires_at_s
    return str(prefix) if is_current else None
