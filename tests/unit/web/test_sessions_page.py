"""The page of sessions and tokens: what it lists, what it ends, and that it contains no credentials."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from ninjacam.actions.tokens import create_token
from ninjacam.auth import LocalOperator
from ninjacam.models import ApiToken
from ninjacam.queries.sessions import USE
from tests.unit.conftest import forget_rates, signed_in

pytestmark = pytest.mark.django_db
PATH = "/administration/sessions/"


@pytest.fixture
def admin(admin_user: User) -> Client:
    return signed_in(admin_user)


def ids_of(page: str) -> list[str]:
    return re.findall(r'name="session" value="([^"]+)"', page)


def test_sessions_are_listed_without_their_keys(admin: Client, viewer: User) -> None:
    client = signed_in(viewer)
    agent = "Mozilla/5.0 (X11; Linux x86_64) <b>\x1b Chrome/140.0 Safari/537.36"
    session = client.session
    session[USE] = (0, "", "")
    session.save()
    client.get("/", headers={"User-Agent": agent}, REMOTE_ADDR="192.0.2.7")
    page = admin.get(PATH).content.decode()
    assert "viewer" in page and "192.0.2.7" in page and "Chrome" in page and "this session" in page
    assert "<b>\x1b" not in page and "\x1b" not in page
    assert len(ids_of(page)) == 1
    for key in Session.objects.values_list("session_key", flat=True):
        assert key not in page


def test_the_last_use_is_written_rarely_and_prolongs_no_session(viewer: User) -> None:
    client = signed_in(viewer)
    session = client.session
    session[USE] = (1, "", "")
    session.save()
    expires_at = Session.objects.get().expire_date
    response = client.get("/")
    assert client.session[USE][0] > 1 and Session.objects.get().expire_date == expires_at
    assert settings.SESSION_COOKIE_NAME not in response.cookies
    session[USE] = (2, "", "")
    session.save()
    client.get("/account/")
    assert client.session[USE][0] == 2
    forget_rates()
    client.get("/account/")
    assert client.session[USE][0] > 2


def test_one_session_is_ended(admin: Client, viewer: User) -> None:
    first, second = signed_in(viewer), signed_in(viewer)
    page = admin.get(PATH).content.decode()
    (ended, _kept) = ids_of(page)
    assert admin.post(PATH, {"session": ended}).status_code == 302
    assert sorted(each.get("/api/v1/me").status_code for each in (first, second)) == [200, 401]
    assert admin.post(PATH, {"session": ended}).status_code == 404
    assert admin.get(PATH).status_code == 200


def test_all_of_a_user_end_and_the_own_session_stays(admin: Client, admin_user: User, viewer: User) -> None:
    client = signed_in(viewer)
    other = signed_in(admin_user)
    create_token(LocalOperator(), viewer, "x", ["view"])
    assert admin.post(PATH, {"user": str(viewer.pk)}).status_code == 302
    assert client.get("/api/v1/me").status_code == 401 and not ApiToken.objects.filter(revoked_at=None)
    assert admin.post(PATH, {"user": str(admin_user.pk)}).status_code == 302
    assert admin.get(PATH).status_code == 200 and other.get("/api/v1/me").status_code == 401


def test_tokens_are_listed_and_revoked(admin: Client, viewer: User) -> None:
    token, secret = create_token(LocalOperator(), viewer, "doorbell", ["view"])
    old, _ = create_token(LocalOperator(), viewer, "expired", ["view"])
    ApiToken.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(days=1))
    page = admin.get(PATH, {"of": "tokens"}).content.decode()
    assert "doorbell" in page and "expired" not in page
    assert secret not in page and token.token_hash not in page
    assert admin.post(PATH, {"token": str(token.pk)}).status_code == 302
    assert ApiToken.objects.get(pk=token.pk).revoked_at is not None
    for wrong in (str(token.pk), "x", "9" * 30):
        assert admin.post(PATH, {"token": wrong}).status_code == 404
    assert admin.post(PATH).status_code == 422


def test_invalid_sessions_are_left_out(admin: Client, viewer: User) -> None:
    signed_in(viewer)
    viewer.set_password("another")
    viewer.save()
    Client().get("/login/")
    Session.objects.create(
        session_key="broken", session_data="?", expire_date=timezone.now() + timedelta(days=1)
    )
    assert ids_of(admin.get(PATH).content.decode()) == []


def test_others_are_refused(viewer: User, admin_user: User) -> None:
    client, victim = signed_in(viewer), signed_in(admin_user)
    assert client.get(PATH).status_code == 403
    for fields in ({"user": str(admin_user.pk)}, {"session": "x"}, {"token": "1"}, {}):
        assert client.post(PATH, fields).status_code == 403
    assert victim.get("/api/v1/me").status_code == 200


def test_without_sessions_in_the_database_the_page_says_so(
    admin: Client, admin_user: User, settings: Any
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client = signed_in(admin_user)
    assert "outside the database" in client.get(PATH).content.decode()
