"""Signed links that expire, for clients that cannot send a header."""

from django.http import HttpRequest
from ninja import Router, Status

from ninjacam.actions.links import create_link as sign_link
from ninjacam.api.auth import principal
from ninjacam.api.schemas.access import LinkIn, LinkOut
from ninjacam.routes import LINKED_ROUTES

router = Router()


@router.post("", response={201: LinkOut}, operation_id="create_link", summary="Create signed link")
def create_link(request: HttpRequest, link: LinkIn) -> Status[LinkOut]:
    """A link opens one view of a camera, or some of its recordings (`hls`, `clip`, `at`), for everyone who has it: use
    it in an `<img>` element elsewhere, or share it. It works until it expires, or until you lose the permission, change
    your password, or revoke the token that you use now. It continues to work when you log out. It ends when the camera
    is deleted, even if a new camera gets the same slug. A playlist refers to whole files: up to a minute more than its
    span."""
    who = principal(request)
    made = sign_link(
        who, link.camera, link.kind, view=link.view, parameters=link.parameters, lifetime_s=link.lifetime_s
    )
    url = request.build_absolute_uri(made.path)
    if LINKED_ROUTES[link.kind].protocol == "websocket":
        url = "ws" + url.removeprefix("http")
    return Status(201, LinkOut(url=url, expires_at=made.expires_at))
