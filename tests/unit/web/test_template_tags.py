import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory, override_settings
from django.utils import timezone

import ninjacam
from ninjacam.models import Camera, CameraGrant
from ninjacam.web.player import player_strings
from tests.harness.processes import ROOT
from tests.unit.conftest import signed_in
from tests.unit.web.test_events_page import make

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
@pytest.mark.parametrize("tag", ['camera "door"', "camera_wall"])
def test_event_handlers_are_refused(door: Camera, admin: User, tag: str, name: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=name):
        render(f'{{% {tag} {name}="x" %}}', admin)


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


@pytest.mark.parametrize("tag", ['camera "door"', "camera_wall", "events"])
def test_a_context_without_a_request_is_explained(admin: User, tag: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=r"context_processors\.request"):
        Template(f"{{% load ninjacam %}}{{% {tag} %}}").render(Context({}))


@pytest.fixture
def gate() -> Camera:
    camera = Camera(slug="gate", name="Front <gate>")
    camera.set_source("rtsp://192.0.2.2/stream1")
    camera.save()
    return camera


def players(page: str) -> list[str]:
    return re.findall(r'<ninjacam-player camera="(\w+)"', page)


def test_a_wall_has_a_player_for_each_camera_that_the_user_may_view(
    door: Camera, gate: Camera, admin: User
) -> None:
    page = render('{% camera_wall overlay="motion" %}', admin)
    assert players(page) == ["door", "gate"] and page.count('overlay="motion"') == 2
    assert page.count("<script type=") == 1 and page.count("embedded.css") == 1
    assert '<a href="/cameras/gate/">Front &lt;gate&gt;</a>' in page
    guard = User.objects.create_user("guard")
    CameraGrant.objects.create(camera=gate, user=guard, role="view")
    assert players(render("{% camera_wall %}", guard)) == ["gate"]


def test_a_wall_has_the_given_cameras_in_their_order(door: Camera, gate: Camera, admin: User) -> None:
    assert players(render('{% camera_wall "gate" door "gate" "nowhere" %}', admin, door=door)) == [
        "gate",
        "door",
    ]


def test_a_wall_without_cameras_says_so(door: Camera) -> None:
    page = render('{% camera_wall "door" %}', User.objects.create_user("sam"))
    assert players(page) == [] and "You do not have access to any cameras." in page
    assert "Log in to see the cameras." in render("{% camera_wall %}", AnonymousUser())


def test_events_are_listed_newest_first(door: Camera, gate: Camera, admin: User) -> None:
    make(door, ago_s=90, label="<b>old</b>", snapshot_ns=5)
    make(gate, ago_s=60, label="middle")
    make(door, ago_s=30, label="new", kind="car")
    make(door, ago_s=8 * 86_400, label="last week")
    page = render("{% events %}", admin)
    assert re.findall(r">([^<>]+)</a>", page) == ["new", "middle", "&lt;b&gt;old&lt;/b&gt;"]
    assert page.count("<img src=") == 1 and page.count("embedded.css") == 1 and "Front &lt;gate&gt;" in page
    assert re.findall(r">([^<>]+)</a>", render('{% events "door" limit=1 %}', admin)) == ["new"]
    assert re.findall(r">([^<>]+)</a>", render('{% events kind="person" label="mid" %}', admin)) == ["middle"]
    assert "last week" in render("{% events days=9 %}", admin)
    assert "No events" in render('{% events kind="parcel" %}', admin)


def test_events_are_those_that_the_user_may_replay(door: Camera, gate: Camera) -> None:
    make(door, label="secret")
    make(gate, label="seen")
    guard = User.objects.create_user("guard")
    CameraGrant.objects.create(camera=gate, user=guard, role="replay")
    CameraGrant.objects.create(camera=door, user=guard, role="view")
    page = render("{% events %}", guard)
    assert "seen" in page and "secret" not in page
    for slug in ("door", "nowhere"):
        assert render(f'{{% events "{slug}" %}}', guard).count("You may not see these events.") == 1
    assert "Log in to see the events." in render("{% events %}", AnonymousUser())


@pytest.mark.parametrize("wrong", ["limit=0", "limit=101", "days=367", "days='a'"])
def test_events_are_limited(admin: User, wrong: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="must be a number from 1 to"):
        render(f"{{% events {wrong} %}}", admin)


def test_moments_are_elements_that_scripts_convert() -> None:
    when = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    source = (
        '{% load ninjacam %}{{ when|moment:"time" }} {{ when|moment:"datetime" }} {{ none|moment:"time" }}'
    )
    with override_settings(TIME_ZONE="Europe/Berlin"), timezone.override("Europe/Berlin"):
        assert Template(source).render(Context({"when": when, "none": None})) == (
            '<time datetime="2026-03-29T03:30:00+02:00" data-show="time">03:30:00</time> '
            '<time datetime="2026-03-29T03:30:00+02:00" data-show="datetime">03/29/2026 3:30 a.m.</time> '
        )


def test_pages_appear_inside_a_site_as_the_documentation_says(
    tmp_path: Path, door: Camera, admin: User
) -> None:
    documented = (ROOT / "docs" / "templates.md").read_text()
    (base,) = re.findall(r"```html\n(.*?)```", documented, re.DOTALL)
    (tmp_path / "ninjacam").mkdir()
    (tmp_path / "ninjacam" / "base.html").write_text(base)
    (tmp_path / "site.html").write_text(
        "<title>{% block title %}{% endblock %} | Acme</title>{% block head %}<link rel=own>{% endblock %}"
        "<nav>Acme</nav>{% block content %}{% endblock %}"
    )
    engine = {**settings.TEMPLATES[0], "DIRS": [tmp_path]}
    client = signed_in(admin)
    with override_settings(TEMPLATES=[engine]):
        for path, text in (
            ("/", "<ninjacam-player"),
            ("/events/", "No events"),
            ("/cameras/door/", 'id="camera"'),
        ):
            page = client.get(path).content.decode()
            assert "<nav>Acme</nav>" in page and "<link rel=own>" in page and text in page
            assert page.count("<title>") == 1 and " | Acme</title>" in page
            assert "pages/pages.css" in page and '<div id="content" data-base="/"' in page
            assert 'class="top"' not in page  # Our navigation.
    assert 'class="top"' in client.get("/").content.decode()


def test_every_text_of_the_player_is_translated() -> None:
    source = (STATIC / "player" / "strings.js").read_text()
    table = source[source.index("{") : source.index("};")]
    assert dict(re.findall(r'(\w+): "(.*)"', table)) == player_strings()
