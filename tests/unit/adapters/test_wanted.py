import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone

from ninjacam.adapters.stream_log import DatabaseStreamLog
from ninjacam.adapters.wanted import DatabaseWanted
from ninjacam.core.errors import ConfigError, NinjacamError
from ninjacam.core.streams import MAIN, StreamFacts
from ninjacam.engine.streams import SeenStream
from ninjacam.models import (
    Camera,
    CameraZone,
    Event,
    EventCall,
    Export,
    ExportState,
    Profile,
    ProfileOverride,
    Snapshot,
    Stream,
    Webhook,
    WebhookDelivery,
)
from ninjacam.models.event_call import LEASE_NS
from ninjacam.models.profile import choose
from ninjacam.testing.clock import FakeClock
from tests.unit.conftest import PASSWORD, make_webhook

pytestmark = pytest.mark.django_db
S = 10**9
NOWHERE = Path("/nonexistent")


def test_the_engine_receives_the_windows_of_cameras_that_record_events(camera: Camera, yard: Camera) -> None:
    Camera.objects.filter(slug="door").update(record="events", record_before_s=3, record_after_s=7)
    now_ns = time.time_ns()
    for slug in ("door", "yard"):
        Event.objects.create(
            slug=slug, kind="motion", start_ns=now_ns, end_ns=now_ns + S, source="x", triggers_recording=True
        )
    door, other = DatabaseWanted(NOWHERE).read().cameras
    assert (door.record, door.record_before_s, door.keep) == (
        "events",
        3,
        ((now_ns - 3 * S, now_ns + 8 * S),),
    )
    assert (other.record, other.record_before_s, other.keep) == ("off", 0, ())
    assert DatabaseWanted(NOWHERE).read().cameras == (door, other)  # no changes are needed


def test_an_unreadable_schedule_is_reported_and_does_not_affect_other_cameras(
    camera: Camera, yard: Camera
) -> None:
    Camera.objects.filter(slug="door").update(record="schedule", record_schedule="when I say so")
    door, other = DatabaseWanted(NOWHERE).read().cameras
    assert door.error is not None and "no times" in door.error["message"]
    assert other.error is None


def test_the_export_worker_runs_while_there_are_exports_and_a_while_longer(
    camera: Camera,
) -> None:
    clock = FakeClock()
    wanted = DatabaseWanted(NOWHERE, clock)
    assert not wanted.read().has_jobs
    export = Export.objects.create(slug="door", kind="copy", start_ns=0, end_ns=S, state=ExportState.QUEUED)
    assert wanted.read().has_jobs
    Export.objects.filter(pk=export.pk).update(state=ExportState.DONE)
    clock.advance(29)
    assert wanted.read().has_jobs
    clock.advance(2)
    assert not wanted.read().has_jobs


def test_the_jobs_process_runs_while_a_delivery_is_due_and_a_while_longer(camera: Camera) -> None:
    clock = FakeClock()
    wanted = DatabaseWanted(NOWHERE, clock)
    webhook, now_ns = make_webhook(), clock.wall_ns()
    row = WebhookDelivery.objects.create(
        webhook=webhook, event_id=1, phase="begun", payload="{}", created_ns=0, next_try_ns=now_ns + 100 * S
    )
    assert not wanted.read().has_jobs
    clock.advance(101)
    assert wanted.read().has_jobs
    WebhookDelivery.objects.filter(pk=row.pk).update(next_try_ns=row.next_try_ns + 10 * 86_400 * 10**9)
    assert wanted._has_deliveries(), "the clock was set back: the jobs process sends it at once"
    WebhookDelivery.objects.filter(pk=row.pk).update(state="delivered")
    clock.advance(31)
    assert not wanted.read().has_jobs
    WebhookDelivery.objects.filter(pk=row.pk).update(state="waiting")
    Webhook.objects.update(enabled=False)
    assert not wanted.read().has_jobs


def test_the_jobs_process_runs_while_a_snapshot_is_due(camera: Camera) -> None:
    clock = FakeClock()
    wanted = DatabaseWanted(NOWHERE, clock)
    row = Snapshot.objects.create(event_id=1, slug="door", due_ns=clock.wall_ns() + S)
    assert not wanted.read().has_jobs
    clock.advance(2)
    assert wanted.read().has_jobs
    clock.advance(31)
    Snapshot.objects.filter(pk=row.pk).update(due_ns=None)
    assert not wanted.read().has_jobs


