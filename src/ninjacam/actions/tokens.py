"""Create and revoke API tokens."""

from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.validation import invalid
from ninjacam.auth import Actor
from ninjacam.core.errors import ForbiddenError, InvalidError, LimitError
from ninjacam.models import ApiToken, Camera, Role
from ninjacam.models.token import hash_token, new_token
from ninjacam.permissions import may

MAX_TOKENS = 100
"""Maximum number of usable tokens of one user."""
MAX_GENERATIONS = 3
"""Maximum generations: a token, one created with it, and one created with that."""


@audited
def create_token(
    actor: Actor, user: AbstractBaseUser, name: str, scopes: Iterable[str], expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """Return the token's row and the token itself, which cannot be shown again.

    A token created with another token is revoked with it and expires no later. Raises: ForbiddenError, InvalidError,
    LimitError.
    """
    if not actor.may_act_for(user):
        raise ForbiddenError(_("You are not allowed to create API tokens here."))
    wanted = sorted(set(scopes))
    _check_scopes(user, wanted)
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidError.of("expires_at", _("This time is in the past."))
    parent = _parent(actor)
    if parent is not None and parent.expires_at is not None:
        expires_at = min(expires_at or parent.expires_at, parent.expires_at)
    if ApiToken.objects.filter(user_id=user.pk, revoked_at=None).count() >= MAX_TOKENS:
        raise LimitError(_("There are too many tokens. Revoke some of them first."))
    prefix, secret = new_token()
    token = ApiToken(
        user_id=user.pk,
        name=name,
        prefix=prefix,
        token_hash=hash_token(secret),
        scopes=wanted,
        expires_at=expires_at,
        parent=parent,
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
        raise InvalidError.of("scopes", _("Specify at least one scope."))
    for scope in scopes:
        role, colon, slug = scope.partition(":")
        if scope in {"*", "metrics"} or (role in Role.values and not colon):
            continue
        camera = Camera.objects.filter(slug=slug).first() if role in Role.values else None
        if camera is None or not any(may(user, each, camera) for each in Role.values):
            raise InvalidError.of(
                "scopes",
                _(
                    "Unknown scope “%(scope)s”. Use *, metrics, %(roles)s, or a role for a camera, such as view:door."
                )
                % {"scope": scope[:80], "roles": ", ".join(Role.values)},
            )


def _parent(actor: Actor) -> ApiToken | None:
    """Return the token of `actor`. Raises: LimitError: it has too many generations."""
    token_id = getattr(actor, "token_id", None)
    if token_id is None:
        return None
    parent = found = ApiToken.objects.select_related("parent").get(pk=token_id)
    for _generation in range(MAX_GENERATIONS - 1):
        if found.parent is None:
            return parent
        found = found.parent
    raise LimitError(_("This token was created with other tokens. Use a session to create more."))


@audited
def revoke_token(actor: Actor, token: ApiToken) -> None:
    """Revoke a token, with the links and tokens that were created with it. Idempotent. Raises: ForbiddenError."""
    if not actor.may_act_for(token.user):
        raise ForbiddenError(_("You are not allowed to revoke this token."))
    if token.revoked_at is None:
        _revoke(actor, token.user, [token.pk])
        token.refresh_from_db()


@audited
def revoke_all_tokens(actor: Actor, user: AbstractBaseUser) -> int:
    """Revoke all tokens of `user`, with the links that they created. Return their number. Raises: ForbiddenError."""
    if not actor.may_act_for(user):
        raise ForbiddenError(_("You are not allowed to revoke these tokens."))
    usable = ApiToken.objects.filter(user_id=user.pk, revoked_at=None)
    return _revoke(actor, user, usable.values_list("pk", flat=True))


def _revoke(actor: Actor, user: AbstractBaseUser, ids: Iterable[int]) -> int:
    ended = list(
        ApiToken.objects.filter(pk__in=ApiToken.objects.with_descendants(ids), revoked_at=None).order_by("pk")
    )
    ApiToken.objects.filter(pk__in=[token.pk for token in ended]).update(revoked_at=timezone.now())
    for token in ended:
        record(actor, "token.revoke", token.prefix, token=token.name, user=user.get_username())
    return len(ended)
