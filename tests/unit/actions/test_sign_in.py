"""Login under password guessing. With real processes: tests/integration/test_accounts.py."""

import json
import logging
import threading
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import signing
from django.http import HttpResponse
from django.test import Client, RequestFactory

from ninjacam.actions.audit_signals import FAILURE_EVERY_S, FAILURES
from ninjacam.actions.sign_in import (
    COOKIE,
    FAILURES_PER_ACCOUNT,
    FAILURES_PER_NETWORK,
    Busy,
    account_of,
    remember_browser,
)
from ninjacam.auth import BAD_TOKENS
from ninjacam.core.errors import LimitError
from tests.unit.conftest import signed_in, with_token

PASSWORD = "the password of the owner"
HOME, ELSEWHERE = "198.51.100.1", "203.0.113.77"


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner", password=PASSWORD, is_staff=True)


def log_in(client: Client, name: str, password: str, address: str = ELSEWHERE, path: str = "/login/") -> Any:
    return client.post(path, {"username": name, "password": password}, REMOTE_ADDR=address)


def attack(name: str, count: int, path: str = "/login/", address: str = "203.0.113.{}") -> list[int]:
    """Return the status of each guess, each from another address."""
    return [
        log_in(Client(), name, "guess", address.format(number), path).status_code for number in range(count)
    ]


def test_guesses_at_one_account_are_limited_wherever_they_come_from(owner: User) -> None:
    answers = attack("owner", FAILURES_PER_ACCOUNT + 5)
    assert answers == [200] * FAILURES_PER_ACCOUNT + [429] * 5
    refused = log_in(Client(), "Owner", PASSWORD)
    assert refused.status_code == 429, "the right password is not looked at, nor another spelling"
    assert "Try again in" in refused.content.decode()


def test_an_unknown_account_gets_the_same_response(owner: User) -> None:
    assert attack("owner", 12) == attack("nobody-of-that-name", 12)


def test_guesses_from_one_network_are_limited_whatever_account_they_name(owner: User) -> None:
    names = [f"user-{number}" for number in range(FAILURES_PER_NETWORK + 3)]
    answers = [log_in(Client(), name, "guess", "203.0.113.9").status_code for name in names]
    assert answers == [200] * FAILURES_PER_NETWORK + [429] * 3
    assert log_in(Client(), "owner", PASSWORD, HOME).status_code == 302
    subnet = [log_in(Client(), name, "guess", f"2001:db8::{n:x}").status_code for n, name in enumerate(names)]
    assert subnet == answers, "a /64 is one network"


def test_the_owner_can_log_in_from_a_known_browser_during_an_attack(owner: User) -> None:
    browser = Client()
    assert log_in(browser, "owner", PASSWORD, HOME).status_code == 302
    browser.post("/logout/")
    attack("owner", FAILURES_PER_ACCOUNT + 5)
    assert log_in(Client(), "owner", PASSWORD).status_code == 429
    assert COOKIE in browser.cookies, "logging out keeps it"
    assert log_in(browser, "owner", PASSWORD, "192.0.2.250").status_code == 302


def test_the_owner_can_log_in_from_a_known_network_during_an_attack(owner: User) -> None:
    assert log_in(Client(), "owner", PASSWORD, HOME).status_code == 302
    attack("owner", FAILURES_PER_ACCOUNT + 5)
    assert log_in(Client(), "owner", PASSWORD, ELSEWHERE).status_code == 429
    assert log_in(Client(), "owner", PASSWORD, HOME).status_code == 302


def test_guesses_from_a_known_browser_are_limited_too(owner: User) -> None:
    browser = Client()
    assert log_in(browser, "owner", PASSWORD, HOME).status_code == 302
    browser.post("/logout/")
    answers = [log_in(browser, "owner", "guess", f"192.0.2.{n}").status_code for n in range(12)]
    assert answers == [200] * FAILURES_PER_ACCOUNT + [429] * 2


@pytest.mark.parametrize("value", ["", "x", "a:b:c", "y" * 5000, "\ud800"])
def test_a_forged_cookie_does_not_make_a_browser_known(owner: User, value: str) -> None:
    attack("owner", FAILURES_PER_ACCOUNT)
    client = Client()
    client.cookies[COOKIE] = value.encode("utf-8", "replace").decode()
    assert log_in(client, "owner", PASSWORD).status_code == 429


def test_a_cookie_with_a_wrong_signature_does_not_make_a_browser_known(owner: User) -> None:
    response = HttpResponse()
    remember_browser(RequestFactory().get("/"), response, owner)
    genuine = response.cookies[COOKIE].value
    attack("owner", FAILURES_PER_ACCOUNT)
    for value, status in (
        (genuine[:-1] + ("A" if genuine[-1] != "A" else "B"), 429),
        (signing.dumps([account_of("owner"), "0" * 24]), 429),  # for another purpose
        (genuine, 302),
    ):
        client = Client()
        client.cookies[COOKIE] = value
        assert log_in(client, "owner", PASSWORD).status_code == status


