"""The index and retention on real files and a real database."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections

from ninjacam.adapters import segment_index
from ninjacam.adapters.event_log import DatabaseEventLog
from ninjacam.adapters.index_check import compare, rebuild
from ninjacam.adapters.segment_index import DatabaseIndex
from ninjacam.conf import get_settings
from ninjacam.core.errors import ConfigError, NinjacamError
from ninjacam.core.packets import Codec
from ninjacam.core.processor_values import Summary
from ninjacam.engine.bitrates import BitrateChange
from ninjacam.engine.events import EngineEvent
from ninjacam.engine.retention import Disk, RetentionRules
from ninjacam.models import Camera, Event, Segment, Snapshot, ValueSeries, ValueSlot
from ninjacam.models.snapshot import snapshot_path
from ninjacam.recordings import segments
from ninjacam.testing.clock import FakeClock
from tests.unit.recordings.recording_support import WALL_NS, Recorded, encoded

pytestmark = pytest.mark.django_db
HOUR_NS = 3600 * 10**9


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, segments.SegmentInfo]]:
    """Record six files of `door`, two seconds each, modified an hour ago.

    Return the directory and the reported segments.
    """
    root = tmp_path_factory.mktemp("recorded")
    made = Recorded(root, period_s=2)
    made.feed(encoded(Codec.H264, 300))
    paths = made.close()
    for path in paths:
        os.utime(path, (time.time() - 3600,) * 2)
    return root, made.segments


@pytest.fixture
def root(recorded: tuple[Path, dict[str, segments.SegmentInfo]], tmp_path: Path, settings: Any) -> Path:
    copy = tmp_path / "recordings"
    shutil.copytree(recorded[0], copy)
    settings.NINJACAM = {**settings.NINJACAM, "RECORDINGS_DIR": copy}
    return copy


@pytest.fixture
def told(recorded: tuple[Path, dict[str, segments.SegmentInfo]]) -> list[segments.SegmentInfo]:
    """Return capture's reports, the oldest first."""
    return sorted(recorded[1].values(), key=lambda each: each.start_ns)


@pytest.fixture(autouse=True)
def _roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        segment_index, "disk_of", lambda root: Disk(10**12, 10**12) if root.is_dir() else None
    )


def rows() -> list[dict[str, Any]]:
    return [dict(row) for row in Segment.objects.order_by("path").values()]


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def index(root: Path, **rules: Any) -> DatabaseIndex:
    return DatabaseIndex(root, RetentionRules(**rules))


def kinds(root: Path) -> list[str]:
    return [difference.kind for difference in compare(root)]


