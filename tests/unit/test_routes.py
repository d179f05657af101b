"""Every route of the project x {anonymous, without a grant, with view, administrator}, found in the resolver.

New routes are included automatically. Each must refuse anonymous users or be listed in OPEN.
"""

import inspect
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from ninja.operation import PathView

from ninjacam.models import (
    ApiToken,
    Camera,
    CameraGrant,
    CameraZone,
    Event,
    Export,
    NotificationChoice,
    Profile,
    PublishKey,
    PushSubscription,
    Rule,
    Segment,
    Stream,
    ValueSeries,
    WallLayout,
    Webhook,
    WebhookDelivery,
)
from ninjacam.routes import ROUTES as MEDIA_ROUTES
from tests.unit.conftest import staying_signed_in, undone

OPEN = {
    "static/<path:path>": "the same files for everybody",
    "login/": "where one signs in",
    "admin/login/": "where one signs in",
    "admin/logout/": "ends the own session",
    "logout/": "ends the own session",
    "setup/<str:token>/": "creates the first administrator, for a person with the link that `ninjacam serve` prints",
    "manifest.webmanifest": "the same for everybody",
    "service-worker.js": "the same for everybody",
    "offline/": "the same for everybody",
    "notifications/mute/": "a notification has a signed text that mutes its camera",
    "admin/jsi18n/": "texts",
    "api/v1/": "Ninja's anchor: always 404",
    "api/v1/not-found": "paths without an operation: always 404",
    **{route.pattern: "answered by ninjacam.asgi before Django; here always 503" for route in MEDIA_ROUTES},
}
"""Routes that do not require a session or token, with the reason."""

NOW_NS = time.time_ns()
NOW = datetime.now(UTC).isoformat()
HOUR_AGO = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
KEYS = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}
BODIES: dict[str, Any] = {
    "create_camera": {"slug": "new", "url": "rtsp://10.0.0.7/"},
    "probe_new_camera": {"url": "nonsense://10.0.0.7/"},  # refused before anything is opened
    "probe_camera": {"url": "nonsense://10.0.0.7/"},
    "update_camera": {"name": "changed"},
    "create_token": {"name": "x", "scopes": ["view"]},
    "create_link": {"camera": "door", "kind": "mjpeg"},
    "update_recording": {"protected": True},
    "create_event": {"camera": "door", "kind": "motion"},
    "update_event": {"label": "changed"},
    "mark_events_seen": {"ids": [1]},
    "create_export": {"camera": "door", "start": HOUR_AGO, "end": NOW},
    "create_backtest": {"values": {"low": 60}, "start": HOUR_AGO, "end": NOW},
    "create_publish_key": {"name": "drone"},  # refused: the camera is connected to
    "create_grant": {"role": "view", "user": "stranger"},
    "send_ptz_command": {"command": "stop"},
    "probe_new_device": {"url": "nonsense://10.0.0.7/"},  # refused before anything is opened
    "probe_device": {"url": "nonsense://10.0.0.7/"},
    "update_encoder": {"gop_frames": 50},
    "set_patrol": {"steps": [{"preset": "1", "dwell_s": 20}], "running": True},
    "update_imaging": {"ir_cut_filter": "auto"},
    "move_focus": {"speed": 1},
    "set_output": {"active": True},
    "discover_cameras": {"network": "8.8.8.0/24"},  # refused before anything is sent
    "put_stream": {"url": "rtsp://10.0.0.5/stream2"},
    "update_processor_options": {"values": {"low": 3}},
    "create_zone": {"name": "porch", "points": [[0, 0], [1, 0], [1, 1]]},
    "update_zone": {"loitering_s": 30},
    "create_rule": {"name": "x", "notify": True},
    "update_rule": {"name": "changed"},
    "create_webhook": {"name": "x", "url": "http://10.0.0.8/hook"},
    "update_webhook": {"name": "changed"},
    "create_profile": {"name": "new", "overrides": [{"camera": "door", "record": "always"}]},
    "update_profile": {"schedule": "mon 07:00-08:00"},
    "activate_profile": {"profile": "away"},
    "update_notifications": {"kinds": ["person"]},
    "mute_notifications": {"camera": "door"},
    "create_push_subscription": {"endpoint": "https://push.example.org/p/1", "keys": KEYS},
}

QUERIES = {
    "list_annotations": urlencode({"camera": "door", "start": HOUR_AGO, "end": NOW}),
    "delete_recordings": "camera=gone",
    "get_values": "processor=edges&name=area",
}

