"""Snapshots of events: taken from recordings, stored, bounded, and deleted with their events."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.db import transaction

from ninjacam.actions import snapshots
from ninjacam.actions.events import delete_event
from ninjacam.actions.snapshots import GIVE_UP_NS, MAX_BYTES, SnapshotTaker, Taken, decode_in_process
from ninjacam.auth import LocalOperator
from ninjacam.conf import get_settings
from ninjacam.core.colors import to_color_bits, to_colors
from ninjacam.models import Camera, CameraGrant, Event, EventCall, EventUpdate, Segment, Snapshot
from ninjacam.models.outbox import note_begun, note_changed
from ninjacam.models.snapshot import DELAY_NS, crop_path, snapshot_path
from ninjacam.recordings.frame_lookup import StillPlace
from ninjacam.testing import stamp
from ninjacam.testing.clock import FakeClock
from tests.harness.recordings import FRAME_NS, NOON_NS, encode_stamped, write_file
from tests.unit.conftest import make_event, signed_in

pytestmark = pytest.mark.django_db
S = 10**9
JPEG = b"\xff\xd8" + bytes(98)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def door(run_dir: Path, camera: Camera) -> Camera:
    """A camera that records, with a recording of 3 s from NOON_NS."""
    camera.record = "events"
    camera.save()
    root = get_settings().recordings_dir
    made = write_file(root, encode_stamped(75), slug="door")
    Segment.objects.create(**asdict(made.segment))
    return camera


def taker(clock: FakeClock, decode: Any = None) -> SnapshotTaker:
    """Whose clock is the present, when all that was requested is due."""
    Snapshot.objects.exclude(due_ns=None).update(due_ns=clock.wall_ns())
    return SnapshotTaker(get_settings(), clock=clock, **({"decode": decode} if decode else {}))


def fake(place: StillPlace, width_px: int, box: Any) -> Taken:
    return Taken(JPEG)


def noted(**fields: Any) -> Event:
    event = make_event(**{"start_ns": NOON_NS, "end_ns": NOON_NS + S, **fields})
    with transaction.atomic():
        note_begun(event)
    return event


def test_the_best_frame_is_stored_and_outlives_the_recording(door: Camera, clock: FakeClock) -> None:
    event = noted(best_ns=NOON_NS + 37 * FRAME_NS + FRAME_NS // 2)
    assert taker(clock).tick() and not taker(clock).tick()
    for segment in Segment.objects.all():
        (get_settings().recordings_dir / segment.path).unlink()
    Segment.objects.all().delete()
    jpeg = snapshot_path(event.pk).read_bytes()
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None and stamp.read(image.astype(np.uint8)) == 37
    event.refresh_from_db()
    assert event.snapshot_ns == event.best_ns
    row = Snapshot.objects.get()
    assert (row.taken_ns, row.size_bytes, row.due_ns) == (event.best_ns, len(jpeg), None)
    assert EventUpdate.objects.latest("pk").kind == "changed", "live clients learn of it"


def test_a_better_sighting_replaces_the_snapshot_when_the_event_ends(door: Camera, clock: FakeClock) -> None:
    event = noted(end_ns=None)
    taker(clock, fake).tick()
    event.best_ns, event.end_ns = NOON_NS + S, NOON_NS + 2 * S
    event.save()
    with transaction.atomic():
        note_changed(event, (), has_ended=True)
    taker(clock, lambda *_: Taken(JPEG + b"better")).tick()
    assert snapshot_path(event.pk).read_bytes().endswith(b"better")
    assert Snapshot.objects.get().taken_ns == NOON_NS + S


def test_the_colors_of_the_object_are_those_of_the_last_snapshot_and_outlive_it(
    door: Camera, clock: FakeClock
) -> None:
    boxes = []

    def decode(_place: StillPlace, _width_px: int, box: Any) -> Taken:
        boxes.append(box)
        return Taken(JPEG, to_color_bits(["red", "black"] if len(boxes) == 1 else ["blue"]))

    event = noted(end_ns=None, box=[0, 0, 0.5, 0.5])
    taker(clock, decode).tick()
    event.refresh_from_db()
    assert event.colors == ["black", "red"]
    event.best_ns, event.end_ns, event.box = NOON_NS + S, NOON_NS + 2 * S, [0.5, 0.5, 1, 1]
    event.save()
    with transaction.atomic():
        note_changed(event, (), has_ended=True)
    taker(clock, decode).tick()
    event.refresh_from_db()
    assert boxes == [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]] and event.colors == ["blue"]
    Snapshot.objects.make_room(0)
    event.refresh_from_db()
    assert event.snapshot_ns is None and event.colors == ["blue"]


@pytest.mark.parametrize(
    ("answer", "colors"),
    [
        (b'{"colors": ["red", "pink"]}\n' + JPEG, ["red", "pink"]), (b'{"colors": []}\n' + JPEG, []),
        (b'{"colors": ["mauve", 7, null, ["red"], {}]}\n' + JPEG, []), (b"{}\n" + JPEG, None),
        (b'{"colors": 7}\n' + JPEG, None), (b"[" * 99999 + b"\n" + JPEG, None), (b"7\n" + JPEG, None),
        (b"\xff\n" + JPEG, None), (b'{"colors": ["red"]}\nGIF89a', None), (b"", None), (None, None),
    ],
)  # fmt: skip
def test_a_false_answer_of_the_decoder_is_no_snapshot(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | None, colors: list[str] | None
) -> None:
    monkeypatch.setattr(snapshots, "run_module", lambda *_, **__: answer)
    taken = decode_in_process(StillPlace("x", 0, 0, 0, 0, 0, 0), 1280, None)
    assert not taken.crop
    assert (taken.jpeg, to_colors(taken.color_bits)) == ((b"", []) if colors is None else (JPEG, colors))


@pytest.mark.parametrize(
    ("size", "after", "expected"),
    [
        (len(JPEG), JPEG, (JPEG, JPEG)), (0, b"", (JPEG, b"")), (-5, b"", (JPEG, b"")), (5, b"GIF89", (JPEG, b"")),
        (10**30, b"", (b"", b"")), (2 * len(JPEG), JPEG, (b"", b"")), ("x", b"", (b"", b"")),
        (None, b"", (b"", b"")),
    ],
)  # fmt: skip
def test_the_crop_follows_the_image_and_a_false_size_is_no_crop(
    monkeypatch: pytest.MonkeyPatch, size: Any, after: bytes, expected: tuple[bytes, bytes]
) -> None:
    head = json.dumps({"colors": [], "crop_bytes": size}).encode()
    monkeypatch.setattr(snapshots, "run_module", lambda *_, **__: head + b"\n" + JPEG + after)
    taken = decode_in_process(StillPlace("x", 0, 0, 0, 0, 0, 0), 1280, None)
    assert (taken.jpeg, taken.crop) == expected


def test_a_real_crop_shows_the_object_and_its_box_is_kept(door: Camera, clock: FakeClock) -> None:
    event = noted(box=[0.25, 0.25, 0.5, 0.75])
    taker(clock).tick()
    row = Snapshot.objects.get()
    whole, crop = (
        cv2.imdecode(np.frombuffer(path(event.pk).read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
        for path in (snapshot_path, crop_path)
    )
    assert whole is not None and crop is not None
    height, width = whole.shape
    margin = 0.1 * max(width / 4, height / 2)
    assert crop.shape == pytest.approx((height / 2 + 2 * margin, width / 4 + 2 * margin), abs=2)
    top, left = round(height / 4 - margin), round(width / 4 - margin)
    part = whole[top : top + crop.shape[0], left : left + crop.shape[1]]
    assert np.abs(part.astype(int) - crop).mean() < 8
    assert row.size_bytes == sum(path(event.pk).stat().st_size for path in (snapshot_path, crop_path))
    assert row.box == [0.25, 0.25, 0.5, 0.75]


def test_a_later_snapshot_without_an_object_removes_the_crop(door: Camera, clock: FakeClock) -> None:
    event = noted(end_ns=None, box=[0, 0, 0.5, 0.5])
    taker(clock, lambda *_: Taken(JPEG, 0, JPEG + b"crop")).tick()
    assert crop_path(event.pk).exists()
    event.best_ns, event.end_ns, event.box = NOON_NS + S, NOON_NS + 2 * S, None
    event.save()
    with transaction.atomic():
        note_changed(event, (), has_ended=True)
    taker(clock, fake).tick()
    assert not crop_path(event.pk).exists() and Snapshot.objects.get().box is None


def test_processors_of_events_are_called_for_each_stored_snapshot(
    door: Camera, clock: FakeClock, run_dir: Path
) -> None:
    processor = {"name": "plates", "cameras": ["*"], "when": "events"}
    status = {"updated_ns": time.time_ns(), "is_code_known": True, "processors": [processor]}
    (run_dir / "status.json").write_text(json.dumps(status))
    event = noted(end_ns=None)
    assert not EventCall.objects.exists(), "there is no snapshot yet"
    taker(clock, fake).tick()
    call = EventCall.objects.get()
    assert (call.event_id, call.processor, call.due_ns) == (event.pk, "plates", clock.wall_ns())
    EventCall.objects.update(state="done", due_ns=None)
    event.end_ns = NOON_NS + S
    event.save()
    for best_ns, is_called in ((event.best_ns, False), (NOON_NS + S, True)):
        Event.objects.filter(pk=event.pk).update(best_ns=best_ns)
        with transaction.atomic():
            note_changed(event, (), has_ended=True)
        taker(clock, fake).tick()
        assert EventCall.objects.filter(state="waiting").exists() is is_called, (
            "only a better one is read again"
        )


def test_a_snapshot_is_due_only_when_the_frame_is_in_the_index(door: Camera, clock: FakeClock) -> None:
    before_ns = time.time_ns()
    noted()
    due_ns = Snapshot.objects.get().due_ns
    assert due_ns is not None and due_ns >= before_ns + DELAY_NS
    assert not Snapshot.objects.due(due_ns - 1).exists() and Snapshot.objects.due(due_ns).exists()


def test_a_recording_that_is_late_is_waited_for_but_not_forever(door: Camera) -> None:
    event = noted(start_ns=NOON_NS + 100 * S, end_ns=NOON_NS + 101 * S)
    clock = FakeClock(wall_ns=event.start_ns + 10 * S)
    taker(clock, fake).tick()
    assert Snapshot.objects.get().due_ns == clock.wall_ns() + 5 * S
    clock.advance(GIVE_UP_NS / S)
    taker(clock, fake).tick()
    assert not Snapshot.objects.exists() and not snapshot_path(event.pk).exists()


def test_cameras_that_do_not_record_and_health_events_have_none(door: Camera, yard: Camera) -> None:
    noted(slug="yard")
    noted(source="engine")
    noted(slug="")
    assert not Snapshot.objects.exists()


def test_an_event_that_ends_while_its_snapshot_is_taken_keeps_its_request(
    door: Camera, clock: FakeClock
) -> None:
    noted()

    def decode(*_: Any) -> Taken:
        Snapshot.objects.update(due_ns=7)
        return Taken(JPEG)

    taker(clock, decode).tick()
    assert Snapshot.objects.get().due_ns == 7


def test_two_hosts_do_not_take_the_same_snapshot(door: Camera, clock: FakeClock) -> None:
    noted()
    other = taker(clock, fake)

    def decode(*_: Any) -> Taken:
        assert not other.tick(), "leased"
        return Taken(JPEG)

    assert taker(clock, decode).tick()


def test_a_process_that_is_killed_before_it_records_the_file_takes_the_snapshot_again(
    door: Camera, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = noted()

    def die(*_: Any) -> None:
        raise SystemExit

    killed = taker(clock, fake)
    with monkeypatch.context() as patched:
        patched.setattr("ninjacam.actions.snapshots.note_changed", die)
        with pytest.raises(SystemExit):
            killed.tick()
    event.refresh_from_db()
    assert snapshot_path(event.pk).exists() and event.snapshot_ns is None
    other = SnapshotTaker(get_settings(), clock=clock, decode=fake)
    assert not other.tick(), "leased"
    clock.advance(31)
    assert other.tick()
    event.refresh_from_db()
    assert event.snapshot_ns == event.start_ns and Snapshot.objects.get().due_ns is None


@pytest.mark.parametrize("jpeg", [b"", bytes(MAX_BYTES + 1)])
def test_a_frame_that_cannot_be_decoded_or_is_too_large_is_given_up(
    door: Camera, clock: FakeClock, jpeg: bytes
) -> None:
    event = noted()
    taker(clock, lambda *_: Taken(jpeg)).tick()
    assert not Snapshot.objects.exists() and not snapshot_path(event.pk).exists()


def test_the_oldest_snapshots_make_room_but_not_those_of_protected_events(
    door: Camera, clock: FakeClock, settings: Any
) -> None:
    settings.NINJACAM = {**settings.NINJACAM, "SNAPSHOT_BYTES": 250}
    protected, old, new, newest = (noted(start_ns=NOON_NS + n * FRAME_NS, protected=n == 0) for n in range(4))
    each = taker(clock, fake)
    while each.tick():
        pass
    assert [event.pk for event in (protected, old, new, newest) if snapshot_path(event.pk).exists()] == [
        protected.pk,
        newest.pk,
    ]
    old.refresh_from_db()
    assert old.snapshot_ns is None


def test_protected_snapshots_alone_do_not_exceed_the_limit(
    door: Camera, clock: FakeClock, settings: Any
) -> None:
    settings.NINJACAM = {**settings.NINJACAM, "SNAPSHOT_BYTES": 150}
    first, second = noted(protected=True), noted(protected=True)
    each = taker(clock, fake)
    assert each.tick() and each.tick()
    assert snapshot_path(first.pk).exists() is not snapshot_path(second.pk).exists()


def test_the_camera_with_most_snapshots_makes_room(door: Camera) -> None:
    for number, slug in enumerate(("yard", "door", "door")):
        event = make_event(slug=slug)
        Snapshot.objects.create(event_id=event.pk, slug=slug, taken_ns=number, size_bytes=100)
    assert Snapshot.objects.make_room(250)
    assert sorted(Snapshot.objects.values_list("slug", flat=True)) == ["door", "yard"]


def test_a_snapshot_is_deleted_with_its_event(
    door: Camera, clock: FakeClock, django_capture_on_commit_callbacks: Any
) -> None:
    event = noted()
    taker(clock, fake).tick()
    path = snapshot_path(event.pk)
    assert path.exists()
    with django_capture_on_commit_callbacks(execute=True):
        delete_event(LocalOperator(), event)
    assert not path.exists() and not Snapshot.objects.exists()


def test_a_sweep_deletes_what_other_deletions_leave_and_only_that(door: Camera, clock: FakeClock) -> None:
    gone, kept = noted(), noted()
    each = taker(clock, fake)
    assert each.tick() and each.tick()
    Event.objects.filter(pk=gone.pk).delete()
    lost = snapshot_path(10**6 + 5)
    lost.parent.mkdir(parents=True)
    lost.write_bytes(JPEG)
    lost_crop = crop_path(10**6 + 6)
    lost_crop.write_bytes(JPEG)
    foreign = lost.with_name("holiday.jpg")
    foreign.write_bytes(JPEG)
    Snapshot.objects.sweep()
    assert not snapshot_path(gone.pk).exists() and not lost.exists() and not lost_crop.exists()
    assert snapshot_path(kept.pk).exists() and foreign.exists()
    assert Snapshot.objects.get().event_id == kept.pk


def test_a_renamed_camera_keeps_its_snapshots(door: Camera, clock: FakeClock) -> None:
    event = noted()
    taker(clock, fake).tick()
    door.slug = "gate"
    door.save()
    assert Snapshot.objects.get().slug == "gate" and snapshot_path(event.pk).exists()


def test_the_api_serves_a_snapshot_to_users_who_may_replay_the_camera(
    door: Camera, clock: FakeClock, viewer: User, caplog: pytest.LogCaptureFixture
) -> None:
    event = noted()
    url = f"/api/v1/events/{event.pk}/snapshot.jpg"
    client = signed_in(viewer)
    CameraGrant.objects.create(camera=door, user=viewer, role="replay")
    assert client.get(url).status_code == 404
    assert client.get(f"/api/v1/events/{event.pk}").json()["snapshot_at"] is None
    snapshot_path(event.pk).parent.mkdir(parents=True)
    snapshot_path(event.pk).write_bytes(b"of an event that had this number before the database was restored")
    assert client.get(url).status_code == 404
    taker(clock, fake).tick()
    response = client.get(url)
    assert (response.status_code, response["Content-Type"], response.content) == (200, "image/jpeg", JPEG)
    assert client.get(f"/api/v1/events/{event.pk}").json()["snapshot_at"].startswith("20")
    assert "event.snapshot" in caplog.text
    CameraGrant.objects.filter(role="replay").delete()
    assert signed_in(viewer).get(url).status_code == 403
    assert signed_in(viewer).get(f"{url}?crop=1").status_code == 403


def test_the_api_serves_the_object_alone_with_the_same_permission_and_audit(
    door: Camera, clock: FakeClock, viewer: User, caplog: pytest.LogCaptureFixture
) -> None:
    event = noted()
    url = f"/api/v1/events/{event.pk}/snapshot.jpg"
    client = signed_in(viewer)
    CameraGrant.objects.create(camera=door, user=viewer, role="replay")
    crop_path(event.pk).parent.mkdir(parents=True)
    crop_path(event.pk).write_bytes(b"of an event that had this number before the database was restored")
    assert client.get(f"{url}?crop=1").status_code == 404
    taker(clock, fake).tick()
    assert client.get(f"{url}?crop=1").content == JPEG, "the event has no object"
    assert "event.snapshot" in caplog.text
    crop_path(event.pk).write_bytes(JPEG + b"crop")
    response = client.get(f"{url}?crop=1")
    assert (response["Content-Type"], response.content) == ("image/jpeg", JPEG + b"crop")
    assert response["Cache-Control"] == "private, no-cache"
    assert client.get(f"{url}?crop=1", headers={"If-None-Match": response["ETag"]}).status_code == 304
    assert client.get(url, headers={"If-None-Match": response["ETag"]}).content == JPEG
    assert client.get(f"{url}?crop=maybe").status_code == 422
    CameraGrant.objects.filter(role="replay").delete()
    assert signed_in(viewer).get(f"{url}?crop=1").status_code == 403