def test_the_jobs_process_runs_while_a_call_for_an_event_is_due(camera: Camera) -> None:
    clock = FakeClock()
    wanted = DatabaseWanted(NOWHERE, clock)
    call = {"event_id": 1, "slug": "door", "processor": "plates"}
    row = EventCall.objects.create(**call, due_ns=clock.wall_ns() + LEASE_NS + S)
    assert not wanted.read().has_jobs
    clock.advance(2)
    assert wanted.read().has_jobs, "a call that is being made is due after its lease"
    clock.advance(31)
    EventCall.objects.filter(pk=row.pk).update(due_ns=clock.wall_ns() + LEASE_NS)
    assert wanted.read().has_jobs, "for as long as it is renewed"
    clock.advance(31)
    EventCall.objects.filter(pk=row.pk).update(due_ns=None)
    assert not wanted.read().has_jobs
    EventCall.objects.filter(pk=row.pk).update(due_ns=clock.wall_ns() + 3600 * S)
    assert wanted.read().has_jobs, "the clock was set back"


@pytest.mark.parametrize("left", ["row", "file", ""])
def test_the_export_worker_runs_now_and_then_to_remove_expired_exports(tmp_path: Path, left: str) -> None:
    if left == "row":
        Export.objects.create(slug="door", kind="copy", start_ns=0, end_ns=S, state=ExportState.DONE)
    elif left == "file":
        (tmp_path / "left.part").touch()
    clock = FakeClock()
    wanted = DatabaseWanted(tmp_path, clock)
    found = []
    for _ in range(140):
        clock.advance(10)
        found.append(wanted.read().has_jobs)
    starts = [6, 7, 8, 66, 67, 68, 126, 127, 128] if left else []
    assert [at for at, is_wanted in enumerate(found, 1) if is_wanted] == starts


def test_a_change_of_a_stream_is_seen_and_what_was_seen_of_it_changes_nothing(camera: Camera) -> None:
    wanted = DatabaseWanted(NOWHERE)
    assert wanted.read().cameras[0].streams == ()
    stream = Stream(camera=camera, name="sub")
    stream.set_source("rtsp://10.0.0.5/stream2")
    stream.save()
    (sub,) = wanted.read().cameras[0].streams
    assert (sub.name, sub.source.password, sub.width_px) == ("sub", PASSWORD, 0)
    before = wanted.read().cameras
    DatabaseStreamLog().put([SeenStream("door", "sub", "h264", 0, 0, 15.0, 400_000, time.time_ns())])
    assert wanted.read().cameras is before
    DatabaseStreamLog().put([SeenStream("door", "sub", "h264", 640, 360, 15.0, 400_000, time.time_ns())])
    assert wanted.read().cameras[0].facts[1] == StreamFacts("sub", 640)
    stream.delete()
    assert wanted.read().cameras[0].streams == ()


def test_a_changed_zone_takes_effect_at_the_next_read_and_restarts_no_capture(camera: Camera) -> None:
    wanted = DatabaseWanted(NOWHERE)
    (before,) = wanted.read().cameras
    assert before.zones == ()
    row = CameraZone.objects.create(camera=camera, name="porch", points=[[0, 0], [1, 0], [1, 1]])
    CameraZone.objects.create(camera=camera, name="broken", points=[[0, 7]])
    (after,) = wanted.read().cameras
    (zone,) = after.zones
    assert (zone.name, zone.fractions) == ("porch", ((0, 0), (1, 0), (1, 1))), "others do not stop the camera"
    assert after.revision == before.revision and wanted.read().cameras == (after,)
    row.inertia_s = 2
    row.save()
    assert wanted.read().cameras[0].zones[0].inertia_s == 2
    row.delete()
    assert wanted.read().cameras[0].zones == ()


