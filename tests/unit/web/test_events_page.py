"""The page with events as cards."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from ninjacam.actions import word_search
from ninjacam.core.times import to_ns
from ninjacam.models import Camera, CameraGrant, Event, EventEmbedding, Export, SeenEvent, Segment
from ninjacam.web.event_cards import AFTER_NS, BEFORE_NS, MAX_NAMES
from ninjacam.web.events_page import MAX_KINDS, PAGE
from tests.unit.actions.test_embeddings import install
from tests.unit.api.test_device import with_role
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db
PATH = "/events/"
S = 10**9


def make(camera: Camera, *, ago_s: float = 60, lasts_s: float | None = 5, **fields: Any) -> Event:
    start_ns = to_ns(timezone.now()) - int(ago_s * S)
    end_ns = None if lasts_s is None else start_ns + int(lasts_s * S)
    given = {"kind": "person", "source": "processor", **fields}
    return Event.objects.create(slug=camera.slug, start_ns=start_ns, end_ns=end_ns, **given)


def html(client: Client, **query: Any) -> str:
    response = client.get(PATH, query)
    assert response.status_code == 200
    return response.content.decode()


def ids(page: str) -> list[int]:
    return [int(found) for found in re.findall(r'data-event="(\d+)"', page)]


@pytest.fixture
def guard(camera: Camera) -> Client:
    return with_role("guard", camera, "replay")


def test_events_are_cards_newest_first_with_image_clip_and_link(guard: Client, camera: Camera) -> None:
    old = make(camera, ago_s=90, label="<b>postman</b>", score=0.5, box=[0.1, 0.2, 0.3, 0.4], snapshot_ns=5)
    new = make(camera, ago_s=30, lasts_s=None, zones=" gate ")
    page = html(guard)
    assert ids(page) == [new.pk, old.pk]
    assert "&lt;b&gt;postman" in page and "<b>postman" not in page and "0.50" in page and "gate" in page
    assert page.count("<img src=") - page.count("icon.svg") + 1 == 1
    assert f'src="/api/v1/events/{old.pk}/snapshot.jpg"' in page and 'data-box="0.1 0.2 0.3 0.4"' in page
    assert page.count('data-clip="/rec/door/clip.mp4?start=') == 2
    assert 'href="/cameras/door/?time=' in page
    assert 'class="badge now"' in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {"cat", "car"}), ({"kind": "car"}, {"car"}), ({"label": "FELIX"}, {"cat"}), ({"zone": "gate"}, {"car"}),
        ({"min_score": "0.6"}, {"car"}), ({"color": "red"}, {"car"}), ({"unseen": "on"}, {"car"}),
        ({"camera": "door"}, {"cat", "car"}), ({"span": "month"}, {"cat", "car", "old"}),
    ],
)  # fmt: skip
def test_filters(guard: Client, camera: Camera, query: dict[str, str], found: set[str]) -> None:
    cat = make(camera, kind="cat", label="Felix", score=0.5)
    make(camera, kind="car", zones=" gate ", score=0.7, color_bits=1 << 3)
    make(camera, kind="old", ago_s=20 * 86400)
    SeenEvent.objects.create(event=cat, user=User.objects.get(username="guard"))
    shown = ids(html(guard, **query))
    assert set(Event.objects.filter(pk__in=shown).values_list("kind", flat=True)) == found


def test_a_day_is_a_day_of_the_project(guard: Client, camera: Camera, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Seoul"
    timezone.deactivate()
    inside = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)  # 00:30 on March 5 in Seoul
    for start in (inside, inside - timedelta(hours=1), inside + timedelta(hours=24)):
        Event.objects.create(
            slug=camera.slug, kind="a", source="x", start_ns=to_ns(start), end_ns=to_ns(start) + 1
        )
    page = html(guard, day="2026-03-05")
    assert ids(page) == [Event.objects.get(start_ns=to_ns(inside)).pk]
    assert "00:30:00" in page and "Thursday, 5 March 2026" in page
    assert ids(html(guard, day="9999-12-31")) == ids(html(guard, day="0001-01-01")) == []


def test_wrong_filters_are_named_and_the_page_works(guard: Client, camera: Camera) -> None:
    make(camera)
    for query in (
        {"min_score": "x"},
        {"day": "tomorrow"},
        {"span": "x"},
        {"camera": "nowhere"},
        {"kind": "x" * 99},
    ):
        page = html(guard, **query)
        assert page.count('<p class="alert" role="alert">') == 1 and len(ids(page)) == 1, query
    assert len(ids(html(guard, after="nonsense"))) == 1
    assert html(guard, label="\x00") and html(guard, kind="\x00")


def test_kinds_are_counted_and_can_be_chosen(guard: Client, camera: Camera) -> None:
    for kind in ("car", "person", "person"):
        make(camera, kind=kind)
    page = html(guard, span="day")
    assert re.findall(r'href="(\?[^"]*kind=\w+)">(\w+) <span class="count">(\d+)', page) == [
        ("?span=day&amp;kind=person", "person", "2"),
        ("?span=day&amp;kind=car", "car", "1"),
    ]
    chosen = html(guard, span="day", kind="car")
    assert 'href="?span=day" aria-current="page">car' in chosen
    assert re.findall(r'class="count">(\d+)', chosen) == ["2", "1"]


def test_a_chosen_kind_without_events_can_be_removed(guard: Client, camera: Camera) -> None:
    make(camera)
    page = html(guard, span="day", kind="rare_kind")
    assert ids(page) == [] and 'href="?span=day" aria-current="page">rare kind <span class="count">0' in page
    for number in range(MAX_KINDS + 1):
        make(camera, kind=f"kind_{number:02}")
    last = html(guard, span="day", kind=f"kind_{MAX_KINDS:02}")
    assert last.count('class="count"') == MAX_KINDS + 1 and len(ids(last)) == 1
    wrong = html(guard, span="day", kind="x" * 99)
    assert (
        ' aria-current="page">' not in wrong.split('class="views kinds"')[1]
        and len(ids(wrong)) == MAX_KINDS + 2
    )


@pytest.mark.parametrize(
    ("lasts_s", "shown"), [(0, ""), (None, "now"), (8, "0:08"), (300, "5:00"), (4000, "1:06:40")]
)
def test_durations_are_minutes_and_seconds(
    guard: Client, camera: Camera, lasts_s: float | None, shown: str
) -> None:
    make(camera, ago_s=5000, lasts_s=lasts_s)
    page = html(guard)
    assert re.findall(r'class="badge(?: now)?">([^<]*)<', page) == ([shown] if shown else [])


def test_new_events_are_announced_only_where_the_page_can_decide_whether_they_belong(guard: Client) -> None:
    assert "data-since=" in html(guard) and "data-since=" in html(guard, kind="car", unseen="on")
    for query in ({"label": "x"}, {"zone": "x"}, {"min_score": "0.5"}, {"color": "red"}, {"after": "1~1"}):
        assert "data-since=" not in html(guard, **query), query


def test_dates_are_in_the_order_of_the_language(guard: Client, camera: Camera) -> None:
    make(camera, ago_s=3 * 86400)
    at = timezone.localtime(Event.objects.get().start)
    page = guard.get(PATH, headers={"Accept-Language": "ko"}).content.decode()
    assert f"{at.year}년 {at.month}월 {at.day}일 " in page


def test_older_events_are_on_the_next_page(guard: Client, camera: Camera) -> None:
    made = [make(camera, ago_s=60 + number) for number in range(PAGE + 2)]
    page = html(guard, unseen="on")
    assert ids(page) == [event.pk for event in made[:PAGE]]
    older = re.findall(r'rel="next" href="([^"]+)"', page)[0].replace("&amp;", "&")
    assert "unseen=on" in older
    last = guard.get(PATH + older).content.decode()
    assert ids(last) == [event.pk for event in made[PAGE:]] and "rel=" not in last.split("<main")[1]


def test_nobody_sees_events_of_cameras_that_they_may_not_replay(guard: Client, camera: Camera) -> None:
    gate = Camera.objects.create(slug="gate", url="rtsp://192.0.2.1/")
    hidden = make(gate, label="secret", kind="burglary")
    CameraGrant.objects.create(camera=gate, user=User.objects.get(username="guard"), role="view")
    page = html(guard)
    assert "secret" not in page and "burglary" not in page and ids(page) == []
    assert guard.post(PATH, {"event": hidden.pk, "do": "seen"}).status_code == 302
    assert not SeenEvent.objects.exists()
    assert guard.post(PATH, {"event": hidden.pk, "do": "delete"}).status_code == 409
    assert Event.objects.filter(pk=hidden.pk).exists()
    visitor = with_role("visitor", camera, "view")
    assert (
        "do not have access" in html(visitor) and 'href="/events/"' not in visitor.get("/").content.decode()
    )
    assert 'href="/events/"' in guard.get("/").content.decode()


def test_seen_is_per_user_and_can_be_taken_back(guard: Client, camera: Camera) -> None:
    event = make(camera)
    other = with_role("other", camera, "replay")
    assert guard.post(PATH + "?span=day", {"event": event.pk, "do": "seen"})["Location"] == PATH + "?span=day"
    guard.post(PATH, {"event": event.pk, "do": "seen"})
    assert 'class="event seen"' in html(guard)
    page = html(other)
    assert 'class="event"' in page and 'title="Seen by guard"' in page
    guard.post(PATH, {"event": event.pk, "do": "unseen"})
    assert 'class="event"' in html(guard)


def test_a_card_names_few_of_many_users(guard: Client, camera: Camera) -> None:
    event = make(camera)
    users = User.objects.bulk_create(User(username=f"user-{number:02}") for number in range(MAX_NAMES + 5))
    SeenEvent.objects.bulk_create(SeenEvent(event=event, user=user) for user in users)
    page = html(guard)
    assert f"user-{MAX_NAMES - 1:02}, …" in page and f"user-{MAX_NAMES:02}" not in page
    SeenEvent.objects.create(event=event, user=User.objects.get(username="guard"))
    assert 'class="event seen"' in html(guard)


def test_the_navigation_marks_the_page(guard: Client) -> None:
    for path, name in ((PATH, "Events"), ("/", "Cameras")):
        page = guard.get(path).content.decode()
        assert re.findall(r'<a href="[^"]*" aria-current="page">(\w+)</a>', page.split("<main")[0]) == [name]


def test_several_events_are_protected_and_deleted_by_those_who_may(guard: Client, camera: Camera) -> None:
    events = [make(camera), make(camera)]
    chosen = [event.pk for event in events]
    refused = guard.post(PATH, {"event": chosen, "do": "protect"})
    assert refused.status_code == 409 and "control" in refused.content.decode()
    assert refused.content.decode().count('<p class="alert" role="alert">') == 1
    assert 'value="delete"' not in html(guard)
    user = User.objects.get(username="guard")
    for role in ("control", "export"):
        CameraGrant.objects.create(camera=camera, user=user, role=role)
    assert 'value="delete"' in html(guard)
    assert guard.post(PATH, {"event": chosen, "do": "protect"}).status_code == 302
    assert Event.objects.filter(protected=True).count() == 2
    assert guard.post(PATH, {"event": chosen[:1], "do": "release"}).status_code == 302
    assert guard.post(PATH, {"event": chosen[1:], "do": "delete"}).status_code == 302
    assert list(Event.objects.values_list("pk", "protected")) == [(chosen[0], False)]
    for body in (
        {"do": "delete"},
        {"event": ["x", "9" * 30], "do": "delete"},
        {"event": chosen[0], "do": "explode"},
    ):
        assert guard.post(PATH, body).status_code == 409


def test_the_number_of_queries_does_not_depend_on_the_number_of_events(
    guard: Client, camera: Camera, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        make(camera, ago_s=number + 1)
    with django_assert_max_num_queries(20):
        html(guard)


def record(camera: Camera) -> None:
    """Create the index of a quarter of an hour, one file for each minute."""
    now_ns = to_ns(timezone.now())
    for minute in range(15):
        Segment.objects.create(
            slug=camera.slug, path=f"{camera.slug}/{minute}.mp4", start_ns=now_ns - (minute + 1) * 60 * S,
            end_ns=now_ns - minute * 60 * S, size_bytes=1, codec="h264", width_px=640, height_px=360,
        )  # fmt: skip


def test_chosen_events_are_exported_with_some_seconds_around_them(camera: Camera) -> None:
    guard = with_role("exporter", camera, "export")
    CameraGrant.objects.create(camera=camera, user=User.objects.get(username="exporter"), role="replay")
    record(camera)
    past, ongoing = make(camera, ago_s=600), make(camera, ago_s=60, lasts_s=None)
    assert 'value="export"' in html(guard) and 'href="/exports/"' in html(guard)
    answer = guard.post(PATH, {"event": [past.pk, ongoing.pk], "do": "export"})
    assert (answer.status_code, answer.get("Location")) == (302, "/exports/")
    first, second = Export.objects.order_by("start_ns")
    assert (first.start_ns, first.end_ns) == (past.start_ns - BEFORE_NS, past.start_ns + 5 * S + AFTER_NS)
    assert first.kind == "copy" and second.start_ns == ongoing.start_ns - BEFORE_NS
    assert 0 <= to_ns(timezone.now()) - second.end_ns < 60 * S


def test_exports_beyond_the_limit_are_refused_and_the_others_named(
    camera: Camera, yard: Camera, guard: Client, settings: Any
) -> None:
    settings.NINJACAM = {**settings.NINJACAM, "ACTIVE_EXPORTS_PER_USER": 2}
    event, hidden = make(camera), make(yard)
    assert 'value="export"' not in html(guard)
    answer = guard.post(PATH, {"event": [event.pk], "do": "export"})
    assert answer.status_code == 409 and "need the role" in answer.content.decode()
    CameraGrant.objects.create(camera=camera, user=User.objects.get(username="guard"), role="export")
    record(camera)
    chosen = [event.pk, make(camera).pk, make(camera).pk, hidden.pk]
    text = guard.post(PATH, {"event": chosen, "do": "export"}).content.decode()
    assert "2 events are being exported." in text and "2 exports waiting or running" in text
    assert f"No event {hidden.pk}" in text and Export.objects.count() == 2


def test_a_search_shows_the_best_matches_first(
    guard: Client, camera: Camera, yard: Camera, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = install(run_dir)
    vectors = {"red": [1, -1, -1, 0, 0, 0, 0, 0], "blue": [-1, -1, 1, 0, 0, 0, 0, 0]}
    asked: list[str] = []

    def run(module: str, question: bytes, timeout_s: float, *, bare: bool) -> bytes:
        asked.append(json.loads(question)["text"])
        return json.dumps({"vector": vectors["red"]}).encode()

    monkeypatch.setattr(word_search, "run_module", run)
    word_search._kept.clear()
    blue, red, hidden = make(camera, ago_s=5), make(camera, ago_s=50, kind="car"), make(yard)
    for event, color in ((blue, "blue"), (red, "red"), (hidden, "red")):
        vector = np.array(vectors[color], "<f2").tobytes()
        EventEmbedding.objects.create(event=event, model=model.spec.version, vector=vector)
    assert 'name="search"' in html(guard)
    page = html(guard, search="red <car>")
    assert ids(page) == [red.pk, blue.pk] and asked == ["red <car>"]
    assert "Best matches" in page and 'value="red &lt;car&gt;"' in page and "data-since" not in page
    assert "search=red+%3Ccar%3E&amp;kind=car" in page, "a kind keeps the words"
    assert ids(html(guard, search="red <car>", kind="person")) == [blue.pk]
    long = html(guard, search="x" * 201)
    assert len(ids(long)) == 2 and "at most 200 characters" in long
    assert ids(html(guard, search="red", span="day", day="2020-01-01")) == []


def test_without_a_model_the_page_says_what_to_install(guard: Client, camera: Camera, run_dir: Path) -> None:
    make(camera)
    page = html(guard)
    assert 'name="search"' not in page and "install a model" not in page
    page = html(guard, search="red")
    assert "ninjacam models add --text" in page and ids(page) == [] and "No events" not in page


def test_administrators_see_how_to_get_the_search(admin_user: User, camera: Camera, run_dir: Path) -> None:
    assert "install a model" in html(signed_in(admin_user))
