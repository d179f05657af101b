import time
from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.utils import timezone

from ninjacam import auth, signing
from ninjacam.actions.links import create_link
from ninjacam.actions.tokens import create_token, revoke_all_tokens, revoke_token
from ninjacam.auth import LocalOperator, Principal, link_for, principal_from, refresh
from ninjacam.core.errors import ForbiddenError, InvalidError, LimitError
from ninjacam.models import ApiToken, Camera, CameraGrant
from ninjacam.problems import Problem
from ninjacam.queries.cameras import find_camera
from ninjacam.viewers.auth import authorise_again, authorise_movement
from tests.unit.conftest import signed_in

OPERATOR = LocalOperator()
PATH = "/live/door/mjpeg"


def recheck(items: list[tuple[Principal, str, Camera]]) -> list[bool]:
    """Check again without a live view."""
    return auth.recheck((*item, None) for item in items)


def by_token(token: str) -> Principal | None:
    return principal_from(cookies={}, authorization=f"Bearer {token}")


def make_token(user: User, *scopes: str) -> tuple[ApiToken, str]:
    return create_token(OPERATOR, user, "test", scopes)


def by_session(user: User) -> tuple[Principal | None, dict[str, str]]:
    cookies = {name: morsel.value for name, morsel in signed_in(user).cookies.items()}
    return principal_from(cookies=cookies), cookies


def by_link(
    principal: Principal, camera: Camera, *, lifetime_s: int = 60, view: str = ""
) -> tuple[str, dict[str, str]]:
    """(sig, query)"""
    query = {"view": view} if view else {}
    link = link_for(principal, camera, path=PATH, query=query, view=view, lifetime_s=lifetime_s)
    return signing.sign(link), query


def test_only_the_hash_of_a_token_is_stored(viewer: User) -> None:
    row, token = make_token(viewer, "view")
    assert token.startswith(f"nc_{row.prefix}_")
    assert token.rpartition("_")[2] not in str(ApiToken.objects.filter(pk=row.pk).values().get())


def test_a_token_acts_for_its_user(viewer: User, camera: Camera, yard: Camera) -> None:
    who = by_token(make_token(viewer, "*")[1])
    assert who is not None and who.user == viewer and who.source == "token"
    assert who.may("view", camera) and not who.may("view", yard)


def test_scopes_limit_the_permissions_of_the_user(admin_user: User, camera: Camera, yard: Camera) -> None:
    who = by_token(make_token(admin_user, "view:door", "metrics")[1])
    assert who is not None
    assert who.may("view", camera) and not who.may("view", yard) and not who.may("configure", camera)
    assert who.may_metrics() and not who.may_all("add_camera", "configure")


def test_the_scope_configure_includes_view(admin_user: User, camera: Camera) -> None:
    who = by_token(make_token(admin_user, "configure")[1])
    assert who is not None and who.may("view", camera) and not who.may("export", camera)


@pytest.mark.parametrize(
    "change",
    [
        {"revoked_at": timezone.now()},
        {"expires_at": timezone.now() - timedelta(seconds=1)},
        {"token_hash": "0" * 64},
    ],
)
def test_an_expired_token_is_anonymous(viewer: User, change: dict[str, Any]) -> None:
    row, token = make_token(viewer, "*")
    ApiToken.objects.filter(pk=row.pk).update(**change)
    assert by_token(token) is None


def test_a_token_of_an_inactive_user_is_anonymous(viewer: User) -> None:
    _, token = make_token(viewer, "*")
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    assert by_token(token) is None


@pytest.mark.parametrize(
    "token", ["", "x", "nc_", "nc__", "nc_a_b", "nc_a_b_c", "nc_%_x", "nc_" + "a" * 500, "nc_\x00_x"]
)
def test_an_invalid_token_is_anonymous(db: None, token: str) -> None:
    assert by_token(token) is None
    assert principal_from(cookies={}, authorization=token) is None


def test_a_cookie_does_not_compensate_for_a_bad_token(viewer: User) -> None:
    _, cookies = by_session(viewer)
    assert principal_from(cookies=cookies, authorization="Bearer nc_a_b") is None
    assert principal_from(cookies=cookies, authorization="Basic dmlld2VyOng=") is None
    assert principal_from(cookies=cookies, sig="forged", path=PATH) is None


