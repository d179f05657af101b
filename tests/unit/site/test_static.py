import pytest
from django.test import Client

FILE = "/static/admin/css/base.css"


def test_files_are_served_and_revalidated_by_their_etag(client: Client) -> None:
    first = client.get(FILE)
    assert first.status_code == 200 and first["Content-Type"] == "text/css"
    assert "no-cache" in first["Cache-Control"]
    assert client.get(FILE, headers={"If-None-Match": first["ETag"]}).status_code == 304


def test_modules_have_the_content_type_that_browsers_require(client: Client) -> None:
    assert client.get("/static/admin/js/core.js")["Content-Type"] == "text/javascript"


@pytest.mark.parametrize(
    "path",
    [
        "nothing.css",
        "../settings.py",
        "..%2f..%2fsettings.py",
        "%2fetc%2fpasswd",
        "admin",
        "a%00b",
        "admin/../../x",
    ],
)
def test_nothing_else_is_served(client: Client, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


def test_only_reading_is_allowed(client: Client) -> None:
    assert client.post(FILE).status_code == 405


def test_pages_forbid_scripts_from_other_origins(client: Client) -> None:
    policy = client.get("/login/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "script-src" not in policy
