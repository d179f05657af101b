"""Backtests in the API and on their page: who may try options, on what, and how many at once."""

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from ninjacam.actions import backtests
from ninjacam.actions import processor_options as actions
from ninjacam.actions.backtests import MAX_KEPT, create_backtest, last_night, trial_of
from ninjacam.actions.export_jobs import BACKTEST_KEPT
from ninjacam.auth import LocalOperator
from ninjacam.conf import get_settings
from ninjacam.core.errors import InvalidError
from ninjacam.core.times import to_ns
from ninjacam.models import Camera, CameraGrant, Export, Segment
from ninjacam.queries import processor_options as queries
from tests.unit.api.test_device import with_role
from tests.unit.api.test_processor_options import STATUS, check
from tests.unit.conftest import signed_in, with_token

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 30, 21, tzinfo=UTC)
URL = "/api/v1/cameras/door/options/edges/backtests"
OPTIONS = "/cameras/door/options/edges/"


@pytest.fixture(autouse=True)
def recordings(camera: Camera, monkeypatch: pytest.MonkeyPatch, run_dir: Path) -> None:
    """An hour of `door` from START on."""
    monkeypatch.setattr(queries, "read_status", lambda: STATUS)
    monkeypatch.setattr(actions, "run_module", check)
    Segment.objects.create(
        slug="door", path="door/a.mp4", start_ns=to_ns(START), end_ns=to_ns(START) + 3600 * 10**9,
        size_bytes=1, codec="h264", width_px=640, height_px=360,
    )  # fmt: skip


@pytest.fixture
def owner(camera: Camera) -> User:
    """May configure and replay `door`."""
    user = User.objects.create_user("owner", password="x")
    for role in ("configure", "replay"):
        CameraGrant.objects.create(camera=camera, user=user, role=role)
    return user


def post(client: Client, **fields: Any) -> Any:
    body = {
        "values": {"low": 60},
        "start": START.isoformat(),
        "end": (START + timedelta(hours=1)).isoformat(),
    }
    return client.post(URL, {**body, **fields}, content_type="application/json")


def finish(backtest: Export, html: str = "<h2>Only</h2>") -> None:
    event = {
        "kind": "person",
        "label": "",
        "start_ns": to_ns(START),
        "end_ns": None,
        "score": 0.5,
        "zones": ["porch"],
    }
    facts = {
        "events_in_both": 2, "events_only_before": [event], "events_only_before_count": 1, "events_only_after": [],
        "events_only_after_count": 0, "different_frames": 3, "is_equal": False,
    }  # fmt: skip
    backtest.state, backtest.claim, backtest.progress = "done", "0" * 32, 1.0
    backtest.expires_at = timezone.now() + BACKTEST_KEPT
    backtest.save()
    path = backtest.path(get_settings().exports_dir)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"comparison": facts, "html": html}))


