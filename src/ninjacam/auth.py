"""Authentication by session cookie, `Authorization: Bearer` or `?sig=`, and its later verification.

Shared by Django views, the API and the ASGI media application. Synchronous, with database queries: call it in a
suitable thread and close the thread's connections afterwards.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal, Protocol

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore
from django.core.exceptions import ValidationError
from django.db.models import prefetch_related_objects
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from ninjacam import permissions, signing
from ninjacam.core.errors import LimitError
from ninjacam.models import GRANTED_BY, ApiToken, Camera, Role
from ninjacam.permissions import AnyUser
from ninjacam.throttle import client_address, get_throttle, network_of

_USED_RESOLUTION_S = 60
"""Minimum seconds between two writes of a token's `last_used_at`."""
_KNOWN_TOKEN_S = 7 * 24 * 3600
"""Seconds for which a valid token is still checked after its network has sent too many invalid ones."""
BAD_TOKENS = 30
BAD_TOKEN_EVERY_S = 2.0
"""Limits of one network: (burst of invalid tokens, seconds per further one)."""
RAW_ROLES = (Role.REPLAY, Role.EXPORT, Role.CONFIGURE)
"""The roles that show what a camera records and sends. A user with `view` but none of them is a guest."""
_OUTLIVING = frozenset({Role.REPLAY, Role.EXPORT})
"""The roles for recordings, which outlive their camera."""


@dataclass(frozen=True, slots=True, eq=False)
class Principal:
    """A user together with the authentication method and the permissions that it grants.

    `scopes`: None for all permissions of the user. `cameras`: the primary keys, as text, of the cameras that
    `scopes` name. `credential`: the object that `recheck` verifies again: the session key, the token's id, or the
    guard of a signed link. `view`: a signed link is valid for this view only. `token_id`: the token that was used,
    or that created the link. `expires_at_s`: expiry of a link, Unix time. `link_id`: identifies a link, the same for
    each use; empty for others. `address`: the client's, if known.
    """

    user: AbstractBaseUser = field(repr=False)
    source: Literal["session", "token", "signed"]
    scopes: frozenset[str] | None = None
    cameras: Mapping[str, str] = field(default_factory=dict)
    credential: str = field(default="", repr=False)
    view: str | None = None
    token_id: int | None = None
    expires_at_s: float | None = None
    link_id: str = ""
    address: str = ""

    @property
    def name(self) -> str:
        """Return the user and the authentication method, for logs."""
        return f"{self.user.get_username()} ({self.source})"

    def in_scope(self, role: str, camera: Camera | None = None) -> bool:
        """Return whether the authentication method permits `role` for `camera` or, without a camera, for all
        cameras."""
        scoped = self.cameras_in_scope(role)
        return scoped is None or (camera is not None and str(camera.pk) in scoped)

    def cameras_in_scope(self, role: str) -> frozenset[str] | None:
        """Return the primary keys, as text, of the cameras for which the authentication method permits `role`. None:
        all cameras."""
        givers = GRANTED_BY.get(role, (role,))
        if self.scopes is None or "*" in self.scopes or not self.scopes.isdisjoint(givers):
            return None
        return frozenset(
            pk
            for name, pk in self.cameras.items()
            if any(f"{giver}:{name}" in self.scopes for giver in givers)
        )

    def may(self, role: str, camera: Camera, view: str | None = None) -> bool:
        """Return whether `role` is permitted for `camera`, and for its view if one is given."""
        if view is not None and self.view is not None and view != self.view:
            return False
        return self.in_scope(role, camera) and permissions.may(self.user, role, camera)

    def may_all(self, permission: str, scope: str = "*") -> bool:
        """Return whether a permission without a camera (such as `add_camera`) is granted. `scope`: of a token."""
        return self.in_scope(scope) and permissions.may_all(self.user, permission)

    def may_act_for(self, user: AnyUser) -> bool:
        """Return whether data of `user` (API tokens) may be created, read and deleted. Always False for a token with
        limited scopes."""
        own = self.user.pk == user.pk
        return (
            self.source != "signed"
            and self.in_scope("*")
            and (own or getattr(self.user, "is_superuser", False))
        )

    def may_metrics(self) -> bool:
        """Return whether the metrics of the whole host may be read: by superusers, and by their tokens with the
        scope."""
        return self.in_scope("metrics") and bool(getattr(self.user, "is_superuser", False))

    def may_administer(self) -> bool:
        """Return whether users, sessions and the audit log may be read and changed: by superusers who are logged in,
        and by their tokens with the scope `*`."""
        is_superuser = bool(getattr(self.user, "is_superuser", False))
        return self.source != "signed" and self.in_scope("*") and is_superuser


