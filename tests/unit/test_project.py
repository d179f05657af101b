from pathlib import Path
from typing import Any

import pytest
from django.test import Client, RequestFactory

from ninjacam.checks import check_ninjacam
from ninjacam.project import application_path, login_url
from ninjacam.urls import not_wrapped


def problems() -> set[str]:
    return {str(message.id) for message in check_ninjacam(None)}


def test_a_login_url_that_leads_nowhere_is_replaced_by_our_login_page(settings: Any) -> None:
    settings.LOGIN_URL = "/accounts/login/"
    assert login_url() == "/login/"
    settings.LOGIN_URL = "admin:login"
    assert login_url() == "/admin/login/"
    settings.LOGIN_URL = "https://sso.example.org/login"
    assert login_url() == "https://sso.example.org/login"


@pytest.mark.django_db
def test_pages_send_visitors_to_a_login_page_that_exists(client: Client, settings: Any) -> None:
    settings.LOGIN_URL = "/accounts/login/"
    for path in ("/", "/api/v1/docs"):
        assert client.get(path)["Location"] == f"/login/?next={path}"


def test_the_asgi_module_next_to_the_urls_is_found(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEBUG = True  # otherwise the check of static files would import the URLs
    settings.ASGI_APPLICATION = None
    settings.ROOT_URLCONF = "garage.urls"
    assert application_path() is None
    assert "ninjacam.W006" in problems()
    package = tmp_path / "garage"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "urls.py").write_text("urlpatterns = []")
    (package / "asgi.py").write_text("application = None")
    monkeypatch.syspath_prepend(tmp_path)
    assert application_path() == "garage.asgi.application"
    assert "ninjacam.W007" in problems()
    (package / "asgi.py").write_text("import ninjacam.asgi")
    assert not {"ninjacam.W006", "ninjacam.W007"} & problems()


def test_unserved_static_files_are_reported(settings: Any) -> None:
    assert "ninjacam.W008" not in problems()
    settings.STATIC_URL = "/assets/"
    assert "ninjacam.W008" in problems()
    settings.STATIC_ROOT = "/srv/static"
    assert "ninjacam.W008" not in problems()


def test_the_runserver_of_another_app_is_reported(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEBUG = True
    for owner, is_reported in (
        ("ninjacam", False),
        ("django.core", False),
        ("django.contrib.staticfiles", True),
        ("daphne", True),
    ):
        monkeypatch.setattr("ninjacam.checks.get_commands", lambda owner=owner: {"runserver": owner})
        assert ("ninjacam.W009" in problems()) is is_reported, owner
    settings.DEBUG = False
    assert "ninjacam.W009" not in problems()


def test_a_wsgi_server_is_distinguished_from_a_missing_line() -> None:
    answer = not_wrapped(RequestFactory().get("/live/ws"))
    assert answer.status_code == 503
    assert b"ninjacam_serve" in answer.content
