import re
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory, override_settings

import ninjacam
from ninjacam.models import Camera
from ninjacam.web.player import player_strings

pytestmark = pytest.mark.django_db
STATIC = Path(ninjacam.__file__).parent / "static" / "ninjacam"


@pytest.fixture
def door() -> Camera:
    camera = Camera(slug="door")
    camera.set_source("rtsp://192.0.2.1/stream1")
    camera.save()
    return camera


def render(source: str, user: User | AnonymousUser, **context: object) -> str:
    request = RequestFactory().get("/")
    request.user = user
    return Template("{% load ninjacam %}" + source).render(Context({"request": request, **context}))


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("root")


def test_the_tag_renders_a_player_and_its_script(door: Camera, admin: User) -> None:
    page = render('{% camera "door" view="edges" controls=True data_place="hall" %}', admin)
    assert page.endswith(
        '<ninjacam-player camera="door" base="/" view="edges" controls="" data-place="hall"></ninjacam-player>'
    )
    assert '<script type="module" src="/static/ninjacam/player/player.js"></script>' in page


def test_the_tag_names_a_stream_or_a_width(door: Camera, admin: User) -> None:
    assert ' stream="sub">' in render('{% camera "door" stream="sub" %}', admin)
    assert ' width="320">' in render('{% camera "door" width=320 %}', admin)


def test_the_script_is_included_once_per_page(door: Camera, admin: User) -> None:
    page = render('{% camera "door" %}{% camera door %}', admin, door=door)
    assert page.count("<script type=") == 1
    assert page.count("<ninjacam-player ") == 2


def test_attributes_are_escaped(door: Camera, admin: User) -> None:
    page = render('{% camera "door" class=value %}', admin, value='"><script>alert(1)</script>')
    assert "<script>alert" not in page


@pytest.mark.parametrize("name", ["onclick", "Bad"])
def test_event_handlers_are_refused(door: Camera, admin: User, name: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=name):
        render(f'{{% camera "door" {name}="x" %}}', admin)


def test_users_who_may_not_view_the_camera_read_a_message(door: Camera) -> None:
    page = render('{% camera "door" %}', User.objects.create_user("sam"))
    assert "You may not view this camera." in page
    assert "ninjacam-player" not in page


def test_anonymous_users_read_a_message(door: Camera) -> None:
    assert "Log in to see this camera." in render('{% camera "door" %}', AnonymousUser())


def test_an_unknown_camera_is_named_in_debug_only(admin: User) -> None:
    assert "You may not view this camera." in render('{% camera "dor" %}', admin)
    with override_settings(DEBUG=True):
        assert "No camera “dor”." in render('{% camera "dor" %}', admin)


def test_a_context_without_a_request_is_explained(admin: User) -> None:
    with pytest.raises(TemplateSyntaxError, match=r"context_processors\.request"):
        Template('{% load ninjacam %}{% camera "door" %}').render(Context({}))


def test_every_text_of_the_player_is_translated() -> None:
    source = (STATIC / "player" / "strings.js").read_text()
    table = source[source.index("{") : source.index("};")]
    assert dict(re.findall(r'(\w+): "(.*)"', table)) == player_strings()
