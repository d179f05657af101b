"""The page of exports: whose are shown, what is said about them, and what may be done with them."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from ninjacam.models import Camera, CameraGrant, Export, ExportState
from ninjacam.web.exports_page import PAGE
from tests.unit.api.test_device import with_role
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db
PATH = "/exports/"


def html(client: Client, **query: Any) -> str:
    response = client.get(PATH, query)
    assert response.status_code == 200
    return response.content.decode()


def shown(page: str) -> list[str]:
    return re.findall(r'name="export" value="([^"]+)"', page)


def make(slug: str, user: User | None, state: str = "done", **fields: Any) -> Export:
    values = {"kind": "copy", "start_ns": 10**18, "end_ns": 10**18 + 10**10, "claim": "c" * 32, **fields}
    expires_at = timezone.now() + timedelta(days=1)
    return Export.objects.create(slug=slug, created_by=user, state=state, expires_at=expires_at, **values)


@pytest.fixture
def guard(camera: Camera) -> Client:
    return with_role("guard", camera, "export")


@pytest.fixture
def own(guard: Client) -> User:
    return User.objects.get(username="guard")


def test_a_user_sees_the_own_exports_with_their_state(guard: Client, own: User, stranger: User) -> None:
    done = make("door", own, size_bytes=3_000_000)
    running = make("door", own, "running", progress=0.42)
    failed = make(
        "door", own, "failed", error={"code": "x", "message": "<b>No</b> room.", "traceback": "secret"}
    )
    queued, cancelled = make("door", own, "queued"), make("door", own, "cancelled")
    others = make("door", stranger)
    make("door", own, kind="backtest")
    page = html(guard, all="on")
    assert shown(page) == [str(each.pk) for each in (cancelled, queued, failed, running, done)]
    assert str(others.pk) not in page and "Of all users" not in page
    assert f'href="/rec/door/export/{done.pk}.mp4"' in page and page.count(" download>") == 1
    assert 'value="42"' in page and "42 %" in page and "2.9\xa0MB" in page
    assert "&lt;b&gt;No&lt;/b&gt; room." in page and "secret" not in page
    assert page.count('value="cancel"') == 2 and page.count('value="retry"') == 2
    assert page.count('value="delete"') == 3 and '<meta http-equiv="refresh"' in page
    Export.objects.filter(state__in=("running", "queued")).delete()
    assert '<meta http-equiv="refresh"' not in html(guard)


def test_a_file_that_is_gone_has_no_link(guard: Client, own: User) -> None:
    make("door", own, claim="")
    assert "The file was deleted." in html(guard) and " download>" not in html(guard)


def test_exports_of_other_users_are_shown_only_to_users_who_may_configure_the_camera(
    guard: Client, own: User, yard: Camera, stranger: User, admin_user: User
) -> None:
    door, yards, mine = make("door", stranger), make("yard", stranger), make("door", own)
    CameraGrant.objects.create(camera=yard, user=own, role="export")
    assert shown(html(guard, all="on")) == [str(mine.pk)]
    CameraGrant.objects.create(camera=Camera.objects.get(slug="door"), user=own, role="configure")
    assert shown(html(guard)) == [str(mine.pk)]
    page = html(guard, all="on")
    assert shown(page) == [str(mine.pk), str(door.pk)] and "stranger" in page
    assert set(shown(html(signed_in(admin_user), all="on"))) == {str(each.pk) for each in (door, yards, mine)}
    assert shown(html(signed_in(admin_user))) == []


def test_own_exports_of_a_camera_that_the_user_may_no_longer_export_are_not_shown(
    guard: Client, own: User
) -> None:
    export = make("door", own)
    CameraGrant.objects.filter(user=own).update(role="view")
    assert shown(html(guard)) == [] and "You may not export" in html(guard)
    answer = guard.post(PATH, {"do": "delete", "export": export.pk})
    assert answer.status_code == 409 and Export.objects.filter(pk=export.pk).exists()


def test_exports_are_cancelled_repeated_and_deleted(guard: Client, own: User) -> None:
    export = make("door", own, "queued")
    for do, state in (("cancel", ExportState.CANCELLED), ("retry", ExportState.QUEUED)):
        assert guard.post(PATH, {"do": do, "export": export.pk}).status_code == 302
        export.refresh_from_db()
        assert export.state == state
    assert guard.post(PATH, {"do": "delete", "export": export.pk}).status_code == 302
    assert not Export.objects.exists()


def test_wrong_requests_change_nothing_and_reveal_nothing(
    guard: Client, yard: Camera, stranger: User
) -> None:
    hidden, others = make("yard", stranger), make("door", stranger)
    answers = []
    for export in (hidden.pk, uuid.UUID(int=5)):
        answer = guard.post(PATH, {"do": "delete", "export": export})
        assert answer.status_code == 409
        answers.append(re.sub(rf"{export}|[A-Za-z0-9]{{64}}", "", answer.content.decode()))
    assert answers[0] == answers[1] and "No export" in answers[0]
    assert (
        "belongs to another user" in guard.post(PATH, {"do": "delete", "export": others.pk}).content.decode()
    )
    assert "Choose an export first." in guard.post(PATH, {"do": "delete", "export": "x"}).content.decode()
    assert "Unknown action." in guard.post(PATH, {"do": "x", "export": others.pk}).content.decode()
    assert Export.objects.count() == 2


def test_the_list_has_pages(guard: Client, own: User) -> None:
    made = [str(make("door", own).pk) for _ in range(PAGE + 2)][::-1]
    page = html(guard)
    assert shown(page) == made[:PAGE]
    older = re.search(r'rel="next" href="([^"]+)"', page)
    assert older is not None
    assert shown(guard.get(PATH + older[1].replace("&amp;", "&")).content.decode()) == made[PAGE:]
    assert shown(html(guard, after="nonsense")) == made[:PAGE]


def test_without_exports_the_page_says_how_to_make_one(guard: Client) -> None:
    assert "Choose events" in html(guard)
