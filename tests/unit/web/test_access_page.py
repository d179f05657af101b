"""The matrix of permissions: it agrees with what is enforced, says why, and changes only what was changed."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from ninjacam.models import Camera, CameraGrant, Role
from ninjacam.permissions import may
from ninjacam.queries.permission_sources import PermissionSources
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db
PATH = "/administration/access/"


@pytest.fixture
def admin(admin_user: User) -> Client:
    return signed_in(admin_user)


def fields_of(page: str) -> dict[str, list[str]]:
    """Return what a browser sends without a change."""
    checked = re.findall(r'name="grant" value="([^"]+)"[^>]* checked', page)
    return {"grant": checked, "held": re.findall(r'name="held" value="([^"]+)"', page)}


@pytest.fixture
def people(viewer: User, camera: Camera, guards: Group) -> list[User]:
    """Users with each source of a permission."""
    everywhere = Permission.objects.get(codename="replay_camera")
    CameraGrant.objects.create(camera=camera, group=guards, role="configure")
    guards.permissions.add(Permission.objects.get(codename="export_camera"))
    member = User.objects.create_user("member")
    member.groups.add(guards)
    replays = User.objects.create_user("replays")
    replays.user_permissions.add(everywhere)
    gone = User.objects.create_user("gone", is_active=False)
    gone.groups.add(guards)
    return [viewer, member, replays, gone]


def test_the_matrix_agrees_with_what_is_enforced(
    people: list[User], admin_user: User, camera: Camera, yard: Camera
) -> None:
    fresh = [User.objects.get(pk=user.pk) for user in [*people, admin_user]]
    sources = PermissionSources(fresh, [])
    for user in fresh:
        for each in (camera, yard):
            found = sources.of_user(user, each)
            enforced = {role: may(User.objects.get(pk=user.pk), role, each) for role in Role.values}
            assert {role: bool(texts) for role, texts in found.items()} == enforced, user
    member = sources.of_user(fresh[1], camera)
    assert member["view"] == ["group “guards” · included in “configure”"]
    assert member["configure"] == ["group “guards”"] and member["export"] == ["group “guards” · all cameras"]
    assert sources.of_user(fresh[0], camera)["view"] == ["this camera"]
    assert sources.of_user(fresh[2], yard)["replay"] == ["all cameras"]
    assert sources.of_user(fresh[4], yard)["export"] == ["administrator"]


def test_a_role_is_given_and_revoked(admin: Client, viewer: User, camera: Camera) -> None:
    fields = fields_of(admin.get(PATH, {"camera": "door"}).content.decode())
    assert fields["grant"] == fields["held"] == [f"user~{viewer.pk}~door~view"]
    given = {**fields, "grant": [f"user~{viewer.pk}~door~replay"]}
    assert admin.post(f"{PATH}?camera=door", given).status_code == 302
    assert list(CameraGrant.objects.values_list("role", flat=True)) == ["replay"]
    assert admin.post(f"{PATH}?camera=door", given).status_code == 302, "repeating it changes nothing"
    assert list(CameraGrant.objects.values_list("role", flat=True)) == ["replay"]


def test_changes_of_others_survive_an_old_page(admin: Client, viewer: User, camera: Camera) -> None:
    old = fields_of(admin.get(PATH).content.decode())
    CameraGrant.objects.create(camera=camera, user=viewer, role="export")
    admin.post(PATH, {**old, "grant": [*old["grant"], f"user~{viewer.pk}~door~replay"]})
    assert set(CameraGrant.objects.values_list("role", flat=True)) == {"view", "export", "replay"}


def test_groups_and_the_cameras_of_a_user(admin: Client, viewer: User, guards: Group, yard: Camera) -> None:
    page = admin.get(PATH, {"camera": "yard", "of": "groups"}).content.decode()
    assert "guards" in page and "viewer" not in page
    admin.post(PATH, {"grant": [f"group~{guards.pk}~yard~view"]})
    assert CameraGrant.objects.get(group=guards).camera == yard
    page = admin.get(PATH, {"user": viewer.pk}).content.decode()
    assert page.count('name="grant"') == 10 and "Back entrance" in page


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("x", 422), ("user~1", 422), ("user~1~door~own", 422), ("host~1~door~view", 422), ("user~x~door~view", 404),
        ("user~999999~door~view", 404), ("group~\u0661~door~view", 404), ("group~1e9~door~view", 404),
    ],
)  # fmt: skip
def test_forged_keys_change_nothing(admin: Client, camera: Camera, key: str, status: int) -> None:
    response: Any = admin.post(PATH, {"grant": [key]})
    assert response.status_code == status and not CameraGrant.objects.exists()


def test_all_changes_are_made_or_none(admin: Client, viewer: User, camera: Camera) -> None:
    admin.post(PATH, {"grant": [f"user~{viewer.pk}~door~replay", f"user~{viewer.pk}~missing~view"]})
    assert list(CameraGrant.objects.values_list("role", flat=True)) == ["view"]


def test_others_are_refused(viewer: User, camera: Camera) -> None:
    client = signed_in(viewer)
    assert client.get(PATH).status_code == 403
    assert client.post(PATH, {"grant": [f"user~{viewer.pk}~door~export"]}).status_code == 403
    assert CameraGrant.objects.count() == 1