def test_the_last_use_is_updated_once_a_minute(viewer: User, django_assert_num_queries: Any) -> None:
    row, token = make_token(viewer, "*")
    by_token(token)
    first = ApiToken.objects.get(pk=row.pk).last_used_at
    assert first is not None
    with django_assert_num_queries(1):
        by_token(token)


def test_a_session_identifies_its_user(viewer: User, camera: Camera) -> None:
    who, _ = by_session(viewer)
    assert who is not None and who.user == viewer and who.scopes is None and who.may("view", camera)


def test_an_anonymous_session_is_anonymous(db: None) -> None:
    store = import_module(django_settings.SESSION_ENGINE).SessionStore()
    store["x"] = 1
    store.save()
    name = django_settings.SESSION_COOKIE_NAME
    for key in (store.session_key, "unknown", "", "\x00"):
        assert principal_from(cookies={name: key}) is None


def test_a_password_change_ends_sessions_and_links(viewer: User, camera: Camera) -> None:
    who, cookies = by_session(viewer)
    assert who is not None
    sig, query = by_link(who, camera)
    viewer.set_password("another")
    viewer.save()
    assert principal_from(cookies=cookies) is None
    assert principal_from(cookies={}, sig=sig, path=PATH, query=query) is None
    assert recheck([(who, "view", camera)]) == [False]


def test_a_link_is_valid_for_one_path_and_query_and_camera_and_view(
    viewer: User, camera: Camera, yard: Camera
) -> None:
    who, _ = by_session(viewer)
    assert who is not None
    CameraGrant.objects.create(camera=yard, user=viewer, role="view")
    sig, query = by_link(who, camera, view="edges")
    found = principal_from(cookies={}, sig=sig, path=PATH, query={**query, "sig": sig, "_": "1"})
    assert found is not None and found.source == "signed"
    assert found.may("view", camera, "edges")
    assert (
        not found.may("view", camera, "faces")
        and not found.may("view", yard)
        and not found.may("configure", camera)
    )
    for path, asked in (("/live/yard/mjpeg", query), (PATH, {}), (PATH, {**query, "width": "99"})):
        assert principal_from(cookies={}, sig=sig, path=path, query=asked) is None


def test_a_link_gives_the_current_permissions_of_its_issuer(viewer: User, camera: Camera) -> None:
    who, _ = by_session(viewer)
    assert who is not None
    sig, query = by_link(who, camera)
    CameraGrant.objects.all().delete()
    found = principal_from(cookies={}, sig=sig, path=PATH, query=query)
    assert found is not None and not found.may("view", camera)


def test_links_and_sessions_end_with_the_account(viewer: User, camera: Camera) -> None:
    who, _ = by_session(viewer)
    assert who is not None
    sig, query = by_link(who, camera)
    linked = principal_from(cookies={}, sig=sig, path=PATH, query=query)
    assert linked is not None and None not in refresh([who, linked]).values()
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    assert principal_from(cookies={}, sig=sig, path=PATH, query=query) is None
    assert refresh([who, linked]) == {who: None, linked: None}


def test_movements_and_subscriptions_of_an_open_socket_end_with_its_token(
    viewer: User, camera: Camera
) -> None:
    CameraGrant.objects.create(camera=camera, user=viewer, role="control")
    row, token = make_token(viewer, "*")
    who = by_token(token)
    assert who is not None and authorise_again(who, camera.slug, "", "", 0)[0].camera == camera
    authorise_movement(who, camera.slug)
    revoke_token(OPERATOR, row)
    for check in (
        lambda: authorise_movement(who, camera.slug),
        lambda: authorise_again(who, camera.slug, "", "", 0),
    ):
        with pytest.raises(Problem) as refused:
            check()
        assert refused.value.status == 401


