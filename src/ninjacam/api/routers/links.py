"""Signed links that expire, for clients that cannot send a header."""

from datetime import UTC, datetime

from django.http import HttpRequest
from ninja import Router, Status

from ninjacam.actions.links import create_link as sign_link
from ninjacam.actions.links import role_of
from ninjacam.api.auth import principal
from ninjacam.api.schemas.access import LinkIn, LinkOut
from ninjacam.queries.cameras import get_camera

router = Router()


@router.post("", response={201: LinkOut}, operation_id="create_link", summary="Create signed link")
def create_link(request: HttpRequest, link: LinkIn) -> Status[LinkOut]:
    """A link opens one view of a camera, or some of its recordings (`hls`, `clip`, `at`), for everyone who has it: use
    it in an `<img>` element elsewhere, or share it. It works until it expires, or until you lose the permission, change
    your password, or revoke the token that you use now. It continues to work when you log out. It ends when the camera
    is deleted, even if a new camera gets the same slug. A playlist refers to whole files: up to a minute more than its
    span."""
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
    camera = get_camera(who, link.camera, role_of(link.kind, parameters))
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
