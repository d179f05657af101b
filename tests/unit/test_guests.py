"""Who is a guest of a camera, and what guests find in the API and on the pages.

What the media routes send them: tests/integration/test_guest_views.py, tests/e2e/test_guests.py.
"""

import ast
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import OperationalError
from django.http import QueryDict

import ninjacam
from ninjacam import auth
from ninjacam.actions.cameras import create_camera, rename_camera, update_camera
from ninjacam.actions.guest_views import store_guest_view
from ninjacam.actions.links import create_link
from ninjacam.actions.tokens import create_token
from ninjacam.auth import LocalOperator, Principal, principal_from, recheck, shown_view
from ninjacam.core.errors import ConfigError, ForbiddenError, InvalidError, NinjacamError, ViewNotFoundError
from ninjacam.core.processors import ProcessorRegistry, processor
from ninjacam.hub.request import StreamRequest
from ninjacam.models import Camera, CameraGrant
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.status import Status
from ninjacam.viewers.auth import LiveAccess
from ninjacam.viewers.feeds import Pool
from tests.unit.conftest import make_event, signed_in, with_token

OPERATOR = LocalOperator()
SOURCE = Path(ninjacam.__file__).parent
CAMERA = "/api/v1/cameras/door"


@pytest.fixture
def hidden(camera: Camera) -> Camera:
    camera.guest_view = "private"
    camera.save()
    return camera


def session(user: User) -> Principal:
    cookies = {name: morsel.value for name, morsel in signed_in(user).cookies.items()}
    found = principal_from(cookies=cookies)
    assert found is not None
    return found


def token(user: User, *scopes: str) -> Principal:
    found = principal_from(
        cookies={}, authorization=f"Bearer {create_token(OPERATOR, user, 'test', scopes)[1]}"
    )
    assert found is not None
    return found


def declare(monkeypatch: pytest.MonkeyPatch, *declared: str, others: tuple[str, ...] = ()) -> None:
    """Let the engine report processors, of which `declared` replace the video of cameras named door*."""
    processors: list[dict[str, Any]] = [
        {"name": name, "cameras": ["door*"], "replaces_video_for": "view"} for name in declared
    ]
    processors += [{"name": name, "cameras": ["*"], "record": True} for name in others]
    status = Status(engine_running=True, processors=tuple(processors))
    for module in ("actions.cameras", "api.routers.cameras", "api.routers.views", "web.views"):
        monkeypatch.setattr(f"ninjacam.{module}.read_status", lambda: status)


def views_of(who: Any, camera: Camera) -> list[str | None]:
    return [shown_view(who, camera, view) for view in ("", "private", "edges")]


OWN, GUEST = ["", "private", "edges"], ["private", "private", None]


def test_without_a_view_for_guests_all_users_get_what_they_request(viewer: User, camera: Camera) -> None:
    assert views_of(session(viewer), camera) == OWN


def test_a_user_who_may_only_view_gets_the_view_for_guests(viewer: User, hidden: Camera) -> None:
    assert views_of(session(viewer), hidden) == GUEST
    CameraGrant.objects.create(camera=hidden, user=viewer, role="control")
    assert views_of(session(viewer), hidden) == GUEST, "moving a camera shows nothing"


@pytest.mark.parametrize("role", ["replay", "export", "configure"])
@pytest.mark.parametrize("by", ["user", "group", "permission"])
def test_roles_that_show_what_the_camera_sends_give_its_own_video(
    by: str, role: str, viewer: User, guards: Group, hidden: Camera
) -> None:
    if by == "user":
        CameraGrant.objects.create(camera=hidden, user=viewer, role=role)
    elif by == "group":
        viewer.groups.add(guards)
        CameraGrant.objects.create(camera=hidden, group=guards, role=role)
    else:
        viewer.user_permissions.add(Permission.objects.get(codename=f"{role}_camera"))
    assert views_of(session(viewer), hidden) == OWN


