"""Access to live video and its revocation: a real server, real sessions, tokens and origins."""

import contextlib
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from ninjacam.core.packets import CameraState
from ninjacam.routes import ROUTES, Route
from tests.harness.fair_clock import fair_s
from tests.integration.live_harness import (
    Engine,
    RawSocket,
    RawStream,
    Server,
    Site,
    prepare_site,
    running_server,
    subscribe,
)
from tests.unit.test_route_table import example, path_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return prepare_site(tmp_path_factory.mktemp("access"))


@pytest.fixture(scope="module")
def engine(site: Site) -> Iterator[Engine]:
    with Engine(site.directory / "run") as engine:
        yield engine


@pytest.fixture(scope="module")
def server(site: Site, engine: Engine) -> Iterator[Server]:
    with running_server(site, REAUTH_S=1) as server:
        yield server
    assert "Traceback" not in server.output


PATHS = ("/cam/live/door/mjpeg", "/cam/live/door/snapshot.jpg")


@pytest.mark.parametrize("path", PATHS)
def test_anonymous_users_see_nothing(site: Site, server: Server, path: str) -> None:
    for headers in (
        {},
        {"Cookie": "sessionid=abc"},
        {"Authorization": "Bearer nc_x_y"},
        {"Authorization": "Basic eDp5"},
    ):
        answer = server.get(path, headers)
        assert (answer.status, answer.json()["code"]) == (401, "not_authenticated")
        assert answer.headers["www-authenticate"] == 'Bearer realm="ninjacam"'
    assert server.get(path + "?sig=abc").status == 401