def test_a_profile_changes_what_the_engine_receives_and_leaving_it_restores_the_camera(
    camera: Camera,
) -> None:
    camera.processors, camera.processor_options = ["motion"], {"motion": {"contrast": 20}}
    camera.save()
    stored = Camera.objects.values().get()
    wanted = DatabaseWanted(NOWHERE)
    (before,) = wanted.read().cameras
    away = Profile.objects.create(name="away")
    everywhere = ProfileOverride.objects.create(
        profile=away, record="always", processors={"objects": True, "edges": False}
    )
    ProfileOverride.objects.create(profile=away, camera=camera, options={"motion": {"min_area": 0.1}})
    assert wanted.read().cameras == (before,), "it is not active"
    choose(away, timezone.now())
    (spec,) = wanted.read().cameras
    assert (spec.record, spec.processors, spec.processors_off) == (
        "always",
        ("motion", "objects"),
        ("edges",),
    )
    assert spec.options == {"motion": {"contrast": 20, "min_area": 0.1}}
    assert spec.revision == before.revision, "capture is not restarted"
    ProfileOverride.objects.filter(pk=everywhere.pk).update(record="off", processors={"motion": False})
    (spec,) = wanted.read().cameras
    assert (spec.record, spec.processors, spec.processors_off) == ("off", (), ("motion",))
    choose(None, timezone.now())
    assert wanted.read().cameras == (before,)
    assert Camera.objects.values().get() == stored


@pytest.mark.parametrize(
    "broken",
    [{"processors": []}, {"options": {"motion": 7}}, {"record": "schedule"}, {"processors": {"x y": True}}],
)
def test_an_override_that_cannot_be_used_stops_no_camera(camera: Camera, broken: dict[str, Any]) -> None:
    away = Profile.objects.create(name="away", schedule="00:00-24:00")
    ProfileOverride.objects.create(profile=away, **broken)
    ProfileOverride.objects.create(profile=away, camera=camera, record="always")
    (spec,) = DatabaseWanted(NOWHERE).read().cameras
    assert (spec.record, spec.error, spec.options, spec.processors) == ("always", None, {}, ())


def test_the_schedule_of_a_profile_takes_effect_at_its_minute(camera: Camera, settings: Any) -> None:
    settings.TIME_ZONE = "UTC"
    night = Profile.objects.create(name="night", schedule="01:00-02:00")
    ProfileOverride.objects.create(profile=night, record="always")
    clock = FakeClock()  # Midnight in UTC.
    wanted = DatabaseWanted(NOWHERE, clock)
    wanted._files = Files()  # type: ignore[assignment]
    clock.advance(3595)
    assert wanted.read().cameras[0].record == "off"
    clock.advance(4)
    assert wanted.is_current()
    clock.advance(1)
    assert not wanted.is_current(), "it is one o'clock"
    assert wanted.read().cameras[0].record == "always"
    assert wanted.is_current()
    clock.advance(3600)
    assert wanted.read().cameras[0].record == "off"


def test_a_profile_without_a_schedule_costs_no_reading(camera: Camera) -> None:
    clock = FakeClock()
    choose(Profile.objects.create(name="away"), timezone.now())
    wanted = DatabaseWanted(NOWHERE, clock)
    wanted._files = Files()  # type: ignore[assignment]
    wanted.read()
    assert wanted.is_current()


def test_events_of_a_processor_that_a_profile_switches_off_end(camera: Camera) -> None:
    camera.processors = ["motion", "people"]
    camera.save()
    values = {"slug": "door", "kind": "motion", "start_ns": time.time_ns() - S, "source": "processor"}
    for key in ("motion-1", "people-1"):
        Event.objects.create(**values, key=key)
    wanted = DatabaseWanted(NOWHERE)
    wanted.read()
    away = Profile.objects.create(name="away")
    ProfileOverride.objects.create(profile=away, processors={"motion": False})
    choose(away, timezone.now())
    wanted.read()
    assert set(Event.objects.filter(end_ns=None).values_list("key", flat=True)) == {"people-1"}


def test_what_was_seen_is_stored_and_is_no_change_of_the_camera(camera: Camera) -> None:
    before = Camera.objects.get(pk=camera.pk)
    DatabaseStreamLog().put(
        [
            SeenStream("door", MAIN, "hevc", 1920, 1080, 25.0, 3_000_000, 10**18),
            SeenStream("gone", MAIN, "", 1, 1, 1, 1, 1),
        ]
    )
    after = Camera.objects.get(pk=camera.pk)
    assert (after.codec, after.width_px, after.height_px) == ("hevc", 1920, 1080)
    assert (after.fps, after.bitrate_bps, after.seen_at) == (
        25.0,
        3_000_000,
        datetime.fromtimestamp(1e9, UTC),
    )
    assert after.updated_at == before.updated_at