def test_superusers_and_the_command_line_get_the_cameras_own_video(admin_user: User, hidden: Camera) -> None:
    assert views_of(session(admin_user), hidden) == views_of(OPERATOR, hidden) == OWN


def test_a_token_or_link_that_may_only_view_is_a_guest(admin_user: User, hidden: Camera) -> None:
    """Even that of an administrator."""
    assert (
        views_of(token(admin_user, "*"), hidden)
        == views_of(token(admin_user, "view", "replay"), hidden)
        == OWN
    )
    assert views_of(token(admin_user, "view"), hidden) == GUEST
    assert views_of(token(admin_user, "view:door", "control:door"), hidden) == GUEST
    path, _, query = create_link(session(admin_user), "door", "mjpeg").path.partition("?")
    parameters = QueryDict(query).dict()
    linked = principal_from(cookies={}, sig=parameters["sig"], path=path, query=parameters)
    assert linked is not None and views_of(linked, hidden) == GUEST


def test_a_link_to_a_view_that_its_holder_may_not_see_is_not_made(admin_user: User, hidden: Camera) -> None:
    with pytest.raises(InvalidError, match="only the view"):
        create_link(session(admin_user), "door", "mjpeg", view="edges")
    assert "view=private" in create_link(session(admin_user), "door", "mjpeg", view="private").path


def test_another_view_is_forbidden_and_an_unknown_camera_stays_unknown(
    viewer: User, stranger: User, hidden: Camera
) -> None:
    with pytest.raises(ForbiddenError, match="this view"):
        get_camera(session(viewer), "door", view="edges")
    assert get_camera(session(viewer), "door", view="") == hidden
    with pytest.raises(NinjacamError, match="No camera"):
        get_camera(session(stranger), "door", view="edges")


def test_viewers_are_checked_again_for_the_view_that_they_watch(
    viewer: User, admin_user: User, hidden: Camera
) -> None:
    guest, admin = session(viewer), session(admin_user)

    def answers() -> list[bool]:
        asked = [(who, "view", hidden, view) for who in (guest, admin) for view in ("", "private", "edges")]
        return recheck([*asked, (guest, "view", hidden, None)])

    assert answers() == [False, True, False, True, True, True, True]
    Camera.objects.update(guest_view="other")
    assert answers() == [False, False, False, True, True, True, True]
    Camera.objects.update(guest_view="")
    assert answers() == [True] * 7


def test_a_guest_finds_one_view_in_the_api_and_no_choice_on_the_pages(
    viewer: User, admin_user: User, hidden: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, "private", others=("plates",))
    guest, admin = signed_in(viewer), signed_in(admin_user)
    for path in ("/api/v1/views", f"{CAMERA}/views"):
        assert [each["view"] for each in guest.get(path).json()["items"]] == ["private"]
        assert [each["view"] for each in admin.get(path).json()["items"]] == ["", "plates", "private"]
    assert [each["name"] for each in guest.get("/api/v1/processors").json()["items"]] == ["private"]
    assert guest.get(CAMERA).json()["guest_view"] is None
    assert admin.get(CAMERA).json()["guest_view"] == "private"
    for path in ("/", "/cameras/door/"):
        page, whole = guest.get(path).content.decode(), admin.get(path).content.decode()
        assert "<ninjacam-player" in page and "plates" not in page and "private" not in page
        assert "plates" in whole and "private" in whole
    assert guest.get("/cameras/door/?view=plates").status_code == 404


def test_a_guest_finds_the_view_also_while_no_engine_reports_it(viewer: User, hidden: Camera) -> None:
    items = signed_in(viewer).get(f"{CAMERA}/views").json()["items"]
    assert [(each["view"], each["state"]) for each in items] == [("private", "unknown")]