def test_options_are_tried_without_being_saved(owner: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ninjacam.audit")
    client = signed_in(owner)
    Camera.objects.update(processor_options={"edges": {"low": 70, "text": "a"}, "blur": {"low": 1}})
    made = post(client, values={"low": 60, "text": None})
    assert made.status_code == 201, made.json()
    assert {name: made.json()[name] for name in ("state", "processor", "values", "comparison")} == {
        "state": "queued", "processor": "edges", "values": {"low": 60, "text": None}, "comparison": None,
    }  # fmt: skip
    backtest = Export.objects.get()
    question = trial_of(backtest, Path("/x.part"), Path("/recordings"))
    assert question["before"] == {"edges": {"low": 70, "text": "a"}, "blur": {"low": 1}}
    assert question["after"] == {"edges": {"low": 60}, "blur": {"low": 1}}
    assert question["files"] == [["/recordings/door/a.mp4", to_ns(START), to_ns(START) + 3600 * 10**9]]
    assert (Camera.objects.get().processor_options or {})["edges"] == {"low": 70, "text": "a"}
    url = f"/api/v1/cameras/door/backtests/{backtest.pk}"
    finish(backtest)
    shown = client.get(url).json()
    assert shown["comparison"]["events_only_before"][0]["start"] == "2026-11-30T21:00:00Z"
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404 and not list(get_settings().exports_dir.iterdir())
    verbs = [record.audit["verb"] for record in caplog.records if hasattr(record, "audit")]
    assert [verb for verb in verbs if verb.startswith("backtest")] == ["backtest.create", "backtest.delete"]


@pytest.mark.parametrize(
    ("role", "status"), [("configure", 403), ("replay", 403), ("export", 403), (None, 404)]
)
def test_both_roles_are_required(
    camera: Camera, owner: User, stranger: User, role: str | None, status: int
) -> None:
    assert post(signed_in(owner)).status_code == 201
    backtest = Export.objects.get()
    finish(backtest)
    client = signed_in(stranger) if role is None else with_role("other", camera, role)
    paths = [f"/api/v1/cameras/door/backtests/{backtest.pk}", f"/cameras/door/backtests/{backtest.pk}/"]
    assert post(client).status_code == status
    assert [client.get(path).status_code for path in paths] == [status] * 2
    assert client.delete(paths[0]).status_code == status and client.post(paths[1]).status_code == status
    assert Export.objects.exists()
    narrow = with_token(owner, "configure:door")
    assert post(narrow).status_code == 403 and narrow.get(paths[0]).status_code == 403
    assert with_token(owner, "configure", "replay").get(paths[0]).status_code == 200


def test_a_backtest_is_not_an_export(owner: User, camera: Camera, yard: Camera) -> None:
    for role in ("export", "view"):
        CameraGrant.objects.create(camera=camera, user=owner, role=role)
    for role in ("configure", "replay"):
        CameraGrant.objects.create(camera=yard, user=owner, role=role)
    client = signed_in(owner)
    post(client)
    backtest = Export.objects.get()
    assert client.get("/api/v1/exports").json()["items"] == []
    assert client.get(f"/api/v1/exports/{backtest.pk}").status_code == 404
    assert client.get(f"/api/v1/cameras/yard/backtests/{backtest.pk}").status_code == 404
    copy = Export.objects.create(slug="door", start_ns=0, end_ns=1, kind="copy", created_by=owner)
    assert client.get(f"/api/v1/cameras/door/backtests/{copy.pk}").status_code == 404
    exported = client.post(
        "/api/v1/exports",
        {"camera": "door", "start": START.isoformat(), "end": START.isoformat(), "kind": "backtest"},
        content_type="application/json",
    )
    assert exported.status_code == 422


def test_a_backtest_does_not_count_as_an_export_of_the_user(admin_user: User, settings: Any) -> None:
    settings.NINJACAM = {**settings.NINJACAM, "ACTIVE_EXPORTS_PER_USER": 1, "EXPORTS_PER_USER": 1}
    client = signed_in(admin_user)
    assert post(client).status_code == 201
    body = {"camera": "door", "start": START.isoformat(), "end": (START + timedelta(seconds=9)).isoformat()}
    assert client.post("/api/v1/exports", body, content_type="application/json").status_code == 201
    assert client.post("/api/v1/exports", body, content_type="application/json").status_code == 429


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"values": {}}, "values"),
        ({"values": {"low": None}}, "values"),
        ({"values": {"low": "wrong"}}, "low"),
        ({"values": {"text": "hang"}}, "values"),
        ({"start": (START + timedelta(hours=2)).isoformat()}, "end"),
        ({"end": (START + timedelta(hours=13)).isoformat()}, "end"),
        ({"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T01:00:00Z"}, "start"),
        ({"start": "2100-11-01T00:00:00Z", "end": "2100-11-01T01:00:00Z"}, "start"),
    ],
)
def test_what_cannot_be_tried_is_refused_with_its_field(
    owner: User, fields: dict[str, Any], field: str
) -> None:
    answer = post(signed_in(owner), **fields)
    assert answer.status_code == 422 and field in json.dumps(answer.json()["errors"]), answer.json()
    assert not Export.objects.exists()


def test_without_times_it_is_last_night(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtests, "last_night", lambda _now: (START, START + timedelta(hours=1)))
    made = post(signed_in(owner), start=None, end=None)
    assert made.status_code == 201 and made.json()["start"] == "2026-11-30T21:00:00Z"


