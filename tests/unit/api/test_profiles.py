"""Profiles in the API, in code and in the admin."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from ninjacam import profiles
from ninjacam.core.errors import InvalidError, NotFoundError
from ninjacam.models import Camera, Profile, ProfileChoice, ProfileOverride
from ninjacam.models.profile import MAX_CHOICES, MAX_PROFILES, choose, find_active
from tests.unit.conftest import signed_in, with_token

pytestmark = pytest.mark.django_db
URL = "/api/v1/profiles"
OVERRIDES = [
    {"camera": None, "record": "always", "processors": {"people": True}, "options": {}},
    {"camera": "door", "record": None, "processors": {}, "options": {"people": {"score": 0.4}}},
]


@pytest.fixture
def admin(admin_user: User, camera: Camera) -> Client:
    return signed_in(admin_user)


def send(client: Client, method: str, path: str = "", **body: Any) -> Any:
    return client.generic(method, URL + path, json.dumps(body), content_type="application/json")


def test_a_profile_is_created_listed_changed_and_deleted(
    admin: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ninjacam.audit")
    made = send(admin, "POST", name="away", schedule="mon 08:00-17:00", overrides=OVERRIDES)
    expected = {"name": "away", "schedule": "mon 08:00-17:00", "overrides": OVERRIDES}
    assert (made.status_code, made.json()) == (201, expected)
    assert send(admin, "POST", name="home").status_code == 201
    first = admin.get(f"{URL}?limit=1").json()
    rest = admin.get(f"{URL}?limit=1&after={first['next']}").json()
    assert [each["name"] for each in first["items"] + rest["items"]] == ["away", "home"]
    changed = send(admin, "PATCH", "/away", name="holiday", overrides=OVERRIDES[:1])
    assert changed.json() == {**expected, "name": "holiday", "overrides": OVERRIDES[:1]}
    assert send(admin, "PATCH", "/holiday", schedule="").json()["overrides"] == OVERRIDES[:1]
    assert send(admin, "PATCH", "/holiday", name="home").status_code == 409
    assert admin.delete(f"{URL}/holiday").status_code == 204
    assert admin.get(f"{URL}/holiday").status_code == 404
    verbs = [record.audit["verb"] for record in caplog.records if hasattr(record, "audit")]
    assert verbs == ["profile.create"] * 2 + ["profile.update"] * 2 + ["profile.delete"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "active"}, "name"),
        ({"name": "Away"}, "name"),
        ({"schedule": "sometimes"}, "schedule"),
        ({"overrides": [{"camera": "gone"}]}, "overrides"),
        ({"overrides": [{"camera": "door"}, {"camera": "door"}]}, "overrides"),
        ({"overrides": [{}, {}]}, "overrides"),
        ({"overrides": [{"record": "schedule"}]}, "record"),
        ({"overrides": [{"processors": {"people": 1}}]}, "processors"),
        ({"overrides": [{"processors": {"no name": True}}]}, "processors"),
        ({"overrides": [{"processors": {f"p{at}": True for at in range(65)}}]}, "processors"),
        ({"overrides": [{"options": {"people": {"text": "x" * 20_000}}}]}, "options"),
        ({"overrides": [{"options": {"people": 7}}]}, "options"),
        ({"overrides": [{"options": {"people": {"text": "\0"}}}]}, "options"),
        ({"overrides": [{"options": {"people": {"a\0": 1}}}]}, "options"),
        ({"overrides": [{"options": {"people": {"text": "\ud800"}}}]}, "options"),
        ({"overrides": [{"url": "rtsp://10.0.0.9/"}]}, "url"),
    ],
)
def test_invalid_profiles_are_refused_with_the_field(
    admin: Client, fields: dict[str, Any], field: str
) -> None:
    answer = send(admin, "POST", **{"name": "away", **fields})
    assert answer.status_code == 422
    assert field in answer.content.decode()
    assert not Profile.objects.exists() and not ProfileOverride.objects.exists()


def test_the_number_of_profiles_is_limited(admin: Client) -> None:
    Profile.objects.bulk_create(Profile(name=f"p{number}") for number in range(MAX_PROFILES))
    answer = send(admin, "POST", name="one-more")
    assert answer.status_code == 409 and "at most" in answer.json()["detail"]


def test_a_profile_is_activated_and_released(admin: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ninjacam.audit")
    send(admin, "POST", name="away")
    assert admin.get(f"{URL}/active").json() == {"profile": None, "chosen": False, "until": None}
    active = {"profile": "away", "chosen": True, "until": None}
    assert send(admin, "PUT", "/active", profile="away").json() == active
    assert admin.get(f"{URL}/active").json() == active
    until = datetime(2100, 1, 1, tzinfo=UTC)
    answer = send(admin, "PUT", "/active", profile=None, until=until.isoformat()).json()
    assert answer == {"profile": None, "chosen": True, "until": "2100-01-01T00:00:00Z"}
    assert send(admin, "PUT", "/active", profile="gone").status_code == 404
    past = send(admin, "PUT", "/active", profile="away", until="2001-01-01T00:00:00Z")
    assert past.status_code == 422 and "future" in past.json()["detail"]
    assert admin.delete(f"{URL}/active").status_code == 204
    assert admin.get(f"{URL}/active").json() == {"profile": None, "chosen": False, "until": None}
    verbs = [record.audit["verb"] for record in caplog.records if hasattr(record, "audit")]
    assert verbs == ["profile.create", "profile.activate", "profile.activate", "profile.release"]


def test_activating_needs_its_own_permission_and_full_scope(camera: Camera, stranger: User) -> None:
    Profile.objects.create(name="away")

    def answers(client: Client) -> list[int]:
        return [
            send(client, "PUT", "/active", profile="away").status_code,
            send(client, "PUT", "/active", profile=None).status_code,
            client.delete(f"{URL}/active").status_code,
            send(client, "PATCH", "/away", schedule="").status_code,
            client.get(URL).status_code,
        ]

    assert answers(signed_in(stranger)) == [403] * 5
    stranger.user_permissions.add(Permission.objects.get(codename="activate_profile"))
    assert answers(signed_in(User.objects.get(pk=stranger.pk))) == [200, 200, 204, 403, 403]
    assert answers(with_token(stranger, "configure")) == [403] * 5


def test_a_choice_lasts_until_the_schedules_would_next_change_the_profile() -> None:
    morning = datetime(2026, 11, 30, 9, 0, tzinfo=timezone.get_default_timezone())  # A Monday.
    home = Profile.objects.create(name="home")
    work = Profile.objects.create(name="work", schedule="mon-fri 08:00-17:00")
    Profile.objects.create(name="zz", schedule="00:00-24:00")
    Profile.objects.create(name="broken", schedule="nonsense")
    assert find_active(morning).profile == work
    choose(home, morning)
    for hours, expected in ((0, "home"), (7, "home"), (8, "zz"), (23, "work")):
        found = find_active(morning + timedelta(hours=hours))
        assert (str(found.profile), found.is_chosen) == (expected, expected == "home")
    choose(home, morning, morning + timedelta(hours=1))
    assert find_active(morning + timedelta(minutes=59)).profile == home
    assert find_active(morning + timedelta(hours=1)).profile == work
    home.delete()
    assert find_active(morning).profile == work


def test_the_latest_choice_is_in_effect_whatever_the_clock_and_others_are_kept_within_a_limit() -> None:
    now = timezone.now()
    away, home = Profile.objects.create(name="away"), Profile.objects.create(name="home")
    choose(home, now)
    choose(away, now)
    assert find_active(now - timedelta(hours=1)).profile == away, "the clock was set back"
    for minute in range(MAX_CHOICES):
        choose(home, now + timedelta(minutes=minute))
    assert ProfileChoice.objects.count() == MAX_CHOICES


def test_a_choice_in_the_repeated_hour_of_a_clock_change_has_an_effect(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    home = Profile.objects.create(name="home")
    Profile.objects.create(name="night", schedule="02:30-05:00")
    for hour, end in (
        (0, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (1, datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
    ):
        now = datetime(2026, 10, 25, hour, 10, tzinfo=UTC)  # 02:10, and an hour later 02:10 again.
        choose(home, now)
        assert ProfileChoice.objects.latest("pk").until == end
        assert find_active(now).profile == home


def test_a_profile_leaves_the_camera_itself_unchanged(camera: Camera) -> None:
    camera.processors, camera.processor_options = ["motion"], {"motion": {"contrast": 20}}
    away = Profile.objects.create(name="away")
    values = {"record": "events", "processors": {"motion": False}, "options": {"motion": {"contrast": 30}}}
    ProfileOverride.objects.create(profile=away, **values)
    changed = away.apply_to(camera)
    assert (changed.record, changed.processors, changed.processors_off) == ("events", [], ("motion",))
    assert (camera.record, camera.processors, camera.processors_off) == ("off", ["motion"], ())
    assert camera.processor_options == {"motion": {"contrast": 20}}


def test_code_activates_a_profile(db: None) -> None:
    Profile.objects.create(name="away")
    profiles.activate("away")
    assert profiles.active() == "away"
    profiles.activate(None)
    assert profiles.active() is None
    profiles.activate("away", until=timezone.now() + timedelta(hours=1))
    profiles.follow_schedules()
    assert profiles.active() is None
    with pytest.raises(NotFoundError, match="No profile “gone”"):
        profiles.activate("gone")
    with pytest.raises(InvalidError, match="no time zone"):
        profiles.activate("away", until=datetime(2100, 1, 1))


def test_overrides_follow_a_renamed_camera_and_end_with_it(admin: Client, camera: Camera) -> None:
    send(admin, "POST", name="away", overrides=OVERRIDES)
    camera.slug = "gate"
    camera.save()
    assert [each["camera"] for each in admin.get(f"{URL}/away").json()["overrides"]] == [None, "gate"]
    camera.delete()
    assert [each["camera"] for each in admin.get(f"{URL}/away").json()["overrides"]] == [None]


def test_rows_that_are_deleted_at_the_same_time_are_reported(
    admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on PostgreSQL, which detects them when foreign keys are checked."""
    send(admin, "POST", name="away")
    before = send(admin, "PATCH", "/away", overrides=OVERRIDES).json()

    def fail() -> None:
        raise IntegrityError

    monkeypatch.setattr("ninjacam.actions.profiles.check_foreign_keys", fail)
    assert send(admin, "PATCH", "/away", schedule="mon 08:00-17:00", overrides=[{}]).status_code == 409
    assert send(admin, "PUT", "/active", profile="away").status_code == 404
    assert admin.get(f"{URL}/away").json() == before and profiles.active() is None


