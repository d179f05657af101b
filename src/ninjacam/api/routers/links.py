"""Signed expiring links, for what cannot send a header."""

from datetime import UTC, datetime

from django.http import HttpRequest
from ninja import Router, Status

from ninjacam.actions.cameras import find_camera
from ninjacam.actions.links import create_link as sign_link
from ninjacam.actions.links import role_of
from ninjacam.api.auth import principal
from ninjacam.api.schemas.access import LinkIn, LinkOut

router = Router()


@router.post("", response={201: LinkOut}, operation_id="create_link", summary="Make a signed link")
def create_link(request: HttpRequest, link: LinkIn) -> Status[LinkOut]:
    """For an `<img>` elsewhere, or to share. A link opens this view of this camera, or these recordings (`hls`, `clip`,
    `at`), for anyone who has it. It works until it expires, or until you lose the permission, change your password, or
    revoke the token that you use now. It goes on when you log out, and ends when the camera is deleted, even if another
    camera gets its short name. A playlist leads to whole files: up to a minute more than its span."""
    who = principal(request)
    times = {"start": link.start, "end": link.end, "time": link.time}
    given = {
        "width": link.width_px,
        "quality": link.quality,
        "fps": link.fps,
        "download": 1 if link.download else None,
        **{name: _rfc3339(time) for name, time in times.items() if time is not None},
    }
    parameters = {name: str(value) for name, value in given.items() if value is not None}
    camera = find_camera(who, link.camera, role_of(link.kind, parameters))
    made = sign_link(
        who,
        camera,
        link.kind,
        view=link.view,
        parameters=parameters,
        lifetime_s=link.lifetime_s,
    )
    url = request.build_absolute_uri(made.path)
    if link.kind == "ws":
        url = "ws" + url.removeprefix("http")
    return Status(201, LinkOut(url=url, expires_at=made.expires_at))


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