def test_a_link_expires(viewer: User, camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    who, _ = by_session(viewer)
    assert who is not None
    sig, query = by_link(who, camera, lifetime_s=60)
    found = principal_from(cookies={}, sig=sig, path=PATH, query=query)
    assert found is not None and recheck([(found, "view", camera)]) == [True]
    later = time.time() + 61
    monkeypatch.setattr("time.time", lambda: later)
    assert principal_from(cookies={}, sig=sig, path=PATH, query=query) is None
    assert recheck([(found, "view", camera)]) == [False]


def test_a_link_ends_with_the_token_that_created_it(viewer: User, camera: Camera) -> None:
    row, token = make_token(viewer, "view")
    who = by_token(token)
    assert who is not None
    sig, query = by_link(who, camera)
    assert principal_from(cookies={}, sig=sig, path=PATH, query=query) is not None
    revoke_token(OPERATOR, row)
    assert principal_from(cookies={}, sig=sig, path=PATH, query=query) is None


def test_a_changed_signature_is_anonymous(viewer: User, camera: Camera) -> None:
    who, _ = by_session(viewer)
    assert who is not None
    sig, query = by_link(who, camera)
    for position in (0, len(sig) // 2, -1):
        changed = list(sig)
        changed[position] = "A" if changed[position] != "A" else "B"
        assert principal_from(cookies={}, sig="".join(changed), path=PATH, query=query) is None


def test_issued_links_are_accepted(viewer: User, camera: Camera) -> None:
    who, _ = by_session(viewer)
    assert who is not None
    made = create_link(who, camera.slug, "mjpeg", view="edges", parameters={"width": "640"})
    path, _, rest = made.path.partition("?")
    from django.http import QueryDict

    query = QueryDict(rest).dict()
    assert principal_from(cookies={}, sig=query["sig"], path=path, query=query) is not None


def test_recheck_detects_each_way_of_losing_access(
    viewer: User, stranger: User, admin_user: User, camera: Camera, yard: Camera
) -> None:
    row, token = make_token(viewer, "view")
    session, _ = by_session(viewer)
    of_token, of_admin = by_token(token), by_session(admin_user)[0]
    stranger.user_permissions.add(Permission.objects.get(codename="view_camera"))
    of_stranger = by_session(stranger)[0]
    assert session and of_token and of_admin and of_stranger
    asked = [
        (session, "view", camera),
        (of_token, "view", camera),
        (of_admin, "view", yard),
        (of_stranger, "view", yard),
    ]
    assert recheck(asked) == [True] * 4
    revoke_token(OPERATOR, row)
    yard.delete()
    assert recheck(asked) == [True, False, False, False]
    CameraGrant.objects.all().delete()
    assert recheck(asked)[0] is False


def test_recheck_of_a_deleted_camera_requires_the_role_for_all_cameras(
    viewer: User, stranger: User, camera: Camera
) -> None:
    codenames = ("replay_camera", "view_camera")
    stranger.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    row, token = make_token(stranger, "replay")
    session, of_token, of_viewer = by_session(stranger)[0], by_token(token), by_session(viewer)[0]
    assert session and of_token and of_viewer
    gone = Camera(slug="gone")
    asked = [(session, "replay", gone), (of_token, "replay", gone), (of_viewer, "replay", gone)]
    assert recheck(asked) == [True, True, False]
    assert recheck([(session, "export", gone), (session, "view", gone)]) == [False, False]
    revoke_token(OPERATOR, row)
    assert recheck(asked) == [True, False, False]
    User.objects.filter(pk=stranger.pk).update(is_active=False)
    assert recheck(asked) == [False] * 3


def test_recheck_of_a_reused_slug_checks_the_new_camera(viewer: User, stranger: User, camera: Camera) -> None:
    CameraGrant.objects.create(camera=camera, user=viewer, role="replay")
    of_viewer, of_stranger = by_session(viewer)[0], by_session(stranger)[0]
    assert of_viewer and of_stranger
    before = Camera(slug=camera.slug)
    assert recheck([(of_viewer, "replay", before), (of_stranger, "replay", before)]) == [True, False]


def test_recheck_detects_a_logout(viewer: User, camera: Camera) -> None:
    client = signed_in(viewer)
    who = principal_from(cookies={name: morsel.value for name, morsel in client.cookies.items()})
    assert who is not None and recheck([(who, "view", camera)]) == [True]
    client.logout()
    assert recheck([(who, "view", camera)]) == [False]


def test_recheck_of_many_viewers_takes_few_queries(
    camera: Camera, admin_user: User, django_assert_max_num_queries: Any
) -> None:
    others = [User.objects.create_user(f"viewer-{number}") for number in range(10)]
    for other in others:
        CameraGrant.objects.create(camera=camera, user=other, role="view")
    principals = [by_session(user)[0] for user in others for _ in range(2)]
    asked = [(who, "view", camera) for who in principals if who is not None]
    assert len(asked) == 20
    with django_assert_max_num_queries(5):
        assert recheck(asked) == [True] * 20
    of_admin = by_session(admin_user)[0]
    assert of_admin is not None
    with django_assert_max_num_queries(3):  # grants do not restrict administrators
        assert recheck([(of_admin, "view", camera)]) == [True]


@pytest.mark.parametrize("engine", ["cached_db", "cache", "signed_cookies", "file"])
def test_other_session_stores_work(
    viewer: User, camera: Camera, settings: Any, engine: str, tmp_path: Any
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    who, cookies = by_session(viewer)
    assert who is not None and recheck([(who, "view", camera)]) == [True]
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    assert principal_from(cookies=cookies) is None
    assert recheck([(who, "view", camera)]) == [False]


def test_only_the_owner_with_full_scope_manages_tokens(
    viewer: User, stranger: User, admin_user: User
) -> None:
    full, part = by_token(make_token(viewer, "*")[1]), by_token(make_token(viewer, "view")[1])
    of_admin = by_session(admin_user)[0]
    assert full and part and of_admin
    assert full.may_act_for(viewer) and not full.may_act_for(stranger)
    assert not part.may_act_for(viewer) and of_admin.may_act_for(viewer)


def test_a_link_to_recordings_requires_and_gives_their_role(viewer: User, camera: Camera) -> None:
    who = by_token(make_token(viewer, "*")[1])
    assert who is not None
    span = {"start": "2026-11-22T08:00:00Z", "end": "2026-11-22T08:10:00Z"}
    with pytest.raises(ForbiddenError):
        create_link(who, camera.slug, "clip", parameters=span)
    CameraGrant.objects.create(camera=camera, user=viewer, role="replay")
    who = by_token(make_token(viewer, "*")[1])
    assert who is not None
    with pytest.raises(ForbiddenError):
        create_link(who, camera.slug, "clip", parameters={**span, "download": "1"})
    with pytest.raises(InvalidError):
        create_link(who, camera.slug, "clip", parameters={"start": span["start"]})
    with pytest.raises(InvalidError):
        create_link(who, camera.slug, "clip", parameters=span, view="edges")
    made = create_link(who, camera.slug, "clip", parameters=span)
    path, _, query = made.path.partition("?")
    found = principal_from(
        cookies={}, path=path, query=dict(parse_qsl(query)), sig=dict(parse_qsl(query))["sig"]
    )
    assert path == "/rec/door/clip.mp4" and found is not None
    assert found.may("replay", camera, "") and not found.may("view", camera, "")


def children_of(secret: str, scopes: list[str], expires_at: Any = None) -> tuple[ApiToken, str]:
    who = by_token(secret)
    assert isinstance(who, Principal)
    return create_token(who, who.user, "child", scopes, expires_at)


def test_a_token_ends_with_the_token_that_created_it(viewer: User, camera: Camera) -> None:
    parent, secret = make_token(viewer, "*")
    _, child = children_of(secret, ["*"])
    _, grandchild = children_of(child, ["view"])
    _, other = make_token(viewer, "view")
    of_child, of_grandchild = by_token(child), by_token(grandchild)
    assert of_child and of_grandchild
    sig, query = by_link(of_grandchild, camera)
    asked = [(of_child, "view", camera), (of_grandchild, "view", camera)]
    assert recheck(asked) == [True, True]
    revoke_token(OPERATOR, parent)
    assert ApiToken.objects.filter(revoked_at=None).count() == 1, "the other one"
    assert [by_token(each) for each in (secret, child, grandchild)] == [None] * 3
    assert recheck(asked) == [False, False]
    assert principal_from(cookies={}, sig=sig, path=PATH, query=query) is None
    assert by_token(other) is not None


def test_a_token_ends_with_its_creator_however_that_ended(viewer: User, camera: Camera) -> None:
    parent, secret = make_token(viewer, "*")
    child, child_secret = children_of(secret, ["*"])
    _, grandchild_secret = children_of(child_secret, ["*"])
    who = by_token(grandchild_secret)
    assert who is not None
    past = timezone.now() - timedelta(seconds=1)
    for change in ({"revoked_at": past}, {"expires_at": past}):  # in a shell, bypassing the actions
        ApiToken.objects.filter(pk=parent.pk).update(**change)
        assert by_token(child_secret) is None and by_token(grandchild_secret) is None
        assert recheck([(who, "view", camera)]) == [False]
        ApiToken.objects.filter(pk=parent.pk).update(revoked_at=None, expires_at=None)
        assert by_token(grandchild_secret) is not None
    parent.delete()
    assert by_token(child_secret) is None and not ApiToken.objects.filter(pk=child.pk).exists()


def test_a_token_expires_no_later_than_its_creator(viewer: User) -> None:
    soon = timezone.now() + timedelta(hours=1)
    _, secret = create_token(OPERATOR, viewer, "parent", ["*"], soon)
    assert children_of(secret, ["*"])[0].expires_at == soon
    assert children_of(secret, ["*"], soon + timedelta(days=9))[0].expires_at == soon
    sooner = soon - timedelta(minutes=30)
    assert children_of(secret, ["*"], sooner)[0].expires_at == sooner


def test_tokens_create_tokens_for_at_most_three_generations(viewer: User) -> None:
    _, secret = make_token(viewer, "*")
    for _ in range(2):
        _, secret = children_of(secret, ["*"])
    with pytest.raises(LimitError):
        children_of(secret, ["*"])


def test_all_tokens_of_a_user_are_revoked_at_once(viewer: User, stranger: User) -> None:
    secrets = [make_token(viewer, "view")[1], make_token(viewer, "*")[1]]
    secrets.append(children_of(secrets[1], ["view"])[1])
    _, of_stranger = make_token(stranger, "*")
    who = by_token(of_stranger)
    assert who is not None
    with pytest.raises(ForbiddenError):
        revoke_all_tokens(who, viewer)
    assert revoke_all_tokens(OPERATOR, viewer) == 3
    assert [by_token(each) for each in secrets] == [None] * 3
    assert by_token(of_stranger) is not None


def replaced(camera: Camera) -> Camera:
    """Delete `camera`, and create another one with its slug on which the viewer has the same roles and more."""
    slug = camera.slug
    camera.delete()
    made = Camera.objects.create(slug=slug, url="rtsp://10.0.0.99/")
    for role in ("view", "replay", "export"):
        CameraGrant.objects.create(camera=made, user=User.objects.get(username="viewer"), role=role)
    return made


def test_a_link_and_a_scope_never_apply_to_the_next_camera_with_that_name(
    viewer: User, camera: Camera
) -> None:
    _, narrow = make_token(viewer, "view:door")
    session, of_token = by_session(viewer)[0], by_token(narrow)
    assert session is not None and of_token is not None and of_token.may("view", camera)
    sig, query = by_link(session, camera)
    of_link = principal_from(cookies={}, sig=sig, path=PATH, query=query)
    assert of_link is not None and of_link.may("view", camera)
    after = replaced(camera)
    fresh, link, token = (
        by_session(viewer)[0],
        principal_from(cookies={}, sig=sig, path=PATH, query=query),
        by_token(narrow),
    )
    assert fresh and link and token
    assert fresh.may("view", after) and not link.may("view", after) and not token.may("view", after)
    assert find_camera(link, "door") is None and find_camera(token, "door") is None
    gone = Camera(slug="door")
    assert (
        recheck([(of_link, "replay", gone), (of_token, "replay", gone), (of_link, "view", after)])
        == [False] * 3
    )


def test_a_link_survives_the_session_that_created_it(viewer: User, camera: Camera) -> None:
    client = signed_in(viewer)
    who = principal_from(cookies={name: morsel.value for name, morsel in client.cookies.items()})
    assert who is not None
    sig, query = by_link(who, camera)
    client.logout()
    found = principal_from(cookies={}, sig=sig, path=PATH, query=query)
    assert found is not None and found.may("view", camera)


def test_the_migration_binds_the_scopes_of_older_tokens(viewer: User, camera: Camera) -> None:
    migration = import_module("ninjacam.migrations.0005_token_parent_and_cameras")
    row, secret = make_token(viewer, "view:door")
    ApiToken.objects.filter(pk=row.pk).update(cameras={}, scopes=["view:door", "view:gone", "metrics"])
    unbound = by_token(secret)
    assert unbound is not None and not unbound.may("view", camera)
    migration.bind_scopes(apps, SimpleNamespace(connection=connection))
    bound = by_token(secret)
    assert bound is not None and bound.may("view", camera) and bound.cameras == {"door": str(camera.pk)}