def test_the_admin_edits_and_activates_profiles(
    admin: Client, caplog: pytest.LogCaptureFixture, django_assert_max_num_queries: Any
) -> None:
    caplog.set_level(logging.INFO, "ninjacam.audit")
    page = "/admin/ninjacam/profile/"
    forms = {"overrides-INITIAL_FORMS": "0", "name": "away", "schedule": ""}

    def rows(*cameras: str) -> dict[str, str]:
        found = {"overrides-TOTAL_FORMS": str(len(cameras))}
        for at, camera in enumerate(cameras):
            row = {"camera": camera, "record": "always", "processors": "{}", "options": "{}"}
            found |= {f"overrides-{at}-{name}": value for name, value in row.items()}
        return found

    twice = admin.post(f"{page}add/", {**forms, **rows("", "")})
    assert "Use one override for all cameras." in twice.content.decode()
    camera = str(Camera.objects.get().pk)
    assert admin.post(f"{page}add/", {**forms, **rows("", camera)}).status_code == 302
    away = Profile.objects.get()
    assert away.overrides.count() == 2
    chosen = {"action": "activate", "_selected_action": [str(away.pk)]}
    assert admin.post(page, chosen).status_code == 302
    assert profiles.active() == "away"
    Profile.objects.bulk_create(Profile(name=f"p{number}") for number in range(9))
    with django_assert_max_num_queries(14):
        listed = admin.get(page).content.decode()
    assert listed.count("icon-yes.svg") == 1 and listed.count("icon-no.svg") == 9
    verbs = [record.audit["verb"] for record in caplog.records if hasattr(record, "audit")]
    assert verbs == ["profile.create", *["profile_override.create"] * 2, "profile.activate"]