def principal_from(
    *,
    cookies: Mapping[str, str],
    authorization: str = "",
    sig: str = "",
    path: str = "",
    query: Mapping[str, str] | None = None,
    address: str = "",
) -> Principal | None:
    """Return the principal, or None. All given credentials must be valid: a valid cookie does not compensate for an
    invalid token.

    `path`: as requested, including the mount point, percent-decoded. `query`: all parameters of the request.
    `address`: the client's. A cookie does not prove the origin of a request: check Origin or CSRF as well if
    `source` is "session". Raises: LimitError: too many invalid tokens came from this address.
    """
    if authorization:
        scheme, _, token = authorization.partition(" ")
        return _from_token(token.strip(), network_of(address)) if scheme.lower() == "bearer" else None
    if sig:
        return _from_signature(sig, path, query or {})
    return _from_session(cookies.get(settings.SESSION_COOKIE_NAME, ""))


def principal_of_request(request: HttpRequest) -> Principal | None:
    """Return `principal_from` for a Django request that has passed the session and authentication middleware."""
    authorization = request.headers.get("Authorization", "")
    sig = request.GET.get(signing.PARAMETER, "")
    if authorization or sig:
        return principal_from(
            cookies={},
            authorization=authorization,
            sig=sig,
            path=request.path,
            query=request.GET.dict(),
            address=address_of_request(request),
        )
    user = request.user
    if isinstance(user, AbstractBaseUser) and user.is_authenticated and user.is_active:
        return Principal(user, "session", credential=request.session.session_key or "")
    return None


def address_of_request(request: HttpRequest) -> str:
    """Return the client's network address, even behind a trusted proxy; empty for a Unix socket."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return client_address(request.META.get("REMOTE_ADDR", "") or "", forwarded)


def _from_token(token: str, network: str) -> Principal | None:
    """Return the principal of a token. Raises: LimitError: too many invalid tokens came from this network, and this
    token is not known to be valid."""
    throttle, known = get_throttle(), f"good token:{token[:100]}"
    blocked = network and throttle.is_marked(f"bad tokens:{network}")
    if blocked and not throttle.is_marked(known):
        raise LimitError(
            "Too many requests with wrong tokens came from your address. Try again in a minute.",
            retry_after_s=60,
        )
    found = ApiToken.objects.find(token)
    if found is None:
        if network and throttle.take(f"bad token:{network}", burst=BAD_TOKENS, every_s=BAD_TOKEN_EVERY_S):
            throttle.mark(f"bad tokens:{network}", for_s=BAD_TOKEN_EVERY_S)
        return None
    now = timezone.now()
    if found.last_used_at is None or (now - found.last_used_at).total_seconds() >= _USED_RESOLUTION_S:
        ApiToken.objects.filter(pk=found.pk).update(last_used_at=now)
        throttle.mark(known, for_s=_KNOWN_TOKEN_S)
    return _principal_of_token(found)


def _principal_of_token(token: ApiToken) -> Principal:
    return Principal(
        token.user,
        "token",
        scopes=frozenset(token.scopes),
        cameras=token.cameras,
        credential=str(token.pk),
        token_id=token.pk,
    )


def _from_signature(sig: str, path: str, query: Mapping[str, str]) -> Principal | None:
    link = signing.read(sig, path=path, query=query)
    if link is None:
        return None
    user = _users([link.user_id]).get(link.user_id)
    if user is None:
        return None
    principal = Principal(
        user,
        "signed",
        scopes=frozenset({f"{link.role}:{link.camera}"}),
        cameras={link.camera: link.camera},
        credential=link.guard,
        view=link.view,
        token_id=link.token_id,
        expires_at_s=link.expires_at_s,
        link_id=hashlib.sha256(sig.encode()).hexdigest()[:16],
    )
    return _still(principal, user, _usable_tokens([link.token_id]), {})


def _from_session(key: str) -> Principal | None:
    if not key:
        return None
    data = _session_data([key]).get(key)
    if (
        not data
        or SESSION_KEY not in data
        or data.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS
    ):
        return None
    try:
        user = load_backend(data[BACKEND_SESSION_KEY]).get_user(
            get_user_model()._meta.pk.to_python(data[SESSION_KEY])
        )
    except ValidationError:
        return None
    if user is None or not user.is_active or not session_is_of(data, user):
        return None
    return Principal(user, "session", credential=key)


def password_guard(user: AbstractBaseUser) -> str:
    """Return a value that changes with the user's password. Links contain it, so a new password invalidates them."""
    return salted_hmac("ninjacam.guard", user.password, algorithm="sha256").hexdigest()[:16]


