"""The API's event stream through Django's ASGI handler, with a fake child process."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from ninjacam.actions import discovery
from ninjacam.actions.discovery import is_searching
from tests.unit.actions.test_discovery import DEVICE, DONE, prints
from tests.unit.conftest import signed_in

PATH = "/api/v1/discovery"


@pytest.fixture(autouse=True)
def own_run_dir(run_dir: Path) -> None:
    """Isolate the test from searches of other tests."""


@pytest.mark.django_db(transaction=True)
def test_results_are_server_sent_events(admin_user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = {**DEVICE, "name": "a\n\nevent: done\ndata: {}\n\n<b>\u2028"}
    monkeypatch.setattr(discovery, "python_command", lambda _: [sys.executable, "-c", prints(hostile, DONE)])

    async def main() -> tuple[Any, str]:
        client = AsyncClient()
        await client.aforce_login(admin_user)
        response: Any = await client.post(PATH, {"images": False}, content_type="application/json")
        return response, b"".join([part async for part in response.streaming_content]).decode()

    response, text = asyncio.run(main())
    assert response.status_code == 200 and response["Content-Type"] == "text/event-stream"
    assert response["Cache-Control"] == "no-store" and response["X-Accel-Buffering"] == "no"
    parts = text.removesuffix("\n\n").split("\n\n")
    assert [part.split("\n")[0] for part in parts] == ["event: device", "event: done"]
    assert json.loads(parts[0].partition("data: ")[2])["name"] == hostile["name"]
    assert not is_searching()


def test_a_response_that_is_never_read_releases_the_search(admin_user: User) -> None:
    client = signed_in(admin_user)
    response = client.post(PATH, {}, content_type="application/json")
    assert response.status_code == 200 and is_searching()
    other = client.post(PATH, {}, content_type="application/json")
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert client.get(PATH).json()["running"] is True
    response.close()
    assert not is_searching() and client.get(PATH).json()["running"] is False


@pytest.mark.parametrize(
    "body",
    [{"network": "8.8.8.0/24"}, {"network": "x"}, {"timeout_s": 60}, {"timeout_s": 0}, {"ports": [22]}],
)
def test_invalid_searches_are_422(admin_user: User, body: dict[str, Any]) -> None:
    assert signed_in(admin_user).post(PATH, body, content_type="application/json").status_code == 422
    assert not is_searching()


def test_writes_need_the_csrf_token(admin_user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(PATH, {}, content_type="application/json").status_code == 403
    assert client.delete(PATH).status_code == 403
