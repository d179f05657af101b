"""Making and revoking API tokens."""

from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from ninjacam.actions.audit import record
from ninjacam.actions.cameras import invalid
from ninjacam.actions.errors import ForbiddenError, InvalidError
from ninjacam.auth import Actor
from ninjacam.core.errors import LimitError
from ninjacam.models import ApiToken, Camera, Role
from ninjacam.models.token import hash_token, new_token
from ninjacam.permissions import may

MAX_TOKENS = 100
"""Usable tokens of one user."""


def create_token(
    actor: Actor, user: AbstractBaseUser, name: str, scopes: Iterable[str], expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """(the token's row, the token itself: shown now and never again).

    Raises: ForbiddenError, InvalidError, LimitError.
    """
    if not actor.may_act_for(user):
        raise ForbiddenError(_("You may not make API tokens here."))
    wanted = sorted(set(scopes))
    _check_scopes(user, wanted)
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidError.of("expires_at", _("This time is past."))
    if ApiToken.objects.filter(user_id=user.pk, revoked_at=None).count() >= MAX_TOKENS:
        raise LimitError(_("There are too many tokens already. Revoke some of them first."))
    prefix, secret = new_token()
    token = ApiToken(
        user_id=user.pk,
        name=name,
        prefix=prefix,
        token_hash=hash_token(secret),
        scopes=wanted,
        expires_at=expires_at,
    )
    try:
        token.full_clean()
    except ValidationError as error:
        raise invalid(error) from error
    token.save()
    record(actor, "token.create", prefix, token=name, scopes=wanted, user=user.get_username())
    return token, secret


def _check_scopes(user: AbstractBaseUser, scopes: list[str]) -> None:
    """Raises: InvalidError."""
    if not scopes:
        raise InvalidError.of("scopes", _("Name at least one scope."))
    for scope in scopes:
        role, colon, slug = scope.partition(":")
        if scope in {"*", "metrics"} or (role in Role.values and not colon):
            continue
        camera = Camera.objects.filter(slug=slug).first() if role in Role.values else None
        if camera is None or not any(may(user, each, camera) for each in Role.values):
            raise InvalidError.of(
                "scopes",
                _(
                    "“%(scope)s” is no scope. Known: *, metrics, %(roles)s, or one of these for a camera, as view:door."
                )
                % {"scope": scope[:80], "roles": ", ".join(Role.values)},
            )


def revoke_token(actor: Actor, token: ApiToken) -> None:
    """Ends it for good, with the links it made. Idempotent. Raises: ForbiddenError."""
    if not actor.may_act_for(token.user):
        raise ForbiddenError(_("You may not revoke this token."))
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
        record(actor, "token.revoke", token.prefix, token=token.name, user=token.user.get_username())
