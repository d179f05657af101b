"""Signed expiring links, for what cannot send a header."""

from django.http import HttpRequest
from ninja import Router, Status

from ninjacam.actions.cameras import find_camera
from ninjacam.actions.links import create_link as sign_link
from ninjacam.api.auth import principal
from ninjacam.api.schemas import LinkIn, LinkOut

router = Router()


@router.post("", response={201: LinkOut}, operation_id="create_link", summary="Make a signed link")
def create_link(request: HttpRequest, link: LinkIn) -> Status[LinkOut]:
    """For an `<img>` elsewhere, or to share: whoever has the link sees this view of this camera until it expires, or
    until you lose the permission, change your password, or revoke the token that you use now."""
    who = principal(request)
    camera = find_camera(who, link.camera)
    given = {"width": link.width_px, "quality": link.quality, "fps": link.fps}
    made = sign_link(
        who,
        camera,
        link.kind,
        view=link.view,
        parameters={name: str(value) for name, value in given.items() if value is not None},
        lifetime_s=link.lifetime_s,
    )
    url = request.build_absolute_uri(made.path)
    if link.kind == "ws":
        url = "ws" + url.removeprefix("http")
    return Status(201, LinkOut(url=url, expires_at=made.expires_at))