def test_the_files_alone_yield_the_rows_that_capture_reported(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    assert len(told) == 6
    index(root).add(told)
    reported = [{**row, "id": 0} for row in rows()]
    Segment.objects.all().delete()
    assert rebuild(root).listed == 6
    assert [{**row, "id": 0} for row in rows()] == reported
    assert kinds(root) == []


def test_the_scan_adds_missing_rows_and_corrects_short_ones(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    index(root).add(told[:4])
    Segment.objects.filter(path=told[3].path).update(size_bytes=1, end_ns=told[3].start_ns, open=True)
    assert index(root).catch_up(WALL_NS - HOUR_NS) == 3
    assert {row["path"]: row["size_bytes"] for row in rows()} == {each.path: each.size_bytes for each in told}
    assert not any(row["open"] for row in rows())
    assert index(root).catch_up(WALL_NS - HOUR_NS) == 0


def test_the_scan_looks_back_only_as_far_as_requested(root: Path) -> None:
    assert index(root).catch_up(WALL_NS + 2 * HOUR_NS) == 0


def test_a_recently_changed_file_counts_as_being_written(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    os.utime(root / told[-1].path)
    index(root).catch_up(WALL_NS - HOUR_NS)
    assert [row["open"] for row in rows()] == [False] * 5 + [True]


def test_one_damaged_file_is_one_gap(root: Path, told: list[segments.SegmentInfo]) -> None:
    (root / told[2].path).write_bytes(b"no recording")
    assert rebuild(root) == type(rebuild(root))(listed=5, removed=0, left_out=1)
    assert index(root).catch_up(0) == 0
    assert kinds(root) == ["unreadable"]


def test_a_rebuild_deletes_rows_of_missing_files_and_keeps_protection(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    index(root).add(told)
    Segment.objects.filter(path=told[0].path).update(protected=True)
    (root / told[1].path).unlink()
    assert rebuild(root).removed == 1
    assert [row["protected"] for row in rows()] == [True, False, False, False, False]


def test_a_disk_that_is_not_mounted_does_not_empty_the_index(
    root: Path, told: list[segments.SegmentInfo], tmp_path: Path
) -> None:
    index(root).add(told)
    (tmp_path / "empty").mkdir()
    for away in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match="mounted"):
            rebuild(away)
        index(away, bytes=1, days=1).retain()
    assert len(rows()) == 6
    assert rebuild(tmp_path / "empty", force=True).removed == 6


# --- retention ---


def test_a_fresh_database_deletes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(root)
    monkeypatch.setattr(segment_index, "disk_of", lambda root: Disk(1000, 0))
    held = index(root, bytes=1, bytes_per_camera=1, days=1, free_bytes=1000).retain()
    assert files(root) == before and held["deleted"] == 0


def test_files_without_a_row_are_never_deleted(root: Path, told: list[segments.SegmentInfo]) -> None:
    index(root).add(told[1:3])
    (root / "door" / "notes.txt").write_text("mine")
    index(root, bytes=1, days=1).retain()
    assert rows() == []
    assert files(root) == sorted(["door/notes.txt", *(told[n].path for n in (0, 3, 4, 5))])
    assert sorted(kinds(root)) == ["no_row"] * 4 + ["stranger"]


def test_the_oldest_recordings_are_deleted_until_the_budget_is_met(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    budget = sum(each.size_bytes for each in told[2:]) + 10
    keeper = index(root, bytes=budget)
    keeper.add(told)
    held = keeper.retain()
    assert [row["path"] for row in rows()] == [each.path for each in told[2:]]
    assert files(root) == [each.path for each in told[2:]]
    assert held["deleted"] == 2 and held["deleted_bytes"] == told[0].size_bytes + told[1].size_bytes
    assert held["used_bytes"] == budget - 10 and held["cameras"] == {"door": budget - 10}
    assert keeper.retain()["deleted"] == 2


def test_recordings_made_after_the_first_count_are_counted_too(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    keeper = index(root, bytes=told[0].size_bytes * 3)
    assert keeper.retain()["used_bytes"] == 0
    keeper.add(told[:2])
    keeper.add(told[:2])
    assert keeper.retain()["used_bytes"] == told[0].size_bytes + told[1].size_bytes
    keeper.add(told)
    assert keeper.retain()["used_bytes"] <= told[0].size_bytes * 3
    assert keeper.retain()["used_bytes"] == Segment.objects.size_bytes_by_slug()["door"]


def test_stale_figures_delete_nothing_when_rows_were_deleted_elsewhere(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    keeper = index(root, bytes=sum(each.size_bytes for each in told) - 1)
    keeper.retain()
    keeper.add(told)
    Segment.objects.filter(path=told[-1].path).delete()
    assert keeper.retain()["deleted"] == 0
    assert len(files(root)) == 6


def test_recordings_that_are_protected_or_being_written_stay(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    keeper = index(root, bytes=1, days=1)
    keeper.add(told)
    Segment.objects.filter(path=told[0].path).update(protected=True)
    Segment.objects.filter(path=told[5].path).update(open=True, end_ns=time.time_ns())
    keeper.retain()
    assert files(root) == [told[0].path, told[5].path]


def happened(first: segments.SegmentInfo, last: segments.SegmentInfo, **values: Any) -> Event:
    """Create an event from the middle of one file to the middle of another, both of two seconds."""
    return Event.objects.create(
        **{
            "slug": "door", "kind": "motion", "source": "x", "protected": True,
            "start_ns": first.start_ns + 10**9, "end_ns": last.start_ns + 10**9, **values,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before_s", "after_s", "kept"), [(0, 0, [2, 3]), (2, 0, [1, 2, 3]), (0, 4, [2, 3, 4, 5])]
)
def test_recordings_needed_by_a_protected_event_stay(
    root: Path, told: list[segments.SegmentInfo], before_s: int, after_s: int, kept: list[int]
) -> None:
    Camera.objects.create(slug="door", url="x", record_before_s=before_s, record_after_s=after_s)
    keeper = index(root, bytes=1, days=1)
    keeper.add(told)
    event = happened(told[2], told[3])
    happened(told[5], told[5], protected=False)
    happened(told[5], told[5], slug="yard")
    keeper.retain()
    assert files(root) == [told[number].path for number in kept]
    Event.objects.filter(pk=event.pk).update(protected=False)
    keeper.retain()
    assert files(root) == []


def test_an_ongoing_protected_event_keeps_everything_since_its_start(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    keeper = index(root, bytes=1)
    keeper.add(told)
    happened(told[3], told[3], end_ns=None)  # the camera is deleted: 5 s before it
    keeper.retain()
    assert files(root) == [each.path for each in told[1:]]


def test_events_are_deleted_with_their_recordings(
    root: Path, told: list[segments.SegmentInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = index(root, days=2)
    day_ns = 86_400 * 10**9
    now_ns = time.time_ns()
    for slug in ("door", "yard", ""):
        for days in (1, 3, 400):
            Event.objects.create(
                slug=slug, kind=f"d{days}", source="x", start_ns=0, end_ns=now_ns - days * day_ns
            )
    Event.objects.create(slug="door", kind="kept", source="x", start_ns=0, end_ns=1, protected=True)
    Event.objects.create(slug="door", kind="open", source="x", start_ns=0)
    keeper.retain()
    assert Event.objects.count() == 11  # no recordings: the index may have been lost
    oldest = Segment(**told[0].as_dict())
    oldest.start_ns, oldest.end_ns = now_ns - 300 * day_ns, now_ns
    oldest.save()
    index(root, days=2).retain()

    def left(slug: str) -> set[str]:
        return set(Event.objects.filter(slug=slug).values_list("kind", flat=True))

    assert left("door") == {"d1", "d3", "kept", "open"}
    assert left("yard") == left("") == {"d1"}


def test_a_disk_filled_by_other_files_deletes_nothing_and_is_reported(
    root: Path, told: list[segments.SegmentInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = index(root, free_bytes=1000)
    keeper.add(told)
    held = keeper.retain()
    assert (held["disk_full"], held["disk_low"]) == (False, False)
    monkeypatch.setattr(segment_index, "disk_of", lambda root: Disk(10**12, 0))
    held = keeper.retain()
    assert (held["disk_full"], held["disk_low"], held["deleted"]) == (False, True, 0)
    assert len(files(root)) == 6
    assert index(root, free_bytes=1000).retain()["deleted"] == 0, "an engine that starts on such a disk"


def test_on_a_full_disk_recordings_make_room_only_for_new_recordings(
    root: Path, told: list[segments.SegmentInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = index(root, free_bytes=10**12)
    keeper.add(told[:4])
    keeper.retain()
    monkeypatch.setattr(segment_index, "disk_of", lambda root: Disk(10**13, 0))
    keeper.add([replace(told[4], size_bytes=10)])
    held = keeper.retain()
    assert (held["disk_full"], held["deleted"]) == (True, 1), "a whole file, for the first bytes of another"
    keeper.add(told[4:])
    keeper.retain()
    assert files(root) == [each.path for each in told[2:]]


def test_exports_do_not_cause_recordings_to_be_deleted(
    root: Path, told: list[segments.SegmentInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = root.parent / "exports"
    exports.mkdir()
    (exports / "a.mp4").write_bytes(bytes(1 << 20))
    keeper = DatabaseIndex(root, RetentionRules(free_bytes=1 << 20), exports_dir=exports)
    keeper.add(told[:5])
    monkeypatch.setattr(segment_index, "disk_of", lambda root: Disk(10**12, 4096))
    held = keeper.retain()
    assert (held["deleted"], held["disk_low"]) == (0, False)
    (exports / "a.mp4").unlink()
    keeper.add(told[5:])
    assert keeper.retain()["deleted"] > 0


def test_snapshots_are_deleted_with_the_events_that_retention_deletes(root: Path, run_dir: Path) -> None:
    """Also those that a process left which was killed in between, and files that it had not finished."""

    def event_with_snapshot(number: int) -> Event:
        event = Event.objects.create(
            slug="door", kind="person", source="x", start_ns=number, end_ns=number, snapshot_ns=number
        )
        Snapshot.objects.create(event_id=event.pk, slug="door", taken_ns=number, size_bytes=2)
        snapshot_path(event.pk).parent.mkdir(parents=True, exist_ok=True)
        snapshot_path(event.pk).write_bytes(b"\xff\xd8")
        return event

    old, left_with_row, left_without_row, new = (event_with_snapshot(number) for number in range(4))
    Event.objects.filter(pk__in=(left_with_row.pk, left_without_row.pk)).delete()
    Snapshot.objects.filter(event_id=left_without_row.pk).delete()
    unfinished = snapshot_path(left_without_row.pk + 100).with_suffix(".part")
    unfinished.write_bytes(b"\xff")
    foreign = unfinished.with_name("holiday.part")
    foreign.write_bytes(b"")
    DatabaseIndex(root, RetentionRules(), max_events=1).retain()
    assert list(Event.objects.values_list("pk", "snapshot_ns")) == [(new.pk, 3)]
    assert list(Snapshot.objects.values_list("event_id", flat=True)) == [new.pk]
    assert snapshot_path(new.pk).exists() and foreign.exists()
    assert not snapshot_path(old.pk).exists()
    assert not snapshot_path(left_with_row.pk).exists() and not snapshot_path(left_without_row.pk).exists()
    assert not unfinished.exists()


def test_the_newest_events_of_a_camera_are_kept_up_to_a_limit(root: Path) -> None:
    for slug, count in (("door", 12), ("yard", 4)):
        for number in range(count):
            Event.objects.create(
                slug=slug,
                kind=f"k{number}",
                source="x",
                start_ns=number,
                end_ns=number,
                protected=number == 0,
            )
    DatabaseIndex(root, RetentionRules(), max_events=5).retain()
    kept = set(Event.objects.filter(slug="door").values_list("kind", flat=True))
    assert kept == {"k0", *(f"k{n}" for n in range(7, 12))}
    assert Event.objects.filter(slug="yard").count() == 4


# --- the log of events ---


def test_the_log_of_the_engine_is_written_once_for_each_event() -> None:
    log = DatabaseEventLog()
    down = EngineEvent("door", "camera_down", 5, None, "It is away.", {"code": "timeout"})
    log.put([down])
    log.put([down, EngineEvent("", "disk_full", 7)])
    assert log.ongoing() == [down, EngineEvent("", "disk_full", 7)]
    Event.objects.filter(slug="door").update(label="The power was cut", protected=True)
    log.put([replace(down, end_ns=9)])
    row = Event.objects.get(slug="door")
    assert (row.end_ns, row.label, row.protected, row.source) == (9, "The power was cut", True, "engine")
    assert [event.slug for event in log.ongoing()] == [""]
    assert not Event.objects.filter(triggers_recording=True).exists()


def test_a_row_that_lost_its_writer_long_ago_is_deleted_too(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    keeper = index(root, bytes=1)
    keeper.add(told)
    Segment.objects.update(open=True)
    keeper.retain()
    assert files(root) == [] and rows() == []


def test_a_full_disk_deletes_the_oldest_recordings_until_enough_is_free(
    root: Path, told: list[segments.SegmentInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    size_bytes = sum(each.size_bytes for each in told)

    def disk(root: Path) -> Disk:
        used_bytes = sum((root / path).stat().st_size for path in files(root))
        return Disk(size_bytes + 100, size_bytes + 100 - used_bytes)

    monkeypatch.setattr(segment_index, "disk_of", disk)
    keeper = index(root, free_bytes=told[0].size_bytes + 50)
    keeper.add(told)
    keeper.retain()
    assert files(root) == [each.path for each in told[1:]]


def test_a_missing_file_loses_its_row(root: Path, told: list[segments.SegmentInfo]) -> None:
    keeper = index(root, bytes=1)
    keeper.add(told)
    (root / told[0].path).unlink()
    keeper.retain()
    assert rows() == []


def test_a_camera_whose_directory_is_missing_keeps_its_rows(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    keeper = index(root, days=1)
    keeper.add(told)
    shutil.move(root / "door", root.parent / "door")
    keeper.retain()
    assert len(rows()) == 6


def test_a_file_that_cannot_be_deleted_keeps_its_row_and_is_reported_and_others_are_deleted(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    keeper = index(root, bytes=1)
    keeper.add(told)
    (root / told[0].path).unlink()
    (root / told[0].path).mkdir()  # unlink fails for root, too
    held = keeper.retain()
    assert told[0].path in held["failed"]
    assert [row["path"] for row in rows()] == [told[0].path]
    assert files(root) == []


@pytest.mark.parametrize(
    "path", ["../outside.mp4", "../2026-11-22/08/00-00.mp4", "door/../../x.mp4", "yard/x.mp4"]
)
def test_no_row_leads_to_deletions_elsewhere(root: Path, told: list[segments.SegmentInfo], path: str) -> None:
    outside = root / path
    outside.parent.mkdir(parents=True, exist_ok=True)
    outside.write_text("precious")
    row = Segment.objects.create(
        slug=path.partition("/")[0], path=path, start_ns=1, end_ns=2, size_bytes=10,
        codec="h264", width_px=1, height_px=1,
    )  # fmt: skip
    held = index(root, bytes=1, days=1).retain()
    assert outside.read_text() == "precious"
    assert held["failed"] and Segment.objects.filter(pk=row.pk).exists()


def test_empty_directories_are_deleted_with_the_last_file(
    root: Path, told: list[segments.SegmentInfo]
) -> None:
    keeper = index(root, bytes=1)
    keeper.add(told)
    keeper.retain()
    assert list((root / "door").iterdir()) == []


def test_an_unavailable_database_raises_our_error(
    root: Path, told: list[segments.SegmentInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("database is locked")

    closed: list[bool] = []
    monkeypatch.setattr(connections, "close_all", lambda: closed.append(True))
    monkeypatch.setattr(Segment.objects.__class__, "put", fail)
    with pytest.raises(NinjacamError, match="recording continues"):
        index(root).add(told)
    assert closed, "the connection may be broken"


def test_closing_ends_a_scan(root: Path) -> None:
    keeper = index(root)
    keeper.close()
    assert keeper.catch_up(0) == 0


# --- commands ---


def test_the_commands_list_and_compare_and_explain(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="6 no_row"):
        call_command("ninjacam_fsck")
    call_command("ninjacam_index", "--rebuild")
    call_command("ninjacam_fsck")
    said = capsys.readouterr().out
    assert "6 recordings indexed" in said and "6 recordings match the index" in said
    torn = root / rows()[0]["path"]
    with torn.open("ab") as file:
        file.write(b"torn")
    os.utime(torn, (1, 1))
    (root / rows()[1]["path"]).unlink()
    with pytest.raises(CommandError, match="1 differs, 1 no_file"):
        call_command("ninjacam_fsck")
    assert "The last 4 bytes" in capsys.readouterr().out


def test_retention_is_a_setting(settings: Any) -> None:
    settings.NINJACAM = {**settings.NINJACAM, "RETENTION": {"bytes": 10, "days": 1.5}}
    assert get_settings().retention == RetentionRules(bytes=10, days=1.5)
    for wrong in ({"byte": 1}, {"bytes": -1}, {"bytes": "10G"}, {"bytes": True}, 7):
        settings.NINJACAM = {**settings.NINJACAM, "RETENTION": wrong}
        with pytest.raises(ConfigError, match="RETENTION"):
            get_settings()
    settings.NINJACAM = {key: value for key, value in settings.NINJACAM.items() if key != "RETENTION"}
    assert get_settings().recordings_dir == get_settings().data_dir / "recordings"


def test_the_bitrate_of_the_last_hour_is_compared_with_the_same_hour_of_earlier_days(root: Path) -> None:
    clock = FakeClock()
    now_ns = clock.wall_ns()
    for slug in ("door", "yard", "deleted"):
        if slug != "deleted":
            Camera.objects.create(slug=slug, url="rtsp://192.168.1.20/")
        for days_ago in range(6):
            for minutes_ago in (20, 40, 600):
                start_ns = now_ns - days_ago * 24 * HOUR_NS - minutes_ago * 60 * 10**9
                size_bytes = 1_000_000 if (days_ago, slug) == (0, "door") else 2_000_000
                Segment.objects.create(
                    slug=slug,
                    path=f"{slug}/{start_ns}.mp4",
                    start_ns=start_ns,
                    end_ns=start_ns + 600 * 10**9,
                    size_bytes=size_bytes if minutes_ago < 600 else 9_000_000,
                    codec="h264",
                    width_px=1920,
                    height_px=1080,
                )
    found = DatabaseIndex(root, RetentionRules(), clock=clock).compare_bitrates()
    assert found == {"door": BitrateChange(13_333, 26_667), "yard": BitrateChange(26_667, 26_667)}


@pytest.mark.django_db(transaction=True)
def test_old_values_are_merged_and_older_ones_deleted(root: Path) -> None:
    camera = Camera.objects.create(slug="door", url="rtsp://127.0.0.1/x")
    series = ValueSeries.objects.of_names(camera, "people", ["inside", "gone"])
    now_s = int(time.time())
    for age_days, name in ((31, "gone"), (31, "inside"), (5, "inside"), (1, "inside")):
        start_s = (now_s - age_days * 86_400) // 300 * 300
        slots = {start_s + at_s: {name: Summary(1, 1, 1, 1)} for at_s in range(0, 60, 10)}
        ValueSlot.objects.put(series, slots)
    index(root).retain()
    assert list(ValueSeries.objects.values_list("name", flat=True)) == ["inside"]
    assert sorted(ValueSlot.objects.values_list("count", flat=True)) == [1] * 6 + [6]
    index(root, days=3).retain()
    assert ValueSlot.objects.count() == 6