def test_the_declaration_is_stored_once_and_only_where_there_is_no_view(
    camera: Camera, yard: Camera, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ninjacam.actions.guest_views.connections.close_all", lambda: None)
    monkeypatch.setattr("ninjacam.actions.guest_views.close_old_connections", lambda: None)
    caplog.set_level("INFO", "ninjacam.audit")
    store_guest_view("door", "private")
    store_guest_view("door", "another")
    store_guest_view("nothing", "private")
    assert list(Camera.objects.values_list("slug", "guest_view")) == [("door", "private"), ("yard", "")]
    assert len([each for each in caplog.records if "guest_view" in each.getMessage()]) == 1


def test_an_unavailable_database_is_an_error_to_try_again(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("locked")

    monkeypatch.setattr("ninjacam.actions.guest_views.connections.close_all", lambda: None)
    monkeypatch.setattr("ninjacam.models.camera.CameraQuerySet.update", fail)
    with pytest.raises(NinjacamError, match="does not respond"):
        store_guest_view("door", "private")


def test_a_new_camera_or_name_has_the_declared_view_from_the_first_moment(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, "private")
    made = create_camera(OPERATOR, "door-2", {"url": "rtsp://10.0.0.9/"})
    other = create_camera(OPERATOR, "cellar", {"url": "rtsp://10.0.0.9/"})
    chosen = create_camera(OPERATOR, "door-3", {"url": "rtsp://10.0.0.9/", "guest_view": "privacy"})
    assert [each.guest_view for each in (made, other, chosen)] == ["private", "", "privacy"]
    assert rename_camera(OPERATOR, other, "door-4").guest_view == "private"


def test_a_declared_view_cannot_be_removed_while_the_code_declares_it(
    admin_user: User, hidden: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, "private")
    client = with_token(admin_user)

    def change(view: str) -> Any:
        return client.patch(CAMERA, {"guest_view": view}, content_type="application/json")

    assert change("").status_code == 422 and "replaces_video_for" in change("").json()["detail"]
    assert change("privacy").status_code == 200, "another view hides, too"
    declare(monkeypatch)
    assert change("").status_code == 200
    assert Camera.objects.get().guest_view == ""


@pytest.mark.parametrize("view", ["raw", "Edges", "a b", "x" * 51, "../x"])
def test_a_name_that_no_processor_can_have_is_refused(view: str, admin_user: User, camera: Camera) -> None:
    client = with_token(admin_user)
    answer = client.patch(CAMERA, {"guest_view": view}, content_type="application/json")
    assert answer.status_code == 422 and Camera.objects.get().guest_view == ""


def test_only_users_who_may_configure_the_camera_change_its_view(viewer: User, hidden: Camera) -> None:
    CameraGrant.objects.create(camera=hidden, user=viewer, role="replay")
    answer = with_token(viewer).patch(CAMERA, {"guest_view": ""}, content_type="application/json")
    assert answer.status_code == 403 and Camera.objects.get().guest_view == "private"


def test_forms_without_the_field_leave_the_view(admin_user: User, hidden: Camera) -> None:
    form = {"url": hidden.url, "name": "Door", "transport": "tcp", "enabled": "on"}
    assert signed_in(admin_user).post("/cameras/door/edit/", form).status_code == 302
    assert Camera.objects.get().guest_view == "private"
    form |= {"guest_view": "", "initial-guest_view": "private"}
    assert signed_in(admin_user).post("/cameras/door/edit/", form).status_code == 302
    assert Camera.objects.get().guest_view == ""


def test_a_feed_is_opened_for_the_permitted_view_only(hidden: Camera, viewer: User) -> None:
    """Whatever the request of a route contains."""
    pool = Pool(Path("run"))
    access = LiveAccess(session(viewer), hidden, "private", "main", replaces_raw=True)
    with pytest.raises(ForbiddenError):
        pool.packets_of(access)
    for view in ("", "edges"):
        path, request = pool.pixels_of(access, StreamRequest(view=view))
        assert (path.name, request.view) == ("door.pixels", "private")


def test_a_guest_does_not_learn_which_processors_there_are(hidden: Camera, viewer: User) -> None:
    error = ViewNotFoundError("The camera has no view 'private'. Its processors are: plates.").as_dict()
    access = LiveAccess(session(viewer), hidden, "private", "main", replaces_raw=True)
    shown = access.refusal(error)
    assert shown["code"] == "stream_unavailable" and "plates" not in str(shown)
    own = LiveAccess(session(viewer), hidden, "plates", "main", replaces_raw=False)
    assert own.refusal(error) is error


def test_only_the_pool_of_feeds_opens_local_streams_for_viewers() -> None:
    """A route that opened one by itself would circumvent the decision."""
    web = ("api", "web", "live", "playback", "viewers", "queries", "templatetags", "asgi", "front_door")
    users = {
        str(path.relative_to(SOURCE))
        for name in web
        for path in (SOURCE / name).rglob("*.py")
        if "ninjacam.hub.client" in imported(path) or re.search(r"\.(packets|pixels)\"", path.read_text())
    }
    assert users == {"viewers/feeds.py"}


def imported(path: Path) -> set[str | None]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.module for node in nodes if isinstance(node, ast.ImportFrom)}


def test_only_one_function_decides_who_is_a_guest() -> None:
    """Others call it, and read the field only to show, store or check it."""
    readers = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if re.search(r"camera\.guest_view", path.read_text())
    }
    assert readers == {
        "actions/cameras.py",
        "actions/links.py",
        "api/routers/cameras.py",
        "auth.py",
        "engine/kinds.py",
        "management/cameras.py",
        "queries/views.py",
        "vision/process.py",
    }
    assert auth.RAW_ROLES == ("replay", "export", "configure")


