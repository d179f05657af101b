"""Grants and tokens."""

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from ninjacam.auth import Actor, Principal
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.models import ApiToken, Camera, CameraGrant
from ninjacam.queries.cameras import knows


def list_grants(actor: Actor, camera: Camera) -> QuerySet[CameraGrant]:
    """Raises: ForbiddenError: the actor may not view grants."""
    if not actor.may_all("view_cameragrant"):
        raise ForbiddenError(_("You may not view who else has access."))
    return camera.grants.select_related("camera", "user", "group")


def get_grant(actor: Actor, grant_id: int) -> CameraGrant:
    """Raises: NotFoundError, also if its camera is invisible to the actor."""
    grant = CameraGrant.objects.filter(pk=grant_id).select_related("camera", "user", "group").first()
    if grant is None or not knows(actor, grant.camera):
        raise NotFoundError(_("No grant %(id)s.") % {"id": grant_id})
    return grant


def list_tokens(who: Principal) -> QuerySet[ApiToken]:
    """Return the user's own tokens, including revoked and expired ones.

    Raises: ForbiddenError: `who` is authenticated by a token or link of lesser scope.
    """
    if not who.may_act_for(who.user):
        raise ForbiddenError(_("To manage tokens, use a session or a token with the scope *."))
    return ApiToken.objects.filter(user_id=who.user.pk)


def get_token(who: Principal, token_id: int) -> ApiToken:
    """Return one of the user's own tokens. Raises: NotFoundError."""
    token = ApiToken.objects.filter(pk=token_id, user_id=who.user.pk).select_related("user").first()
    if token is None:
        raise NotFoundError(_("You have no token %(id)s.") % {"id": token_id})
    return token
