"""Your own API tokens. Needs a session, or a token with the scope `*`."""

from django.http import HttpRequest
from ninja import Query, Router, Status

from ninjacam.actions import tokens as actions
from ninjacam.api.auth import principal
from ninjacam.api.schemas.access import TokenCreated, TokenIn, TokenOut, TokenPage, TokensRevoked
from ninjacam.api.schemas.fields import RowId
from ninjacam.api.schemas.pages import PageQuery
from ninjacam.queries import access
from ninjacam.queries.pages import paginate

router = Router()


@router.get("", response=TokenPage, operation_id="list_tokens", summary="List tokens")
def list_tokens(request: HttpRequest, query: Query[PageQuery]) -> TokenPage:
    """Your tokens, newest first, revoked and expired ones too. The secrets are not stored, so they are not included."""
    page = paginate(access.list_tokens(principal(request)), ("-pk",), query.after, query.limit)
    return TokenPage(items=[TokenOut.from_orm(token) for token in page.items], next=page.next)


@router.post("", response={201: TokenCreated}, operation_id="create_token", summary="Create token")
def create_token(request: HttpRequest, token: TokenIn) -> Status[TokenCreated]:
    """Only this response contains the token itself. A token that you create with a token is revoked with it and expires
    no later."""
    who = principal(request)
    created, secret = actions.create_token(who, who.user, token.name, token.scopes, token.expires_at)
    return Status(201, TokenCreated(**TokenOut.from_orm(created).dict(), token=secret))


@router.delete("/{int:token_id}", response={204: None}, operation_id="revoke_token", summary="Revoke token")
def revoke_token(request: HttpRequest, token_id: RowId) -> Status[None]:
    """The token ends at once, with the tokens that were created with it. Their open streams and links end within
    seconds."""
    who = principal(request)
    actions.revoke_token(who, access.get_token(who, token_id))
    return Status(204, None)


@router.delete("", response=TokensRevoked, operation_id="revoke_tokens", summary="Revoke all tokens")
def revoke_tokens(request: HttpRequest) -> TokensRevoked:
    """Revoke all your tokens, including the one that you use now. Changing your password does not revoke tokens."""
    who = principal(request)
    return TokensRevoked(revoked=actions.revoke_all_tokens(who, who.user))