OF_DEVICES = {
    "get_ptz", "send_ptz_command", "get_device", "add_device_streams", "get_encoder", "update_encoder", "set_clock",
    "get_imaging", "update_imaging", "move_focus", "list_outputs", "set_output",
}  # fmt: skip
"""Operations that query the camera.

No engine runs here; tests/unit/api/test_device.py and tests/e2e/test_ptz.py call them.
"""
BACKTEST = {"processor": "edges", "before": {}, "after": {}, "changes": {}}
OF_PROCESSORS = {"get_processor_options", "update_processor_options", "get_view_failure", "create_backtest"}
"""Operations that need a processor reported by the engine: tests/unit/api/test_processor_options.py."""
VIEWER_MAY = {
    "get_me", "list_cameras", "get_camera", "list_streams", "list_views", "list_camera_views", "list_processors",
    "list_event_processors", "list_tokens", "create_token", "revoke_tokens", "create_link", "list_recordings",
    "get_timeline", "list_events", "mark_events_seen", "list_exports", "list_zones", "get_zone",
    "get_notifications", "update_notifications", "create_push_subscription",
}  # fmt: skip
STRANGER_MAY = {
    "get_me", "list_cameras", "list_streams", "list_views", "list_processors", "list_tokens", "create_token",
    "revoke_tokens", "list_recordings", "get_timeline", "list_events", "mark_events_seen", "list_exports",
    "get_notifications", "update_notifications", "create_push_subscription",
}  # fmt: skip


