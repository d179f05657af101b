"""The setup link: single use, one administrator, and useless afterwards."""

import json
import logging
import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.http import HttpRequest
from django.test import Client, RequestFactory

from ninjacam.actions import setup
from ninjacam.actions.setup import check_setup_token, create_first_administrator, make_setup_token
from ninjacam.actions.sign_in import FAILURES_PER_NETWORK
from ninjacam.conf import get_settings
from ninjacam.core.errors import LimitError, NotFoundError
from ninjacam.management.commands import ninjacam_serve
from ninjacam.site import settings as product_settings
from ninjacam.site.logs import SetupLinkFilter

PASSWORD = "correct horse battery staple"
ENTERED = {"username": "boss", "password1": PASSWORD, "password2": PASSWORD}


@pytest.fixture
def token(db: None, settings: Any, tmp_path: Any) -> str:
    settings.NINJACAM = {**settings.NINJACAM, "DATA_DIR": tmp_path}
    made = make_setup_token()
    assert made
    return made


def request() -> HttpRequest:
    return RequestFactory().get("/", REMOTE_ADDR="192.0.2.1")


def test_the_link_creates_the_administrator_logs_in_and_works_once(client: Client, token: str) -> None:
    page = client.get(f"/setup/{token}/")
    assert page.status_code == 200 and str(get_settings().data_dir) in page.content.decode()
    assert page["Cache-Control"] and "no-store" in page["Cache-Control"]
    answer = client.post(f"/setup/{token}/", ENTERED)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    boss = User.objects.get()
    assert boss.is_superuser and boss.is_staff and boss.check_password(PASSWORD)
    assert "?by=phone" in client.get("/").content.decode()
    for ask in (Client().get, Client().post):
        assert ask(f"/setup/{token}/", ENTERED).status_code == 404
    assert make_setup_token() is None and User.objects.count() == 1


@pytest.mark.parametrize(
    "change", [{"password1": "12345678", "password2": "12345678"}, {"password2": "x"}, {"username": "a/b"}]
)
def test_invalid_input_creates_nobody_and_keeps_the_link(
    client: Client, token: str, settings: Any, change: dict[str, str]
) -> None:
    validators = ("MinimumLengthValidator", "CommonPasswordValidator")
    settings.AUTH_PASSWORD_VALIDATORS = [
        {"NAME": f"django.contrib.auth.password_validation.{name}"} for name in validators
    ]
    assert client.post(f"/setup/{token}/", {**ENTERED, **change}).status_code == 422
    assert not User.objects.exists()
    assert client.get(f"/setup/{token}/").status_code == 200


def test_the_page_is_in_the_language_of_the_visitor(client: Client, token: str) -> None:
    korean = {"accept-language": "ko"}
    assert "관리자 만들기" in client.get(f"/setup/{token}/", headers=korean).content.decode()
    assert "유효하지 않습니다" in client.get("/setup/wrong/", headers=korean).content.decode()


def test_only_the_hash_is_stored_and_only_for_the_owner(token: str) -> None:
    path = get_settings().data_dir / "setup-link"
    assert token not in path.read_text() and path.stat().st_mode & 0o777 == 0o600


def test_expired_replaced_and_damaged_links_do_not_work(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_setup_token(request(), token)
    with monkeypatch.context() as later:
        now = time.time()
        later.setattr(time, "time", lambda: now + setup.LIFETIME_S + 1)
        with pytest.raises(NotFoundError):
            check_setup_token(request(), token)
    make_setup_token()
    with pytest.raises(NotFoundError):
        check_setup_token(request(), token)
    for damaged in ("", "[]", json.dumps({"hash": None, "expires": "x"})):
        (get_settings().data_dir / "setup-link").write_text(damaged)
        with pytest.raises(NotFoundError):
            check_setup_token(request(), token)


def test_an_administrator_made_elsewhere_makes_the_link_useless(token: str, client: Client) -> None:
    User.objects.create_superuser("root", password="x")
    assert client.post(f"/setup/{token}/", ENTERED).status_code == 404
    assert User.objects.count() == 1


def test_guesses_are_limited_like_logins(token: str, client: Client) -> None:
    elsewhere: Any = {"REMOTE_ADDR": "192.0.2.1"}
    for _ in range(FAILURES_PER_NETWORK):
        assert client.get("/setup/guess/", **elsewhere).status_code == 404
        assert client.get("/setup/guess/").status_code == 404
    assert client.get("/setup/guess/", **elsewhere).status_code == 429
    with pytest.raises(LimitError):
        check_setup_token(request(), token)
    check_setup_token(RequestFactory().get("/", REMOTE_ADDR="198.51.100.1"), token)  # Another network.
    assert client.get(f"/setup/{token}/").status_code == 200, "guesses on this host block nobody"


def test_a_valid_link_is_not_in_the_log() -> None:
    """A mistyped password is refused, and Django logs the path of such a request."""
    arguments = ("Unprocessable Entity", "/cam/setup/abc_-9/")
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "%s: %s", arguments, None)
    assert SetupLinkFilter().filter(record) and record.getMessage() == "Unprocessable Entity: /cam/setup/…/"
    handlers: Any = product_settings.LOGGING["handlers"]
    assert [handler["filters"] for handler in handlers.values()] == [["setup_links"]]


def test_of_two_people_whose_link_was_valid_only_the_first_becomes_administrator(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = setup.check_setup_token

    def check_and_be_late(late: HttpRequest, token: str) -> None:
        check(late, token)
        monkeypatch.setattr(setup, "check_setup_token", check)
        create_first_administrator(request(), token, User(username="first"))

    monkeypatch.setattr(setup, "check_setup_token", check_and_be_late)
    with pytest.raises(NotFoundError):
        create_first_administrator(request(), token, User(username="late"))
    assert [user.username for user in User.objects.all()] == ["first"]


def test_serve_prints_a_link_only_in_the_product(
    token: str, client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "close_all", lambda: None)
    settings.ROOT_URLCONF = "ninjacam.site.urls"
    path = ninjacam_serve.setup_path()
    assert re.fullmatch(r"/setup/[\w-]{43}/", path) and client.get(path).status_code == 200
    settings.ROOT_URLCONF = "mysite.urls"
    assert ninjacam_serve.setup_path() == ""


def test_the_phone_button_fills_in_the_form(admin_user: User, client: Client) -> None:
    client.force_login(admin_user)
    assert 'value="push:"' in client.get("/add-camera/?by=phone").content.decode()