@pytest.mark.parametrize(
    "route", [each for each in ROUTES if each.role and each.protocol == "http"], ids=lambda each: each.name
)
def test_each_row_of_the_route_table_requires_a_login_and_its_role(
    site: Site, server: Server, route: Route
) -> None:
    query = {each.name: example(each) for each in route.parameters if each.required}
    query |= {"end": "2026-11-22T08:00:01Z"} if "start" in query else {}
    path = f"/cam/{path_of(route)}?{urlencode(query)}"
    assert server.get(path).status == 401
    assert server.get(path, site.cookie("stranger")).status == 404
    if route.role != "view":
        refused = server.get(path, site.cookie("viewer"))
        assert refused.status == 403 and f"role “{route.role}”" in refused.json()["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_a_camera_that_a_user_may_not_view_returns_404(site: Site, server: Server, path: str) -> None:
    unknown = server.get(path.replace("door", "nothing"), site.cookie("stranger"))
    hidden = server.get(path, site.cookie("stranger"))
    assert unknown.status == hidden.status == 404
    assert unknown.json()["code"] == hidden.json()["code"] == "not_found"


@pytest.mark.parametrize("path", PATHS)
def test_a_token_with_another_scope_does_not_reveal_the_camera(site: Site, server: Server, path: str) -> None:
    assert server.get(path, site.bearer("viewer", "narrow")).status == 404


def test_a_cookie_does_not_compensate_for_a_bad_token(site: Site, server: Server) -> None:
    headers = {**site.cookie("viewer"), "Authorization": "Bearer nc_x_y"}
    assert server.get(PATHS[1], headers).status == 401


def test_an_unknown_host_is_rejected(site: Site, server: Server) -> None:
    with RawStream(server.port, PATHS[0], {**site.bearer("viewer"), "X-Other": "1"}) as stream:
        assert " 200 " in stream.head().splitlines()[0]
    answer = server.get(PATHS[1], {**site.bearer("viewer"), "Host": "evil.example"})
    assert (answer.status, answer.json()["code"]) == (400, "host")


def close_code(server: Server, headers: dict[str, str]) -> int | None:
    with RawSocket(server.port, "/cam/live/ws", headers) as viewer:
        viewer.tell(op="ping", t=1)
        return None if isinstance(viewer.receive(), str) else viewer.close_code


def test_a_socket_requires_a_login_and_a_page_of_the_same_origin(site: Site, server: Server) -> None:
    cookie = site.cookie("viewer")
    assert close_code(server, {}) == 4401
    assert close_code(server, cookie) == 4403, "a cookie without Origin"
    assert close_code(server, {**cookie, "Origin": "http://evil.example"}) == 4403
    assert close_code(server, {**cookie, "Origin": "null"}) == 4403
    assert close_code(server, {**cookie, "Origin": f"https://127.0.0.1:{server.port}"}) == 4403
    assert close_code(server, {**cookie, "Origin": f"http://127.0.0.1:{server.port}"}) is None
    assert close_code(server, {**cookie, "Origin": "https://trusted.example"}) is None
    assert close_code(server, {**cookie, "Origin": "https://a.wild.example"}) is None
    assert close_code(server, {**cookie, "Origin": "http://a.wild.example"}) == 4403
    assert close_code(server, site.bearer("viewer")) is None
    assert close_code(server, {**site.bearer("viewer"), "Origin": "http://evil.example"}) == 4403


def sign(site: Site, query: dict[str, str], path: str = PATHS[0], view: str = "") -> str:
    return site.django(
        "from ninjacam import auth, signing\n"
        "from django.contrib.auth import get_user_model\n"
        "user = get_user_model().objects.get(username='viewer')\n"
        "principal = auth.Principal(user, 'session')\n"
        "camera = Camera.objects.get(slug='door')\n"
        f"link = auth.link_for(principal, camera, path={path!r}, query={query!r}, view={view!r}, lifetime_s=60)\n"
        "print(signing.sign(link), end='')"
    )


def test_a_signed_link_opens_only_its_view(site: Site, server: Server) -> None:
    signature = sign(site, {"width": "320"}, PATHS[1])
    assert server.get(f"{PATHS[1]}?width=320&sig={signature}").status == 200
    assert server.get(f"{PATHS[1]}?width=640&sig={signature}").status == 401
    assert server.get(f"{PATHS[0]}?width=320&sig={signature}").status == 401


def test_a_signed_link_opens_the_socket_for_its_camera(site: Site, server: Server) -> None:
    signature = sign(site, {}, "/cam/live/ws")
    with RawSocket(server.port, f"/cam/live/ws?sig={signature}", {}) as viewer:
        viewer.tell(**subscribe(1, view="edges"))
        assert viewer.receive_json("error")["code"] == "forbidden"
        viewer.tell(**subscribe(2))
        viewer.receive_frame()


SPAN = "start=2026-11-22T08:00:00Z&end=2026-11-22T08:01:00Z"
HIDDEN_PATHS = (
    "/cam/live/vault/mjpeg",
    "/cam/live/vault/mjpeg?view=edges",
    "/cam/live/vault/snapshot.jpg",
    f"/cam/rec/vault/hls.m3u8?{SPAN}",
    f"/cam/rec/vault/clip.mp4?{SPAN}",
    f"/cam/rec/vault/clip.mp4?{SPAN}&download=1",
    "/cam/rec/vault/at.jpg?time=2026-11-22T08:00:00Z",
    "/cam/rec/vault/segment/SEGMENT.mp4",
    "/cam/rec/vault/export/1c9e6679-7425-40de-944b-e07fc1f90ae7.mp4",
)
HIDDEN_WISHES = (
    subscribe(1, "vault"),
    subscribe(2, "vault", view="edges"),
    subscribe(3, "vault", form="fmp4"),
    subscribe(4, "vault", view="edges", form="annotations"),
    subscribe(5, "vault", view="no-such-view"),
)


def answers_about_vault(site: Site, server: Server, link: str, segment: str) -> list[object]:
    """Return all that an anonymous client, two narrow tokens and a link can learn about the camera `vault`."""
    origin = {"Origin": f"http://127.0.0.1:{server.port}"}
    askers = [site.cookie("stranger"), site.bearer("viewer", "narrow"), site.bearer("admin", "narrow")]
    answers: list[object] = []
    for path in HIDDEN_PATHS:
        for headers in askers:
            for method in ("GET", "HEAD", "POST"):
                answer = server.get(path.replace("SEGMENT", segment), headers, method)
                answer.headers.pop("date", None)
                answers.append((path, answer.status, sorted(answer.headers.items()), answer.body))
    sockets = [("/cam/live/ws", {**headers, **origin}) for headers in askers]
    for path, headers in [*sockets, (f"/cam/live/ws?sig={link}", {})]:
        with RawSocket(server.port, path, headers) as socket:
            for wish in HIDDEN_WISHES:
                socket.tell(**wish)
                answers.append(socket.receive())
    return answers


def test_hidden_and_missing_cameras_return_identical_bytes(site: Site, server: Server) -> None:
    link = sign(site, {}, "/cam/live/ws")
    segment = site.django(
        "Camera.objects.create(slug='vault', url='rtsp://vault.test/')\n"
        "row = Segment.objects.create(slug='vault', path='vault/1.mp4', start_ns=1, end_ns=2, size_bytes=1,"
        " codec='h264', width_px=2, height_px=2)\n"
        "Export.objects.create(pk='1c9e6679-7425-40de-944b-e07fc1f90ae7', slug='vault', start_ns=0, end_ns=1,"
        " kind='copy')\n"
        "print(row.pk, end='')"
    )
    hidden = answers_about_vault(site, server, link, segment)
    site.django("for model in (Camera, Segment, Export): model.objects.filter(slug='vault').delete()\n")
    absent = answers_about_vault(site, server, link, segment)
    assert len(hidden) == 3 * 3 * len(HIDDEN_PATHS) + 4 * len(HIDDEN_WISHES)
    for one, other in zip(hidden, absent, strict=True):
        assert one == other


def test_a_missing_role_is_named_in_the_403_of_streams_and_recordings_and_sockets(
    site: Site, server: Server
) -> None:
    """One role makes the camera known. The same rule applies to the API and to pages."""
    camera, user = "Camera.objects.get(slug='yard')", "get_user_model().objects.get(username='viewer')"
    start = "from django.contrib.auth import get_user_model\n"
    site.django(f"{start}CameraGrant.objects.create(camera={camera}, user={user}, role='replay')\n")
    try:
        for path, role in (
            ("/cam/live/yard/mjpeg", "view"),
            ("/cam/live/yard/snapshot.jpg", "view"),
            (f"/cam/rec/yard/clip.mp4?{SPAN}&download=1", "export"),
            ("/cam/rec/yard/export/1c9e6679-7425-40de-944b-e07fc1f90ae7.mp4", "export"),
        ):
            answer = server.get(path, site.bearer("viewer"))
            assert (answer.status, answer.json()["code"]) == (403, "forbidden")
            assert f"role “{role}”" in answer.json()["detail"]
        assert (
            server.get(f"/cam/rec/yard/clip.mp4?{SPAN}", site.bearer("viewer")).json()["code"]
            == "no_recording"
        )
        with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as socket:
            socket.tell(**subscribe(1, "yard"))
            refused = socket.receive_json("error")
            assert refused["code"] == "forbidden" and "role “view”" in refused["message"]
    finally:
        site.django(f"CameraGrant.objects.filter(camera={camera}, role='replay').delete()\n")


def test_a_link_does_not_open_the_next_camera_with_that_name(
    site: Site, engine: Engine, server: Server
) -> None:
    signature = sign(site, {}, PATHS[1])
    assert server.get(f"{PATHS[1]}?sig={signature}").status == 200
    site.django(
        "old = Camera.objects.get(slug='door'); old.slug = 'old-door'; old.save()\n"
        "from django.contrib.auth import get_user_model as model\n"
        "new = Camera.objects.create(slug='door', url='rtsp://new.test/')\n"
        "CameraGrant.objects.create(camera=new, role='view', user=model().objects.get(username='viewer'))"
    )
    try:
        assert server.get(PATHS[1], site.bearer("viewer")).status == 200, "the owner may see the new one"
        assert server.get(f"{PATHS[1]}?sig={signature}").status == 404
    finally:
        site.django(
            "Camera.objects.filter(slug='door').delete()\n"
            "old = Camera.objects.get(slug='old-door'); old.slug = 'door'; old.save()"
        )


def test_a_stream_ends_with_the_token_that_created_its_token(
    site: Site, engine: Engine, server: Server
) -> None:
    child = site.django(
        "from ninjacam.auth import principal_from\n"
        "from ninjacam.actions.tokens import create_token\n"
        f"who = principal_from(cookies={{}}, authorization={site.bearer('viewer')['Authorization']!r})\n"
        "parent, secret = create_token(who, who.user, 'parent', ['*'])\n"
        "who = principal_from(cookies={}, authorization='Bearer ' + secret)\n"
        "print(create_token(who, who.user, 'child', ['view'])[1], end='')"
    )
    with RawStream(server.port, PATHS[0], {"Authorization": f"Bearer {child}"}) as stream:
        stream.read_until(b"--ninjacam\r\n")
        site.django(
            "from ninjacam.auth import LocalOperator\n"
            "from ninjacam.actions.tokens import revoke_token\n"
            "revoke_token(LocalOperator(), ApiToken.objects.get(name='parent'))"
        )
        stream.read_until(b"\r\n0\r\n\r\n")


def test_viewers_by_link_do_not_use_slots_of_its_owner(site: Site, engine: Engine) -> None:
    signature = sign(site, {}, PATHS[0])
    with running_server(site, MAX_VIEWERS_PER_WORKER=32) as server, contextlib.ExitStack() as streams:

        def watch(path: str, headers: dict[str, str]) -> int:
            stream = streams.enter_context(RawStream(server.port, path, headers))
            return int(stream.head().split()[1])

        by_link = [watch(f"{PATHS[0]}?sig={signature}", {}) for _ in range(6)]
        assert by_link == [200, 200, 429, 429, 429, 429], "a sixteenth for one link and address"
        assert [watch(PATHS[0], site.bearer("viewer")) for _ in range(8)] == [200] * 8


@pytest.mark.parametrize("state", [CameraState.RECONNECTING, CameraState.FAILED])
def test_only_users_who_may_configure_a_camera_read_its_address_in_errors(
    site: Site, engine: Engine, server: Server, state: CameraState
) -> None:
    error = {"code": "connection_refused", "message": "10.0.0.5 refuses port 554.", "retryable": True}
    try:
        engine.set_state("door", state, error)
        for name, knows in (("viewer", False), ("admin", True)):
            with RawSocket(server.port, "/cam/live/ws", site.bearer(name)) as viewer:
                viewer.tell(**subscribe())
                messages = [viewer.receive_json("state")["message"]]
                viewer.tell(**subscribe(2, view="edges"))
                messages.append(viewer.receive_json("state")["message"])
            answer = server.get(PATHS[1], site.bearer(name))
            assert answer.status == 503 and answer.json()["code"] == "connection_refused"
            messages.append(answer.json()["detail"])
            for message in messages:
                assert ("10.0.0.5" in message) is knows
                assert knows or message == "The camera refuses the connection."
        signature = sign(site, {}, PATHS[1])
        assert b"10.0.0.5" not in server.get(f"{PATHS[1]}?sig={signature}").body
    finally:
        engine.set_state("door", CameraState.LIVE)


def test_viewers_are_disconnected_when_they_lose_their_permission(
    site: Site, engine: Engine, server: Server
) -> None:
    with (
        RawStream(server.port, PATHS[0], site.cookie("viewer")) as stream,
        RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer,
        RawSocket(server.port, "/cam/live/ws", site.bearer("admin")) as other,
    ):
        stream.read_until(b"--ninjacam\r\n")
        for socket in (viewer, other):
            socket.tell(**subscribe())
            socket.receive_frame()
        site.django("CameraGrant.objects.all().delete()")
        begun = fair_s()
        try:
            assert viewer.receive_json("error")["code"] == "forbidden"
            stream.read_until(b"\r\n0\r\n\r\n")
            assert fair_s() - begun < 5.0
            viewer.tell(**subscribe(2))
            assert viewer.receive_json("error")["code"] == "not_found"
            other.receive_frame()
        finally:
            site.django(
                "from django.contrib.auth import get_user_model as model\n"
                "CameraGrant.objects.create(camera=Camera.objects.get(slug='door'), role='view',"
                " user=model().objects.get(username='viewer'))"
            )


def test_a_viewer_is_disconnected_when_the_session_ends(site: Site, engine: Engine, server: Server) -> None:
    key = site.users["viewer"]["cookie"].partition("=")[2]
    sessions = "from django.contrib.sessions.models import Session\n"
    rows = site.django(sessions + f"print(Session.objects.get(pk={key!r}).session_data, end='')")
    with RawStream(server.port, PATHS[0], site.cookie("viewer")) as stream:
        stream.read_until(b"--ninjacam\r\n")
        site.django(sessions + f"Session.objects.get(pk={key!r}).delete()")
        try:
            stream.read_until(b"\r\n0\r\n\r\n")
        finally:
            site.django(
                sessions + "from django.utils import timezone; from datetime import timedelta\n"
                f"Session.objects.create(pk={key!r}, session_data={rows!r},"
                " expire_date=timezone.now() + timedelta(days=1))"
            )


def test_streams_survive_a_database_restart_and_end_when_it_stays_away(
    site: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVE_TEST_AWAY_GRACE_S", "4")
    path = site.directory / "db.sqlite3"
    hidden = path.with_suffix(".away")

    def take_away() -> None:
        path.rename(hidden)  # new connections find a database without tables

    def bring_back() -> None:
        hidden.replace(path)

    with (
        running_server(site, REAUTH_S=0.5) as server,
        RawStream(server.port, PATHS[0], site.cookie("viewer")) as stream,
        RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer,
    ):

        def watch(seconds: float) -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                stream.read_until(b"--ninjacam\r\n")
                viewer.receive_frame()

        viewer.tell(**subscribe())
        watch(0.5)
        for _ in range(2):  # each time, the grace period restarts
            take_away()
            try:
                watch(2.0)
                assert server.get(PATHS[1], site.bearer("viewer")).status == 503
                assert close_code(server, site.bearer("viewer")) == 1013
                viewer.tell(**subscribe(7))
                assert viewer.receive_json("error")["code"] == "database"
            finally:
                bring_back()
            watch(2.0)
        take_away()
        try:
            stream.read_until(b"\r\n0\r\n\r\n")
            assert viewer.read_close() == 1001
            assert server.get(PATHS[0], site.cookie("viewer")).status == 503
        finally:
            bring_back()
        assert server.get(PATHS[1], site.cookie("viewer")).status == 200
    assert "Traceback" not in server.output
