"""The rule for API, pages, streams and links: without any role 404; a missing role is 403 with its name."""

import pytest
from django.contrib.auth.models import Permission, User

from ninjacam.auth import Principal
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.models import Camera, CameraGrant, Event, Export, Role, Segment
from ninjacam.queries.cameras import find_camera, get_camera, get_recorded, list_cameras, list_recorded

ROLES = list(Role.values)


def by_session(user: User) -> Principal:
    return Principal(User.objects.get(pk=user.pk), "session")


def grant(user: User, camera: Camera, *roles: str) -> None:
    for role in roles:
        CameraGrant.objects.create(camera=camera, user=user, role=role)


@pytest.mark.parametrize("needed", ROLES)
@pytest.mark.parametrize("held", ROLES)
def test_one_role_reveals_the_camera_and_a_missing_role_is_named(
    stranger: User, camera: Camera, held: str, needed: str
) -> None:
    with pytest.raises(NotFoundError):
        get_camera(by_session(stranger), "door", needed)
    grant(stranger, camera, held)
    who = by_session(stranger)
    assert find_camera(who, "door") == camera
    if held == needed or (held, needed) == ("configure", "view"):
        assert get_camera(who, "door", needed) == camera
        assert get_recorded(who, "door", needed) == camera
        assert list(list_cameras(who, needed)) == [camera]
        return
    for get in (get_camera, get_recorded):
        with pytest.raises(ForbiddenError, match=f"role “{needed}”"):
            get(who, "door", needed)
    assert not list_cameras(who, needed)


def test_an_unknown_camera_and_a_missing_one_give_the_same_error(stranger: User, camera: Camera) -> None:
    who = by_session(stranger)
    with pytest.raises(NotFoundError) as hidden:
        get_camera(who, "door")
    camera.delete()
    with pytest.raises(NotFoundError) as missing:
        get_camera(who, "door")
    assert hidden.value.as_dict() == missing.value.as_dict()
    assert find_camera(who, "door") is None


def test_a_link_for_one_view_is_forbidden_for_another(viewer: User, camera: Camera) -> None:
    key = str(camera.pk)
    link = Principal(viewer, "signed", scopes=frozenset({f"view:{key}"}), cameras={key: key}, view="edges")
    assert get_camera(link, "door", view="edges") == camera
    with pytest.raises(ForbiddenError, match="another view"):
        get_camera(link, "door", view="")


def test_lists_contain_the_cameras_within_the_scopes_of_a_token(admin_user: User, camera: Camera) -> None:
    Camera.objects.create(slug="yard", url="rtsp://h/")
    one = Principal(admin_user, "token", scopes=frozenset({"view:door"}), cameras={"door": str(camera.pk)})
    every = Principal(admin_user, "token", scopes=frozenset({"configure"}))
    none = Principal(admin_user, "token", scopes=frozenset({"replay"}))
    assert [[each.slug for each in list_cameras(who)] for who in (one, every, none)] == [
        ["door"], ["door", "yard"], [],
    ]  # fmt: skip


@pytest.mark.parametrize("left", ["segment", "event", "export"])
def test_recordings_of_a_deleted_camera_need_the_role_for_all_cameras(
    stranger: User, camera: Camera, left: str
) -> None:
    if left == "segment":
        Segment.objects.create(
            slug="gone", path="gone/x.mp4", start_ns=1, end_ns=2, size_bytes=1, codec="h264", width_px=2, height_px=2
        )  # fmt: skip
    elif left == "event":
        Event.objects.create(slug="gone", kind="motion", start_ns=1, source="user:ada")
    else:
        Export.objects.create(slug="gone", start_ns=0, end_ns=1, kind="copy")
    grant(stranger, camera, *ROLES)
    with pytest.raises(NotFoundError):
        get_recorded(by_session(stranger), "gone")
    stranger.user_permissions.add(Permission.objects.get(codename="replay_camera"))
    who = by_session(stranger)
    assert get_recorded(who, "gone").slug == "gone"
    assert list_recorded(who, []) == ["door", *(["gone"] if left == "segment" else [])]
    with pytest.raises(ForbiddenError, match="role “export” for all cameras"):
        get_recorded(who, "gone", "export")
    with pytest.raises(NotFoundError):
        get_recorded(who, "never")
