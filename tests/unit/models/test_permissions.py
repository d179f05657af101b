from typing import Any

import pytest
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db import IntegrityError, transaction

from ninjacam.models import Camera, CameraGrant, Role, permission_name
from ninjacam.permissions import may


def fresh(user: User) -> User:
    return User.objects.get(pk=user.pk)


def test_a_grant_is_for_one_camera_and_one_role(viewer: User, camera: Camera, yard: Camera) -> None:
    assert may(viewer, "view", camera)
    assert not may(viewer, "view", yard)
    assert not any(may(viewer, role, camera) for role in ("replay", "export", "control", "configure"))


def test_configure_includes_view_and_nothing_else(stranger: User, camera: Camera) -> None:
    CameraGrant.objects.create(camera=camera, user=stranger, role="configure")
    assert [role for role in Role.values if may(stranger, role, camera)] == ["view", "configure"]


def test_a_grant_to_a_group_holds_for_its_members(stranger: User, guards: Group, camera: Camera) -> None:
    CameraGrant.objects.create(camera=camera, group=guards, role="view")
    assert not may(fresh(stranger), "view", camera)
    stranger.groups.add(guards)
    assert may(fresh(stranger), "view", camera)
    assert list(Camera.objects.visible_to(fresh(stranger))) == [camera]


@pytest.mark.parametrize("role", Role.values)
def test_a_model_permission_holds_for_all_cameras(stranger: User, camera: Camera, role: str) -> None:
    stranger.user_permissions.add(Permission.objects.get(codename=f"{role}_camera"))
    assert may(fresh(stranger), role, camera)
    assert list(Camera.objects.visible_to(fresh(stranger), role)) == [camera]


def test_has_perm_with_a_camera_respects_grants(viewer: User, camera: Camera, yard: Camera) -> None:
    assert viewer.has_perm(permission_name("view"), camera)
    assert not viewer.has_perm(permission_name("view"), yard)
    assert not viewer.has_perm(permission_name("view"))


def test_grants_work_without_the_backend(viewer: User, camera: Camera, settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert may(viewer, "view", camera)
    assert list(Camera.objects.visible_to(viewer)) == [camera]


class OddIds(BaseBackend):
    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return isinstance(obj, Camera) and obj.slug == "yard"


def test_another_permission_backend_of_the_project_is_respected(
    viewer: User, camera: Camera, yard: Camera, settings: Any
) -> None:
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, f"{__name__}.OddIds"]
    assert may(viewer, "view", yard)
    assert list(Camera.objects.visible_to(viewer)) == [camera, yard]


def test_administrators_may_do_everything_and_anonymous_users_nothing(
    admin_user: User, camera: Camera
) -> None:
    assert all(may(admin_user, role, camera) for role in Role.values)
    assert not may(AnonymousUser(), "view", camera)
    assert not Camera.objects.visible_to(AnonymousUser()).exists()


def test_an_inactive_user_may_do_nothing(viewer: User, camera: Camera) -> None:
    User.objects.filter(pk=viewer.pk).update(is_active=False, is_superuser=True)
    assert not may(fresh(viewer), "view", camera)
    assert not Camera.objects.visible_to(fresh(viewer)).exists()


def test_lists_show_each_camera_once(viewer: User, guards: Group, camera: Camera) -> None:
    viewer.groups.add(guards)
    CameraGrant.objects.create(camera=camera, group=guards, role="view")
    CameraGrant.objects.create(camera=camera, user=viewer, role="configure")
    assert list(Camera.objects.visible_to(fresh(viewer))) == [camera]


def test_checking_many_cameras_needs_no_query_for_each(
    viewer: User, camera: Camera, yard: Camera, django_assert_max_num_queries: Any
) -> None:
    user = fresh(viewer)
    with django_assert_max_num_queries(4):
        for _ in range(20):
            may(user, "view", camera)
            may(user, "control", yard)


def test_a_grant_has_exactly_one_holder(viewer: User, guards: Group, camera: Camera) -> None:
    for user, group in ((None, None), (viewer, guards)):
        with pytest.raises(IntegrityError), transaction.atomic():
            CameraGrant.objects.create(camera=camera, user=user, group=group, role="replay")
    with pytest.raises(IntegrityError), transaction.atomic():
        CameraGrant.objects.create(camera=camera, user=viewer, role="view")  # once already
    with pytest.raises(IntegrityError), transaction.atomic():
        CameraGrant.objects.create(camera=camera, user=viewer, role="fly")