def test_last_night_ends_this_morning_or_now(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    zone = ZoneInfo("Europe/Berlin")

    def at(day: int, hour: int, minute: int = 0) -> datetime:
        return datetime(2026, 12, day, hour, minute, tzinfo=zone)

    with timezone.override("Asia/Tokyo"):
        for now, start, end in (
            (at(2, 9), at(1, 22), at(2, 6)),
            (at(2, 23), at(1, 22), at(2, 6)),
            (at(2, 0, 30), at(1, 22), at(2, 0, 30)),
        ):
            assert last_night(now.astimezone(UTC)) == (start, end)
    start, end = last_night(datetime(2026, 10, 25, 12, tzinfo=UTC))
    assert (to_ns(end) - to_ns(start)) // 10**9 == 9 * 3600, "the hour that is repeated"


def test_a_user_has_one_backtest_at_a_time_and_keeps_a_few(owner: User, admin_user: User) -> None:
    client = signed_in(owner)
    assert post(client).status_code == 201
    again = post(client)
    assert again.status_code == 429 and "already have a backtest" in again.json()["detail"]
    assert post(signed_in(admin_user)).status_code == 201, "others are not affected"
    Export.objects.create(slug="door", start_ns=0, end_ns=1, kind="copy", created_by=owner, state="running")
    for _ in range(MAX_KEPT + 2):
        finish(Export.objects.backtests().filter(created_by=owner).latest("created_at"))
        assert post(client).status_code == 201
    assert Export.objects.backtests().filter(created_by=owner, state="done").count() == MAX_KEPT
    assert len(list(get_settings().exports_dir.iterdir())) == MAX_KEPT
    assert Export.objects.downloads().count() == 1


def test_code_without_a_user_may_try_options() -> None:
    values = {"low": 3}
    span_ns = (to_ns(START), to_ns(START) + 10**9)
    assert create_backtest(LocalOperator(), "door", "edges", values, *span_ns).created_by is None
    with pytest.raises(InvalidError, match="Change an option"):
        create_backtest(LocalOperator(), "door", "edges", {}, *span_ns)


def test_the_form_tries_the_entered_options(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(owner)
    entered = {"option-low": "60", "option-text": "", "try": "times"}
    times = {"span-start": START.strftime("%Y-%m-%dT%H:%M"), "span-end": START.strftime("%Y-%m-%dT%H:59")}
    with timezone.override(UTC):
        page = client.get(OPTIONS).content.decode()
        assert "Try on last night" in page and 'type="datetime-local"' in page
        made = client.post(OPTIONS, {**entered, **times})
    backtest = Export.objects.get()
    assert made.status_code == 302 and made["Location"] == f"/cameras/door/backtests/{backtest.pk}/"
    assert backtest.options["changes"] == {"low": 60}
    again = client.post(OPTIONS, {**entered, **times}).content.decode()
    assert "already have a backtest" in again and 'value="60"' in again, "the entered values stay"
    Export.objects.all().delete()
    for wrong, text in (
        ({**times, "span-start": "soon"}, "Enter a valid date/time."),
        ({**times, "span-end": "2026-12-24T00:00"}, "The maximum is 12 hours."),
        (
            {**times, "span-start": "0001-01-01T00:00", "span-end": "0001-01-01T01:00"},
            "There are no recordings",
        ),
        ({**times, "span-start": "9999-12-31T00:00", "span-end": "9999-12-31T01:00"}, "in the future"),
        ({"option-low": "80", **times}, "Change an option first"),
        ({**times, "option-low": "wrong", "reset": "1"}, "Enter a whole number."),
        ({"try": "night"}, "There are no recordings of this span."),
    ):
        shown = client.post(OPTIONS, {**entered, **wrong}).content.decode()
        assert text in shown, text
    assert not Export.objects.exists() and Camera.objects.get().processor_options is None
    assert "Try on" not in with_role("other", Camera.objects.get(), "configure").get(OPTIONS).content.decode()


def test_the_page_of_a_backtest_shows_it_cancels_it_and_saves_its_options(
    owner: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ninjacam.audit")
    client = signed_in(owner)
    post(client)
    backtest = Export.objects.get()
    page = f"/cameras/door/backtests/{backtest.pk}/"
    shown = client.get(page).content.decode()
    assert "<progress" in shown and '<meta http-equiv="refresh"' in shown and "default → 60" in shown
    Export.objects.update(
        state="failed", error={"code": "x", "message": "It <failed>.", "traceback": "Trace<back>"}
    )
    shown = client.get(page).content.decode()
    assert "It &lt;failed&gt;." in shown and "Trace&lt;back&gt;" in shown and "refresh" not in shown
    finish(backtest)
    assert "<h2>Only</h2>" in client.get(page).content.decode()
    assert "backtest.view" in caplog.text
    backtest.path(get_settings().exports_dir).write_text("nonsense")
    assert "The result was deleted." in client.get(page).content.decode()
    assert client.post(page, {"save": "1"})["Location"] == OPTIONS
    assert Camera.objects.get().processor_options == {"edges": {"low": 60}}
    assert client.post(page)["Location"] == OPTIONS and not Export.objects.exists()