@dataclass(frozen=True)
class Route:
    path: str
    methods: tuple[str, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE")
    operations: dict[str, str] = field(default_factory=dict)
    """Method -> operation_id, of the API."""


def walk(patterns: list[Any], prefix: str = "") -> Iterator[Route]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            function = inspect.unwrap(pattern.callback)
            closure = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
            view = closure.get("self")
            if isinstance(view, PathView):
                operations = {m: str(o.operation_id) for o in view.operations for m in o.methods}
                yield Route(path, tuple(operations), operations)
            else:
                yield Route("api/v1/not-found" if pattern.name == "not-found" and path == "api/v1/" else path)


ROUTES = list(walk(get_resolver().url_patterns))
OPERATIONS = [(r, method, name) for r in ROUTES for method, name in r.operations.items()]
PAGES = [route for route in ROUTES if not route.operations and route.path not in OPEN]


@pytest.fixture
def world(camera: Camera, viewer: User, stranger: User, admin_user: User) -> dict[str, Any]:
    grant = CameraGrant.objects.get()
    Stream.objects.create(camera=camera, name="sub", url="rtsp://10.0.0.5/stream2")
    CameraZone.objects.create(camera=camera, name="lawn", points=[[0, 0], [1, 0], [1, 1]])
    ValueSeries.objects.create(camera=camera, processor="edges", name="area")
    token = ApiToken.objects.create(user=admin_user, name="t", prefix="abc", scopes=["*"])
    recording = Segment.objects.create(
        slug="door", path="door/2026-11-22/08/00-00.mp4", start_ns=NOW_NS - 10**11,
        end_ns=NOW_NS - 10**10, size_bytes=1, codec="h264", width_px=640, height_px=360,
    )  # fmt: skip
    Event.objects.create(slug="gone", kind="motion", start_ns=0, end_ns=0, source="user:root")
    event = Event.objects.create(
        slug="door", kind="motion", start_ns=time.time_ns() - 10**10, source="user:root"
    )
    export = Export.objects.create(
        slug="door", start_ns=0, end_ns=1, kind="copy", state="failed", created_by=viewer
    )
    backtest = Export.objects.create(
        slug="door", start_ns=0, end_ns=1, kind="backtest", state="failed", options=BACKTEST
    )
    Profile.objects.create(name="away")
    webhook = Webhook(name="Home")
    webhook.set_target("http://10.0.0.5/hook", "whsec_0123456789abcdef")
    webhook.save()
    delivery = WebhookDelivery.objects.create(
        webhook=webhook, event_id=event.pk, phase="begun", payload="{}", created_ns=0, next_try_ns=0
    )
    rule = Rule.objects.create(name="Night", notify=True)
    action = WebhookDelivery.objects.create(
        rule=rule,
        action="notify",
        event_id=event.pk,
        phase="begun",
        payload="{}",
        created_ns=0,
        next_try_ns=0,
    )
    choice = NotificationChoice.objects.create(user=admin_user)
    browser = PushSubscription(choice=choice, name="Firefox")
    browser.set_target("https://push.example.org/p/2", KEYS["p256dh"], KEYS["auth"])
    browser.save()
    layout = WallLayout.objects.create(owner=admin_user, name="Gates", cameras=[camera.pk])
    return {
        "user": viewer.pk,
        "group": Group.objects.create(name="guards").pk,
        "layout": layout.pk,
        "browser": browser.pk,
        "rule": rule.pk,
        "action": action.pk,
        "grant": grant.pk,
        "token": token.pk,
        "recording": recording.pk,
        "event": event.pk,
        "export": export.pk,
        "backtest": backtest.pk,
        "key": PublishKey.create(camera)[0].pk,
        "webhook": webhook.pk,
        "delivery": delivery.pk,
    }


def url_of(route: Route, world: dict[str, Any], method: str = "GET") -> str:
    path = route.path
    for placeholder, value in {
        "<slug:slug>": "door",
        "<slug:name>": "sub",
        "<slug:processor>": "edges",
        "<slug:view>": "edges",
        "<slug:zone>": "lawn",
        "<slug:profile>": "away",
        "<int:grant_id>": str(world["grant"]),
        "<int:token_id>": str(world["token"]),
        "<int:recording_id>": str(world["recording"]),
        "<int:event_id>": str(world["event"]),
        "<str:user_id>": str(world.get("user", 10**6)),
        "<int:group_id>": str(world.get("group", 10**6)),
        "<int:layout_id>": str(world.get("layout", 10**6)),
        "<int:key_id>": str(world["key"]),
        "<int:browser_id>": str(world.get("browser", 10**6)),
        "<int:webhook_id>": str(world.get("webhook", 10**6)),
        "<int:rule_id>": str(world.get("rule", 10**6)),
        "<int:delivery_id>": str(world.get("action" if "rules" in path else "delivery", 10**6)),
        "<uuid:export_id>": str(world["export"]),
        "<uuid:backtest_id>": str(world["backtest"]),
        "<uuidstr:backtest_id>": str(world["backtest"]),
        "<uuidstr:export_id>": str(world["export"]),
        "<path:object_id>": "1",
        "<int:content_type_id>": "1",
        "<path:content_type_id>": "1",
        "<path:path>": "x.js",
        "<path:profile>": "main",
        "<path:output>": "relay1",
        "<str:name>": "swagger-ui.css",
        "<str:link>": "forged:link",
        "<str:token>": "forged",
        "<id>": "1",
    }.items():
        path = path.replace(placeholder, value)
    path = path.replace("^", "").replace("\\Z", "").replace("$", "")
    if "(?P<app_label>" in path:
        path = path.partition("(?P<app_label>")[0] + "ninjacam/"
    if "(?P<url>" in path:
        path = path.partition("(?P<url>")[0] + "nowhere/"
    assert "<" not in path, f"say what stands for the parameter in {path}"
    query = QUERIES.get(route.operations.get(method, ""), "")
    return f"/{path}?{query}" if query else f"/{path}"


def ask(client: Client, route: Route, method: str, world: dict[str, Any]) -> Any:
    body = BODIES.get(route.operations.get(method, ""), {})
    arguments = {} if method == "GET" else {"data": body, "content_type": "application/json"}
    return (
        client.generic(method, url_of(route, world, method))
        if not arguments
        else getattr(client, method.lower())(url_of(route, world, method), **arguments)
    )


def test_the_walk_finds_the_routes() -> None:
    assert len(OPERATIONS) >= 19 and len(PAGES) >= 10
    assert {name for _, _, name in OPERATIONS} >= VIEWER_MAY


def test_all_exceptions_are_real_routes() -> None:
    assert set(OPEN) <= {route.path for route in ROUTES}


def test_operations_reject_anonymous_users(world: dict[str, Any], subtests: pytest.Subtests) -> None:
    forged = Client(headers={"Authorization": "Bearer nc_abc_" + "0" * 48})
    for route, method, name in OPERATIONS:
        with subtests.test(name), undone():
            response = ask(Client(), route, method, world)
            assert response.status_code == 401
            assert response["Content-Type"] == "application/problem+json"
            assert response.json()["code"] == "not_authenticated"
            assert ask(forged, route, method, world).status_code == 401


def test_operations_show_users_without_a_role_nothing(
    world: dict[str, Any], stranger: User, subtests: pytest.Subtests
) -> None:
    with staying_signed_in(stranger) as client:
        for route, method, name in OPERATIONS:
            with subtests.test(name), undone():
                response = ask(client, route, method, world)
                if name in STRANGER_MAY:
                    assert response.status_code in (200, 201, 204)
                    assert "door" not in response.content.decode()
                else:
                    assert response.status_code in (403, 404)
                    assert "10.0.0.5" not in response.content.decode()
                assert Camera.objects.get().name == "Back entrance"


def test_operations_let_a_viewer_only_view(
    world: dict[str, Any], viewer: User, subtests: pytest.Subtests
) -> None:
    with staying_signed_in(viewer) as client:
        for route, method, name in OPERATIONS:
            with subtests.test(name), undone():
                response = ask(client, route, method, world)
                assert response.status_code in ((200, 201, 204) if name in VIEWER_MAY else (403, 404))
                assert "10.0.0.5" not in response.content.decode()
                assert Camera.objects.get().name == "Back entrance"


def expected_status(method: str, name: str) -> int:
    """Return the status of an administrator's request."""
    if name in OF_DEVICES:
        return 503
    if name in OF_PROCESSORS or name == "get_event_snapshot":
        return 404
    if name.startswith(("probe", "discover")) or name == "create_publish_key":
        return 422
    if name in {"cancel_export", "retry_export", "retry_delivery", "retry_rule_delivery", "revoke_tokens"}:
        return 200
    is_empty = name in {"mark_events_seen", "mute_notifications", "test_push_subscription"}
    return 204 if is_empty else {"POST": 201, "DELETE": 204}.get(method, 200)


def test_operations_serve_an_administrator(
    world: dict[str, Any], admin_user: User, subtests: pytest.Subtests
) -> None:
    with staying_signed_in(admin_user) as client:
        for route, method, name in OPERATIONS:
            with subtests.test(name), undone():
                assert ask(client, route, method, world).status_code == expected_status(method, name)


def test_pages_reject_anonymous_users(world: dict[str, Any], subtests: pytest.Subtests) -> None:
    for route in PAGES:
        for method in route.methods:
            with subtests.test(f"{method} {route.path}"), undone():
                response = ask(Client(raise_request_exception=False), route, method, world)
                assert response.status_code in (302, 401, 403, 404, 405)
                if response.status_code == 302:
                    assert "login" in response["Location"]
                assert "door" not in response.content.decode()


def test_pages_show_users_without_a_role_nothing(
    world: dict[str, Any], stranger: User, subtests: pytest.Subtests
) -> None:
    with staying_signed_in(stranger) as client:
        for route in PAGES:
            with subtests.test(route.path), undone():
                for method in ("GET", "POST"):
                    response = ask(client, route, method, world)
                    text = response.content.decode()
                    assert response.status_code < 500
                    assert "Back entrance" not in text and "10.0.0.5" not in text
                    if "<slug:slug>" in route.path:
                        assert response.status_code in (404, 405)
                    if route.path.startswith("admin/"):
                        assert response.status_code in (302, 404)
                assert Camera.objects.get().name == "Back entrance"


def test_pages_show_a_viewer_no_source(
    world: dict[str, Any], viewer: User, subtests: pytest.Subtests
) -> None:
    with staying_signed_in(viewer) as client:
        for route in PAGES:
            with subtests.test(route.path), undone():
                for method in ("GET", "POST"):
                    response = ask(client, route, method, world)
                    assert response.status_code < 500
                    assert "10.0.0.5" not in response.content.decode()
                assert Camera.objects.get().name == "Back entrance"


def test_pages_show_an_administrator_no_credentials(
    world: dict[str, Any], admin_user: User, subtests: pytest.Subtests
) -> None:
    with staying_signed_in(admin_user) as client:
        for route in PAGES:
            with subtests.test(route.path), undone():
                response = ask(client, route, "GET", world)
                assert response.status_code in (200, 301, 302, 403, 404, 405)
                text = response.content.decode(errors="replace")
                assert "s3cret-of-the-camera" not in text and "user-of-the-camera" not in text


@pytest.mark.parametrize("path", [path for path, why in OPEN.items() if "ninjacam.asgi" in why])
def test_live_routes_report_missing_configuration(path: str, client: Client) -> None:
    path = path.replace("<slug:slug>", "door").replace("<int:segment_id>", "1")
    path = path.replace("<uuid:export_id>", "1c9e6679-7425-40de-944b-e07fc1f90ae7")
    response = client.get("/" + path)
    assert response.status_code == 503
    assert response["Content-Type"] == "application/problem+json"
