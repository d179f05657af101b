"""Guests receive one view: on every route, a real server opens nothing else for them.

The fake engine records which local streams the server opens. tests/e2e/test_guests.py shows the pictures.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from typing import Any
from urllib.parse import urlencode

import pytest

from ninjacam.core.packets import CameraState, Codec
from ninjacam.hub.request import WIDTHS_PX
from ninjacam.live.snapshot import AT_ONCE_OF_USER
from ninjacam.routes import ROUTES, Parameter, Route
from tests.integration.live_harness import (
    Engine,
    RawSocket,
    RawStream,
    Server,
    Site,
    prepare_site,
    running_server,
    subscribe,
    wait_until,
)
from tests.unit.test_route_table import example, path_of

HIDDEN = "private"
OTHERS = ("", "raw", "edges", HIDDEN)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = prepare_site(tmp_path_factory.mktemp("guests"))
    set_guest_view(site, HIDDEN)
    return site


@pytest.fixture(scope="module")
def engine(site: Site) -> Iterator[Engine]:
    with Engine(site.directory / "run") as engine:
        engine.cameras["door"].views = frozenset({"", "edges", HIDDEN})
        # So that MJPEG would be passed through unchanged.
        engine.cameras["door"].codec = Codec.MJPEG
        engine.cameras["door"].units = [(jpeg, True) for jpeg in engine.cameras["door"].jpegs]
        engine.write_status()
        yield engine


@pytest.fixture(scope="module")
def server(site: Site, engine: Engine) -> Iterator[Server]:
    with running_server(site, REAUTH_S=1) as server:
        yield server
    assert "Traceback" not in server.output


@pytest.fixture(autouse=True)
def clean(engine: Engine) -> None:
    """Forget what earlier tests opened, once it is closed."""
    wait_until(lambda: engine.subscribers("door") == {"packets": 0, "pixels": 0}, timeout_s=10)
    engine.call(engine.cameras["door"].pixels.clear)


def set_guest_view(site: Site, view: str) -> None:
    site.django(f"Camera.objects.filter(slug='door').update(guest_view={view!r})")


def opened(engine: Engine) -> tuple[set[str], int]:
    """Return the views of the camera that were requested, and the number of readers of its packets."""
    views = engine.call(lambda: {request.view for request in engine.cameras["door"].pixels})
    return set(views), engine.subscribers("door")["packets"]


def queries(route: Route) -> Iterator[str]:
    """Yield queries with each combination of a view and the other parameters."""
    required = {each.name: example(each) for each in route.parameters if each.required}
    required |= {"end": "2026-11-22T08:00:01Z"} if "start" in required else {}
    optional = [each.name for each in route.parameters if not each.required and each.name != "view"]
    for view, name in product(OTHERS, ("", *optional)):
        more = {name: {"stream": "main"}.get(name) or example(_parameter(route, name))} if name else {}
        yield urlencode({**required, **more, **({"view": view} if view else {})})


def _parameter(route: Route, name: str) -> Parameter:
    return next(each for each in route.parameters if each.name == name)


@pytest.mark.parametrize(
    "route",
    [each for each in ROUTES if each.protocol == "http" and "<slug:slug>" in each.pattern],
    ids=lambda route: route.name,
)
def test_each_route_of_a_camera_opens_only_the_view_for_guests(
    site: Site, engine: Engine, server: Server, route: Route
) -> None:
    """A new route that opens a feed without this decision fails here."""
    statuses = set()
    for query in queries(route):
        with RawStream(server.port, f"/cam/{path_of(route)}?{query}", site.cookie("viewer")) as stream:
            statuses.add(int(stream.head().split()[1]))
            views, readers = opened(engine)
            assert views <= {HIDDEN} and readers == 0, query
    if route.role == "view":
        assert statuses == {200, 403} and opened(engine)[0] == {HIDDEN}
    else:
        # Recordings show what the camera sends, so their roles are not those of guests.
        assert 403 in statuses and statuses <= {400, 403}


@pytest.mark.parametrize("form", ["annexb", "fmp4", "annotations"])
@pytest.mark.parametrize(
    "more", [{}, {"stream": "main"}, {"width": 320}, {"codecs": ["mjpeg"]}], ids=json.dumps
)
def test_a_subscription_opens_only_the_view_for_guests(
    site: Site, engine: Engine, server: Server, form: str, more: dict[str, object]
) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
        for number, view in enumerate(OTHERS):
            viewer.tell(op="subscribe", id=number, camera="door", view=view, format=form, **more)
        answers: dict[int, Any] = {}
        while len(answers) < len(OTHERS):
            told = viewer.receive_json()
            answers.setdefault(told["id"], told)
        views, readers = opened(engine)
        assert views == {HIDDEN} and readers == 0
        assert answers[OTHERS.index("edges")]["code"] == "forbidden"


def test_users_with_a_role_for_what_the_camera_sends_get_it(
    site: Site, engine: Engine, server: Server
) -> None:
    with RawStream(server.port, "/cam/live/door/mjpeg", site.bearer("admin")) as stream:
        assert " 200 " in stream.head().splitlines()[0]
        assert opened(engine) == (set(), 1), "the camera's own packets"


def test_a_stream_ends_when_an_administrator_sets_the_view(
    site: Site, engine: Engine, server: Server
) -> None:
    set_guest_view(site, "")
    try:
        with (
            RawStream(server.port, "/cam/live/door/mjpeg", site.bearer("viewer")) as stream,
            RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer,
        ):
            assert " 200 " in stream.head().splitlines()[0]
            viewer.tell(**subscribe(codecs=["mjpeg"]))
            wait_until(lambda: opened(engine)[1] == 1, timeout_s=10, what="the camera's own packets are read")
            set_guest_view(site, HIDDEN)
            wait_until(lambda: opened(engine)[1] == 0, timeout_s=10, what="nothing reads them")
            assert viewer.receive_json("error")["code"] == "forbidden"
    finally:
        set_guest_view(site, HIDDEN)


def test_a_snapshot_that_has_waited_for_its_turn_shows_the_view_that_was_set_meanwhile(
    site: Site, engine: Engine, server: Server
) -> None:
    """Eight of a user are made at once, each for up to five seconds."""

    def requested(view: str) -> int:
        return int(engine.call(lambda: sum(each.view == view for each in engine.cameras["door"].pixels)))

    set_guest_view(site, "")
    engine.set_state("door", CameraState.CONNECTING)
    try:
        with ExitStack() as stack:
            for width in WIDTHS_PX:
                path = f"/cam/live/door/snapshot.jpg?width={width}"
                stack.enter_context(RawStream(server.port, path, site.cookie("viewer")))
            wait_until(lambda: requested("") == AT_ONCE_OF_USER, timeout_s=10, what="the others wait")
            with RawStream(server.port, "/cam/live/yard/snapshot.jpg", site.bearer("admin")) as last:
                assert " 200 " in last.head().splitlines()[0], "all others were authorized before this one"
            set_guest_view(site, HIDDEN)
            waiting = len(WIDTHS_PX) - AT_ONCE_OF_USER
            wait_until(lambda: requested(HIDDEN) == waiting, timeout_s=20, what="the others have their turn")
            assert requested("") == AT_ONCE_OF_USER
    finally:
        engine.set_state("door", CameraState.LIVE)
        set_guest_view(site, HIDDEN)
