from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ninjacam.site.environment import https_hosts

ORIGINS = {"NINJACAM_ORIGINS": "https://cam.example.org, https://[2001:db8::1]:8443,http://lan.example.org"}


@pytest.fixture
def behind_https(settings: Any) -> None:
    settings.HTTPS_HOSTS = https_hosts(ORIGINS)
    settings.ALLOWED_HOSTS = ["*"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


def test_the_hosts_of_https_origins_are_found() -> None:
    assert https_hosts(ORIGINS) == {"cam.example.org", "2001:db8::1"}
    assert https_hosts({}) == frozenset()


@pytest.mark.parametrize(
    ("host", "scheme", "secure"),
    [
        ("cam.example.org", "https", True),
        ("cam.example.org", "", True),  # the proxy does not report https
        ("CAM.example.org:443", "", True),
        ("192.168.1.5:8000", "https", True),
        ("192.168.1.5:8000", "", False),  # plain http in the local network
        ("lan.example.org", "", False),
    ],
)
def test_cookies_are_secure_if_the_browser_uses_https(
    db: None, behind_https: None, host: str, scheme: str, secure: bool
) -> None:
    User.objects.create_user("owner", password="a long password")
    client = Client()
    headers = {"Host": host, **({"X-Forwarded-Proto": scheme} if scheme else {})}
    page = client.get("/login/", headers=headers)
    assert bool(page.cookies["ninjacam_csrf"]["secure"]) is secure
    answer = client.post("/login/", {"username": "owner", "password": "a long password"}, headers=headers)
    assert answer.status_code == 302
    assert set(answer.cookies) >= {"ninjacam_session", "ninjacam_known"}
    assert {bool(each["secure"]) for each in answer.cookies.values()} == {secure}
    assert {each["httponly"] for name, each in answer.cookies.items() if name != "ninjacam_csrf"} == {True}
    assert {each["samesite"] for each in answer.cookies.values()} == {"Lax"}
    assert ("Strict-Transport-Security" in answer.headers) is secure
    if secure:
        assert answer["Strict-Transport-Security"] == "max-age=31536000"


def test_without_an_https_origin_nothing_is_secure(db: None) -> None:
    page = Client().get("/login/")
    assert not page.cookies["ninjacam_csrf"]["secure"] and "Strict-Transport-Security" not in page.headers


def test_a_self_signed_certificate_is_never_required_by_hsts(
    db: None, behind_https: None, settings: Any
) -> None:
    settings.NINJACAM = {**settings.NINJACAM, "TLS": True}
    own = Client().get("/login/", headers={"Host": "nas", "X-Forwarded-Proto": "https"})
    assert own.cookies["ninjacam_csrf"]["secure"] and "Strict-Transport-Security" not in own.headers
    public = Client().get("/login/", headers={"Host": "cam.example.org"})
    assert "Strict-Transport-Security" in public.headers