def test_the_cookie_of_one_account_does_not_help_with_another(owner: User, stranger: User) -> None:
    client, response = Client(), HttpResponse()
    remember_browser(RequestFactory().get("/"), response, stranger)
    client.cookies[COOKIE] = response.cookies[COOKIE].value
    attack("owner", FAILURES_PER_ACCOUNT)
    assert log_in(client, "owner", PASSWORD).status_code == 429


def test_frequent_logins_use_up_no_limit(owner: User) -> None:
    answers = [log_in(Client(), "owner", PASSWORD).status_code for _ in range(FAILURES_PER_NETWORK + 5)]
    assert set(answers) == {302}


def test_the_login_of_the_admin_has_the_same_limits(owner: User) -> None:
    browser = Client()
    assert log_in(browser, "owner", PASSWORD, HOME, "/admin/login/").status_code == 302
    assert COOKIE in browser.cookies
    browser.post("/logout/")
    attack("owner", FAILURES_PER_ACCOUNT, "/admin/login/")
    assert "Try again in" in log_in(Client(), "owner", PASSWORD, path="/admin/login/").content.decode()
    assert log_in(Client(), "owner", PASSWORD).status_code == 429, "both pages count together"
    assert log_in(browser, "owner", PASSWORD, "192.0.2.250", "/admin/login/").status_code == 302


def test_few_passwords_are_checked_at_the_same_time() -> None:
    busy, inside, leave = Busy(), threading.Semaphore(0), threading.Event()
    refused: list[str] = []

    def check() -> None:
        try:
            with busy.turn():
                inside.release()
                leave.wait(20)
        except LimitError as error:
            refused.append(error.message)

    threads = [threading.Thread(target=check) for _ in range(9)]
    for thread in threads:
        thread.start()
    assert inside.acquire(timeout=20)
    assert not inside.acquire(blocking=False), "one at a time"
    leave.set()
    for thread in threads:
        thread.join(20)
    assert len(refused) == 4 and "right now" in refused[0], "one, and four that wait"


def test_wrong_tokens_are_limited_and_good_ones_are_not(owner: User) -> None:
    program = with_token(owner, "view")
    assert program.get("/api/v1/me", REMOTE_ADDR=ELSEWHERE).status_code == 200
    answers = [
        Client(headers={"Authorization": f"Bearer nc_{n:010x}_{'0' * 48}"}).get("/api/v1/me", REMOTE_ADDR=ELSEWHERE)
        for n in range(BAD_TOKENS + 5)
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [401] * (BAD_TOKENS + 1) + [429] * 4
    assert answers[-1]["Retry-After"] and answers[-1].json()["code"] == "limit"
    assert program.get("/api/v1/me", REMOTE_ADDR=ELSEWHERE).status_code == 200, "it was good before"
    fresh = with_token(owner, "view")
    assert fresh.get("/api/v1/me", REMOTE_ADDR=ELSEWHERE).status_code == 429, "never seen until now"
    assert fresh.get("/api/v1/me", REMOTE_ADDR=HOME).status_code == 200


def test_failures_are_audited_without_passwords_and_at_a_limited_rate(
    owner: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ninjacam.audit")
    begun_s = time.monotonic()
    attack("owner", 30)
    for number in range(100):
        log_in(Client(), f"typed-password-{number}", "guess-of-a-password", f"198.18.0.{number}")
    entries = [json.loads(each.getMessage()) for each in caplog.records if each.name == "ninjacam.audit"]
    failed = [entry for entry in entries if entry["verb"] == "login.failed"]
    assert failed[0] == {
        "verb": "login.failed", "subject": "owner", "by": "not logged in", "address": "203.0.113.0"
    }  # fmt: skip
    assert {entry["verb"] for entry in entries} == {"login.failed", "login.throttled"}
    assert {entry["subject"] for entry in failed} == {"owner", "(no such user)"}
    assert FAILURES <= len(failed) <= FAILURES + 1 + (time.monotonic() - begun_s) / FAILURE_EVERY_S
    assert len(failed) < 30 + 100
    assert "guess" not in caplog.text and "typed-password" not in caplog.text


def test_the_password_page_is_limited_too(owner: User) -> None:
    client = signed_in(owner)
    fields = {"new_password1": "a new long password", "new_password2": "a new long password"}
    for number in range(FAILURES_PER_ACCOUNT):
        answer = client.post(
            "/account/", {"old_password": f"guess {number}", **fields}, REMOTE_ADDR=ELSEWHERE
        )
        assert answer.status_code == 422
    answer = client.post("/account/", {"old_password": PASSWORD, **fields}, REMOTE_ADDR=ELSEWHERE)
    assert answer.status_code == 422 and "Try again in" in answer.content.decode()
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)