def link_for(
    principal: Principal,
    camera: Camera,
    *,
    path: str,
    query: Mapping[str, str],
    view: str,
    lifetime_s: int,
    role: str = "view",
) -> signing.Link:
    """Return a link from `principal`, to be signed by `signing.sign`. The caller checks the permission."""
    return signing.Link(
        path=path,
        camera=str(camera.pk),
        view=view,
        query=signing.signed_query(query),
        user_id=str(principal.user.pk),
        guard=password_guard(principal.user),
        expires_at_s=int(time.time()) + min(lifetime_s, signing.MAX_AGE_S),
        token_id=principal.token_id,
        role=role,
    )


def refresh(principals: Iterable[Principal]) -> dict[Principal, Principal | None]:
    """Read users, sessions, tokens and grants again. Map each principal to a fresh one, or to None if it is no
    longer valid.

    A principal becomes invalid when its user is deactivated, its session is flushed or has an older password, its
    token is revoked or expired, or its link is no longer valid. Five queries for all of them.
    """
    asked = list(principals)
    users = _users(str(principal.user.pk) for principal in asked)
    tokens = _usable_tokens(principal.token_id for principal in asked)
    sessions = _session_data(p.credential for p in asked if p.source == "session")
    permissions.load_grants(user for user in users.values() if not getattr(user, "is_superuser", False))
    fresh: dict[Principal, Principal | None] = {}
    for principal in asked:
        user = users.get(str(principal.user.pk))
        fresh[principal] = _still(principal, user, tokens, sessions) if user else None
    return fresh


def recheck(items: Iterable[tuple[Principal, str, Camera, str | None]]) -> list[bool]:
    """Return, for each (principal, role, camera, view), whether it is still permitted. All objects are read again.

    It is not after the camera was renamed: its streams have the new name, and another camera may have the old one.

    `view`: the view whose live video is shown; None: there is none. A guest's is not permitted any more if the camera
    now has another view for guests.
    An unsaved camera represents a deleted one with its slug: this requires the role for all cameras, or the role for
    the new camera that has taken over its recordings. Six queries for all, seven with deleted cameras, and up to
    four for each user whose permission does not result from a grant.
    """
    asked = list(items)
    fresh = refresh(principal for principal, *_ in asked)
    cameras = Camera.objects.in_bulk({camera.pk for _, _, camera, _ in asked if camera.pk is not None})
    deleted = {camera.slug for _, _, camera, _ in asked if camera.pk is None}
    heirs = Camera.objects.in_bulk(deleted, field_name="slug") if deleted else {}
    answers = []
    for principal, role, camera, view in asked:
        now = fresh[principal]
        present = heirs.get(camera.slug) if camera.pk is None else cameras.get(camera.pk)
        if camera.pk is None and present is None:
            answers.append(bool(now and role in _OUTLIVING and now.may_all(f"{role}_camera", role)))
            continue
        has_moved = present is not None and present.slug != camera.slug
        answers.append(_may_watch(now, role, None if has_moved else present, view))
    return answers


def _may_watch(who: Principal | None, role: str, camera: Camera | None, view: str | None) -> bool:
    if who is None or camera is None or not who.may(role, camera):
        return False
    return view is None or shown_view(who, camera, view) == view


