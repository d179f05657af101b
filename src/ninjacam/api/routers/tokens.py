"""Your own API tokens. Needs a session, or a token with the scope `*`."""

from django.http import HttpRequest
from ninja import Router, Status

from ninjacam.actions import tokens as actions
from ninjacam.api.auth import principal
from ninjacam.api.schemas.access import TokenCreated, TokenIn, TokenOut, TokenPage, TokensRevoked
from ninjacam.api.schemas.fields import MAX_ID, Limit, RowId
from ninjacam.auth import Principal
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.models import ApiToken

router = Router()


def _require_full_scope(who: Principal) -> None:
    if not who.may_act_for(who.user):
        raise ForbiddenError("Tokens are managed with a session, or a token with the scope *.")


@router.get("", response=TokenPage, operation_id="list_tokens", summary="List your tokens")
def list_tokens(
    request: HttpRequest,
    after: RowId = MAX_ID,
    limit: Limit = 100,
) -> TokenPage:
    """The newest first, revoked and expired ones too. The tokens themselves are not kept, so cannot be shown."""
    who = principal(request)
    _require_full_scope(who)
    found = list(ApiToken.objects.filter(user_id=who.user.pk, pk__lt=after)[: limit + 1])
    page = found[:limit]
    return TokenPage(
        items=[TokenOut.from_orm(token) for token in page], next=page[-1].pk if len(found) > limit else None
    )


@router.post("", response={201: TokenCreated}, operation_id="create_token", summary="Make a token")
def create_token(request: HttpRequest, token: TokenIn) -> Status[TokenCreated]:
    """The answer shows the token this once. A token that you make with a token ends with it: it is revoked with it and
    expires no later."""
    who = principal(request)
    created, secret = actions.create_token(who, who.user, token.name, token.scopes, token.expires_at)
    return Status(201, TokenCreated(**TokenOut.from_orm(created).dict(), token=secret))


@router.delete("/{int:token_id}", response={204: None}, operation_id="revoke_token", summary="Revoke a token")
def revoke_token(request: HttpRequest, token_id: RowId) -> Status[None]:
    """It ends at once, with the tokens that were made with it. Its open streams and links end within seconds."""
    who = principal(request)
    token = ApiToken.objects.filter(pk=token_id, user_id=who.user.pk).select_related("user").first()
    if token is None:
        raise NotFoundError("You have no such token.")
    actions.revoke_token(who, token)
    return Status(204, None)


@router.delete("", response=TokensRevoked, operation_id="revoke_tokens", summary="Revoke all your tokens")
def revoke_tokens(request: HttpRequest) -> TokensRevoked:
    """All of them, the one that you use now included. A changed password does not end tokens; this does."""
    who = principal(request)
    return TokensRevoked(revoked=actions.revoke_all_tokens(who, who.user))
