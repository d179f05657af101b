"""The user of the request."""

from django.http import HttpRequest
from ninja import Router

from ninjacam.api.auth import principal
from ninjacam.api.schemas.access import MeOut

router = Router()


@router.get("", response=MeOut, operation_id="get_me", summary="Get current user")
def get_me(request: HttpRequest) -> MeOut:
    """Your user, and the scopes of the session or token in use."""
    who = principal(request)
    return MeOut(
        username=who.user.get_username(),
        source=who.source,
        scopes=None if who.scopes is None else sorted(who.scopes),
        is_superuser=bool(getattr(who.user, "is_superuser", False)),
        may_add_cameras=who.may_all("add_camera", "configure"),
    )