def _still(
    principal: Principal,
    user: AbstractBaseUser,
    tokens: Mapping[int, ApiToken],
    sessions: Mapping[str, Mapping[str, Any]],
) -> Principal | None:
    """Return `principal` with the fresh `user`, or None if its credentials are no longer valid."""
    if not user.is_active:
        return None
    if principal.source == "session":
        data = sessions.get(principal.credential)
        return replace(principal, user=user) if data and session_is_of(data, user) else None
    token = tokens.get(principal.token_id) if principal.token_id is not None else None
    if principal.token_id is not None and (token is None or token.user_id != user.pk):
        return None
    if principal.source == "token":
        scopes = frozenset(token.scopes) if token else frozenset()
        return replace(principal, user=user, scopes=scopes, cameras=token.cameras) if token else None
    expired = principal.expires_at_s is None or time.time() >= principal.expires_at_s
    if expired or not constant_time_compare(principal.credential, password_guard(user)):
        return None
    return replace(principal, user=user)


def _users(keys: Iterable[str]) -> dict[str, AbstractBaseUser]:
    model = get_user_model()
    try:
        wanted = {model._meta.pk.to_python(key) for key in keys}
    except ValidationError:
        return {}
    return {str(user.pk): user for user in model._default_manager.filter(pk__in=wanted)} if wanted else {}


def _usable_tokens(ids: Iterable[int | None]) -> dict[int, ApiToken]:
    wanted = {token_id for token_id in ids if token_id is not None}
    if not wanted:
        return {}
    found = list(ApiToken.objects.filter(pk__in=wanted))
    # There are few of them, and a join would slow down all other queries.
    if any(token.parent_id is not None for token in found):
        prefetch_related_objects(found, "parent")
    return {token.pk: token for token in found if token.is_usable()}


def _session_data(keys: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Map session keys to the data of sessions that still exist. One query if sessions are in the database."""
    wanted = set(keys)
    store_class: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    if not wanted:
        return {}
    if not issubclass(store_class, DatabaseSessionStore):
        # Uses load() instead of the lazy property, which returns {} for a missing session. Creates no sessions.
        return {key: data for key in wanted if (data := store_class(key).load())}
    rows = store_class.get_model_class().objects.filter(
        session_key__in=wanted, expire_date__gt=timezone.now()
    )
    decode = store_class().decode
    return {row.session_key: decode(row.session_data) for row in rows}


def session_is_of(data: Mapping[str, Any], user: AbstractBaseUser) -> bool:
    """Return whether the session was created for this user with the current password."""
    held = data.get(HASH_SESSION_KEY, "")
    return str(user.pk) == data.get(SESSION_KEY) and constant_time_compare(held, user.get_session_auth_hash())


class Actor(Protocol):
    """The actor of an action: a `Principal` or the `LocalOperator`."""

    @property
    def name(self) -> str: ...
    def may(self, role: str, camera: Camera, view: str | None = None) -> bool: ...
    def may_all(self, permission: str, scope: str = "*") -> bool: ...
    def may_act_for(self, user: AnyUser) -> bool: ...


def is_guest(actor: Actor, camera: Camera) -> bool:
    """Return whether `actor`, who may view the camera, may see its view for guests only."""
    return bool(camera.guest_view) and not any(actor.may(role, camera) for role in RAW_ROLES)


def shown_view(actor: Actor, camera: Camera, view: str) -> str | None:
    """Return the view that `actor`, who may view the camera, receives if it requests `view`; None: it is refused.

    This is the only place that decides who sees the camera's own video (""). The database alone determines it: whether
    the processor of the view for guests exists or works makes no difference.
    """
    if not is_guest(actor, camera):
        return view
    return camera.guest_view if view in ("", camera.guest_view) else None


class LocalOperator:
    """The user who runs a management command on this host, and therefore has full access to the database."""

    name = "local operator"

    def may(self, role: str, camera: Camera, view: str | None = None) -> bool:
        return True

    def may_all(self, permission: str, scope: str = "*") -> bool:
        return True

    def may_act_for(self, user: AnyUser) -> bool:
        return True