def test_the_declaration_is_part_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = ProcessorRegistry()
    monkeypatch.setattr("ninjacam.core.processors.registry", registry)

    @processor(replaces_video_for="view")
    def private(frame: Any) -> None: ...

    assert [each.replaces_video_for for each in registry] == ["view"]
    with pytest.raises(ConfigError, match="'raw' is the name of the camera's own video"):
        processor("raw", replaces_video_for="view")(lambda frame: None)
    with pytest.raises(NinjacamError, match="replaces_video_for"):
        processor(replaces_video_for="replay")(private)  # type: ignore[call-overload]


def test_a_guest_does_not_learn_the_processors_of_events_or_the_ready_made_ones(
    viewer: User, admin_user: User, hidden: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The errors of processors of events may contain what they have read, such as number plates."""
    hidden.processors = ["motion", "private"]
    Camera.objects.update(processors=["motion", "private"])
    plates = {"name": "plates", "cameras": ["*"], "when": "events"}
    status = Status(engine_running=True, processors=(plates,))
    for module in ("api.routers.cameras", "api.routers.views", "web.views"):
        monkeypatch.setattr(f"ninjacam.{module}.read_status", lambda: status)
    guest, admin = signed_in(viewer), signed_in(admin_user)
    path = f"{CAMERA}/event-processors"
    assert guest.get(path).json()["items"] == []
    assert [each["processor"] for each in admin.get(path).json()["items"]] == ["plates"]
    assert "plates" not in guest.get("/cameras/door/").content.decode()
    assert guest.get(CAMERA).json()["processors"] == ["private"]
    assert admin.get(CAMERA).json()["processors"] == ["motion", "private"]


def test_users_who_are_no_guests_find_the_processors_of_events_among_all(
    viewer: User, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    plates = {"name": "plates", "cameras": ["*"], "when": "events"}
    status = Status(engine_running=True, processors=(plates,))
    monkeypatch.setattr("ninjacam.api.routers.views.read_status", lambda: status)
    items = signed_in(viewer).get("/api/v1/processors").json()["items"]
    assert [(each["name"], each["cameras"]) for each in items] == [("plates", ["door"])]


def test_a_viewer_of_a_renamed_camera_does_not_get_the_one_that_takes_its_name(
    viewer: User, camera: Camera
) -> None:
    """An open stream reads the sockets of a name, which may be those of another camera now."""
    guest = session(viewer)
    watched = (guest, "view", camera, "")
    assert recheck([watched]) == [True]
    rename_camera(OPERATOR, Camera.objects.get(), "door-old")
    create_camera(OPERATOR, "door", {"url": "rtsp://10.0.0.9/"})
    assert recheck([watched, (guest, "view", camera, None)]) == [False, False]


@pytest.mark.parametrize("change", ["update", "rename"])
def test_a_change_of_other_fields_does_not_remove_a_view_that_was_set_meanwhile(
    change: str, camera: Camera
) -> None:
    loaded_before = Camera.objects.get()
    Camera.objects.update(guest_view="private")
    if change == "update":
        update_camera(OPERATOR, loaded_before, {"name": "Front door"})
    else:
        rename_camera(OPERATOR, loaded_before, "door-2")
    assert Camera.objects.get().guest_view == "private"
    update_camera(OPERATOR, Camera.objects.get(), {"guest_view": ""})
    assert Camera.objects.get().guest_view == ""


@pytest.mark.parametrize("page", ["/cameras/door/edit/", "/admin/ninjacam/camera/{pk}/change/"])
def test_a_page_that_was_opened_before_the_view_was_set_does_not_remove_it(
    page: str, admin_user: User, camera: Camera
) -> None:
    path, client = page.format(pk=camera.pk), signed_in(admin_user)
    opened = fields_of(client.get(path).content.decode())
    Camera.objects.update(guest_view="private")
    assert client.post(path, {**opened, "name": "Front door"}).status_code == 302
    saved = Camera.objects.get()
    assert (saved.name, saved.guest_view) == ("Front door", "private")
    seen = fields_of(client.get(path).content.decode())
    assert client.post(path, {**seen, "guest_view": ""}).status_code == 302
    assert Camera.objects.get().guest_view == ""


def test_who_may_change_an_event_but_not_replay_learns_nothing_that_was_detected(
    viewer: User, admin_user: User, hidden: Camera
) -> None:
    """Processors of events write what they have read, such as number plates, also into events that guests create."""
    CameraGrant.objects.create(camera=hidden, user=viewer, role="control")
    event = make_event(
        label="12-AB-3", data={"plates": "12-AB-3"}, box=[0.1, 0.1, 0.2, 0.2], score=0.9, color_bits=1
    )
    path = f"/api/v1/events/{event.pk}"
    answer = with_token(viewer).patch(path, {}, content_type="application/json")
    assert answer.status_code == 200 and "12-AB" not in answer.content.decode()
    shown = answer.json()
    assert (shown["id"], shown["camera"], shown["kind"]) == (event.pk, "door", event.kind)
    assert not any(shown[name] for name in ("label", "data", "box", "score", "colors", "zones", "seen_by"))
    answer = with_token(viewer).patch(path, {"label": "post"}, content_type="application/json")
    assert answer.json()["label"] == "post"
    event.refresh_from_db()
    assert event.data == {"plates": "12-AB-3"}, "it is only not shown"
    whole = with_token(admin_user).patch(path, {}, content_type="application/json").json()
    assert whole["data"] == event.data and whole["box"] and whole["label"] == "post"


class _Fields(HTMLParser):
    """What a browser sends for the fields of a page that nobody changes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in self.found):
            self.found[self._select] = given.get("value", "")
        elif tag == "input" and name and given.get("type") not in ("submit", "file"):
            is_box = given.get("type") in ("checkbox", "radio")
            if not is_box or "checked" in given:
                self.found[name] = given.get("value", "on" if is_box else "")


def fields_of(page: str) -> dict[str, str]:
    parser = _Fields()
    parser.feed(page)
    return {
        name: value for name, value in parser.found.items() if "__prefix__" not in name and name[0] != "_"
    }