def test_a_changed_camera_takes_effect_at_the_next_read(camera: Camera, yard: Camera) -> None:
    wanted = DatabaseWanted(NOWHERE)
    before = wanted.read()
    Camera.objects.filter(slug="door").update(url="rtsp://192.0.2.7/other")
    after = wanted.read()
    assert after.cameras[0].source.url == "rtsp://192.0.2.7/other"
    assert after.cameras[1] == before.cameras[1]
    Camera.objects.filter(slug="yard").delete()
    assert [each.slug for each in wanted.read().cameras] == ["door"]


def test_reading_without_changes_takes_seven_queries(
    camera: Camera, yard: Camera, django_assert_num_queries: Any
) -> None:
    wanted = DatabaseWanted(NOWHERE)
    before = wanted.read()
    with django_assert_num_queries(7):
        assert wanted.read() == before


class Files:
    """The files of a database. The test determines whether they have changed."""

    are_changed = False

    def note(self) -> None: ...

    def are_unchanged(self) -> bool:
        return not self.are_changed


def test_the_state_is_current_until_the_database_changes(camera: Camera) -> None:
    clock = FakeClock()
    wanted = DatabaseWanted(NOWHERE, clock)
    wanted.read()
    assert not wanted.is_current(), "a database that is not one file says nothing"
    wanted._files = files = Files()  # type: ignore[assignment]
    assert wanted.is_current()
    files.are_changed = True
    assert not wanted.is_current()
    files.are_changed = False
    clock.advance(11)
    assert not wanted.is_current(), "it is read now and then all the same"


def test_the_state_is_not_current_while_it_depends_on_the_time(camera: Camera) -> None:
    Export.objects.create(slug="door", kind="copy", start_ns=0, end_ns=S, state=ExportState.DONE)
    clock = FakeClock()
    wanted = DatabaseWanted(NOWHERE, clock)
    wanted._files = Files()  # type: ignore[assignment]
    wanted.read()
    assert wanted.is_current()
    clock.advance(55)
    wanted.read()
    clock.advance(5)
    assert not wanted.is_current(), "expired exports are removed now"
    assert wanted.read().has_jobs
    assert not wanted.is_current(), "the jobs process ends soon"
    clock.advance(31)
    assert not wanted.read().has_jobs
    assert wanted.is_current()
    Camera.objects.filter(slug="door").update(record="events")
    wanted.read()
    assert not wanted.is_current(), "windows of events begin and end"


def test_the_state_is_not_current_after_a_failure(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = DatabaseWanted(NOWHERE)
    wanted._files = Files()  # type: ignore[assignment]
    wanted.read()
    monkeypatch.setattr(wanted, "_read_cameras", _raise_database_error)
    with pytest.raises(NinjacamError):
        wanted.read()
    assert not wanted.is_current()


def _raise_database_error() -> None:
    raise DatabaseError("locked")


def test_a_new_event_takes_effect_although_its_camera_has_not_changed(camera: Camera) -> None:
    Camera.objects.filter(slug="door").update(record="events")
    wanted = DatabaseWanted(NOWHERE)
    assert wanted.read().cameras[0].keep == ()
    now_ns = time.time_ns()
    Event.objects.create(
        slug="door", kind="motion", start_ns=now_ns, end_ns=now_ns + S, source="x", triggers_recording=True
    )
    assert len(wanted.read().cameras[0].keep) == 1


def test_a_schedule_is_evaluated_each_time(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    Camera.objects.filter(slug="door").update(record="schedule", record_schedule="mon-sun 08:00-20:00")
    wanted = DatabaseWanted(NOWHERE)
    found = []
    for hour in (7, 9):
        moment = timezone.make_aware(datetime(2024, 5, 6, hour))
        monkeypatch.setattr("django.utils.timezone.now", lambda moment=moment: moment)
        found.append(wanted.read().cameras[0].record)
    assert found == ["off", "always"]


def test_unreadable_credentials_are_retried(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = DatabaseWanted(NOWHERE)
    with monkeypatch.context() as patch:
        patch.setattr(Camera, "source", _raise_config_error)
        assert wanted.read().cameras[0].error is not None
    assert wanted.read().cameras[0].error is None


def _raise_config_error(_camera: Camera) -> None:
    raise ConfigError("The key is missing.")


def test_the_database_connection_is_checked_once_a_minute(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    monkeypatch.setattr("ninjacam.adapters.wanted.close_old_connections", lambda: looks.append(1))
    clock = FakeClock()
    wanted = DatabaseWanted(NOWHERE, clock)
    for _ in range(121):
        wanted.read()
        clock.advance(1)
    assert len(looks) == 2
