"""Users, cameras and clients for the tests of the Django layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client
from django.utils import translation
from hypothesis import settings

from ninjacam import events
from ninjacam.actions.events import event_rates
from ninjacam.actions.tokens import create_token
from ninjacam.auth import LocalOperator
from ninjacam.conf import get_settings
from ninjacam.models import Camera, CameraGrant, Event, Webhook
from ninjacam.throttle import _throttle

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")

PASSWORD = "s3cret-of-the-camera"
WEBHOOK_SECRET = "whsec_0123456789abcdef"
START_NS = 1_700_000_000 * 10**9


def forget_rates() -> None:
    """Forget how many requests and events there were."""
    event_rates.cache_clear()
    _throttle.cache_clear()
    (get_settings().run_dir / "throttle").unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def _fresh_rates() -> None:
    """Users and cameras of different tests have the same keys."""
    forget_rates()


@pytest.fixture(autouse=True)
def _own_language() -> None:
    """A request leaves its language to the thread, until the next request."""
    translation.deactivate()


@contextmanager
def undone() -> Iterator[None]:
    """Undo what the block writes to the database, so that the requests of a loop can share their objects."""
    forget_rates()
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def admin_user(db: None) -> User:
    return User.objects.create_superuser("root", password="x")


@pytest.fixture
def viewer(db: None, camera: Camera) -> User:
    """A user who may only view `camera`."""
    user = User.objects.create_user("viewer", password="x")
    CameraGrant.objects.create(camera=camera, user=user, role="view")
    return user


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("stranger", password="x")


@pytest.fixture
def guards(db: None) -> Group:
    return Group.objects.create(name="guards")


@pytest.fixture
def camera(db: None) -> Camera:
    """The camera `door`, with a password."""
    made = Camera(slug="door", name="Back entrance")
    made.set_source("rtsp://10.0.0.5/stream1", "user-of-the-camera", PASSWORD)
    made.save()
    return made


@pytest.fixture
def yard(db: None) -> Camera:
    made = Camera(slug="yard")
    made.set_source("rtsp://10.0.0.6/stream1")
    made.save()
    return made


def make_webhook(**fields: Any) -> Webhook:
    webhook = Webhook(name="Home", **fields)
    webhook.set_target("http://127.0.0.1:9/hook", WEBHOOK_SECRET)
    webhook.save()
    return webhook


def make_event(**fields: Any) -> Event:
    """Create an instantaneous event in the past."""
    values = {"slug": "door", "kind": "person", "start_ns": START_NS, "end_ns": START_NS, "source": "code"}
    return Event.objects.create(**{**values, **fields})


@pytest.fixture
def webhook(db: None) -> Webhook:
    """A webhook for the beginning and the end of all events."""
    return make_webhook(on_end=True)


@pytest.fixture
def run_dir(settings: Any, tmp_path: Path) -> Path:
    settings.NINJACAM = {**settings.NINJACAM, "DATA_DIR": tmp_path}
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def signed_in(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@contextmanager
def staying_signed_in(user: User) -> Iterator[Client]:
    client = signed_in(user)
    yield client
    assert client.get("/api/v1/me").status_code == 200, "one of the requests signed the user out"


def with_token(user: User, *scopes: str) -> Client:
    _, token = create_token(LocalOperator(), user, "test", scopes or ("*",))
    return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def created() -> Iterator[list[Any]]:
    """What processors send while the test runs: new events and changes, in their order."""
    made: list[Any] = []
    events.send_to(lambda camera, event: made.append(event))
    yield made
    events.send_to(None)
