"""The page of the storage: sizes, rates, days left, what is deleted next, and the hours of a month."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from ninjacam.auth import Principal
from ninjacam.core.times import to_ns
from ninjacam.engine.retention import Disk
from ninjacam.models import Camera, Event, Segment
from ninjacam.queries import storage
from ninjacam.queries.storage import StorageReport, read_month, read_storage
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db
PATH = "/administration/storage/"
HOUR_NS, DAY_NS = 3600 * 10**9, 86_400 * 10**9
NOW_NS = time.time_ns()


def record(
    slug: str, start_ns: int, size_bytes: int = 1000, length_ns: int = 60 * 10**9, **fields: Any
) -> Segment:
    return Segment.objects.create(
        slug=slug, path=f"{slug}/{start_ns}.mp4", start_ns=start_ns, end_ns=start_ns + length_ns,
        size_bytes=size_bytes, codec="h264", width_px=640, height_px=360, **fields,
    )  # fmt: skip


@pytest.fixture
def report(admin_user: User, settings: Any, monkeypatch: pytest.MonkeyPatch, run_dir: Any) -> Any:
    def read(disk: Disk | None = None, **retention: Any) -> StorageReport:
        monkeypatch.setattr(storage, "_disk_of", lambda root: disk)
        settings.NINJACAM = {**settings.NINJACAM, "RETENTION": retention}
        return read_storage(Principal(admin_user, "session"))

    return read


def test_days_left_follow_the_limits(report: Any, camera: Camera, yard: Camera) -> None:
    record("door", NOW_NS - 5 * DAY_NS, 4000)
    record("door", NOW_NS - HOUR_NS, 1000)
    record("yard", NOW_NS - 12 * HOUR_NS, 500)  # Half a day of history: 1000 a day.
    found = report()
    door, back = found.cameras
    assert (door.slug, door.size_bytes, door.bytes_per_day, door.days_left) == ("door", 5000, 1000, None)
    assert back.bytes_per_day == pytest.approx(1000, rel=0.01) and found.limit == "" and found.next == []
    found = report(bytes=7500)
    assert found.limit == "bytes" and found.days_left == pytest.approx(1.0, rel=0.01)
    found = report(bytes=100_000, bytes_per_camera=6000)
    assert found.limit == "bytes_per_camera" and found.days_left == pytest.approx(1.0, rel=0.01)
    assert found.cameras[1].days_left == pytest.approx(5.5, rel=0.01)
    assert {each.slug for each in found.next} == {"door"}
    found = report(bytes=100_000, days=5.5)
    assert found.limit == "days" and found.days_left == pytest.approx(0.5, rel=0.01)
    assert report(bytes=100).days_left == 0
    found = report(Disk(10_000, 2000), free_bytes=1000)
    assert found.limit == "free_bytes" and found.days_left == pytest.approx(0.5, rel=0.01)


def test_next_are_the_oldest_that_may_go(report: Any, camera: Camera, yard: Camera) -> None:
    record("door", NOW_NS - 9 * DAY_NS, protected=True)
    needed = record("door", NOW_NS - 8 * DAY_NS)
    Event.objects.create(
        slug="door",
        kind="person",
        start_ns=needed.start_ns,
        end_ns=needed.end_ns,
        source="code",
        protected=True,
    )
    kept = [record("door", NOW_NS - days * DAY_NS + HOUR_NS) for days in range(7, 0, -1)]
    record("door", NOW_NS - 10**9, open=True)
    for rules in ({"bytes": 20_000}, {"days": 30}, {"bytes_per_camera": 20_000}):
        found = report(**rules)
        assert [each.pk for each in found.next][:7] == [each.pk for each in kept], rules


def test_the_month_counts_hours_of_local_days(admin_user: User, camera: Camera, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Seoul"
    with timezone.override("Asia/Seoul"):
        first = datetime(2026, 10, 1, tzinfo=UTC).date()
        record(
            "door", to_ns(datetime(2026, 9, 30, 14, 30, tzinfo=UTC)), length_ns=HOUR_NS
        )  # 23:30, the day before.
        record("door", to_ns(datetime(2026, 9, 30, 15, 0, tzinfo=UTC)), length_ns=HOUR_NS)  # 00:00.
        record(
            "door", to_ns(datetime(2026, 10, 31, 14, 0, tzinfo=UTC)), length_ns=HOUR_NS // 2
        )  # 23:00 of the last.
        record("door", to_ns(datetime(2026, 10, 31, 15, 0, tzinfo=UTC)), length_ns=HOUR_NS)  # In November.
        month = read_month(Principal(admin_user, "session"), first, ["door", "yard"])
    assert len(month.days) == 31 and month.hours["yard"] == [0.0] * 31
    assert (
        month.hours["door"][0] == 1.0 and month.hours["door"][30] == 0.5 and sum(month.hours["door"]) == 1.5
    )


def test_the_page_shows_deleted_cameras_and_any_month(admin_user: User, camera: Camera) -> None:
    client = signed_in(admin_user)
    record("gone", NOW_NS - HOUR_NS, 5 << 20)
    page = client.get(PATH).content.decode()
    assert "Back entrance" in page and "gone" in page and "5.0\xa0MB" in page and 'class="level-1"' in page
    for month in ("2020-02", "2020-13", "x", "1000-01", "9999-12", "\0"):
        assert client.get(PATH, {"month": month}).status_code == 200
    assert client.get(PATH, {"month": "2020-02"}).content.decode().count('<td class="level-0">') == 2 * 29


def test_an_empty_installation_says_what_to_do(admin_user: User) -> None:
    assert "Add a camera" in signed_in(admin_user).get(PATH).content.decode()


def test_others_are_refused(viewer: User) -> None:
    assert signed_in(viewer).get(PATH).status_code == 403
