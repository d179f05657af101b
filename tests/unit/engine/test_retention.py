from collections.abc import Sequence
from dataclasses import dataclass

from ninjacam.engine.retention import (
    DAY_NS,
    Disk,
    Growth,
    RetentionRules,
    is_filled_by_others,
    plan_retention,
)

NOW = 1_790_000_000 * 10**9
ROOMY = Disk(10**12, 10**12)


@dataclass(frozen=True)
class Held:
    slug: str
    start_ns: int
    size_bytes: int = 10
    end_ns: int = 0


def held(slug: str, *ages_days: float) -> list[Held]:
    return [Held(slug, NOW - int(age * DAY_NS), end_ns=NOW - int(age * DAY_NS) + 60) for age in ages_days]


def plan(
    rules: RetentionRules,
    *cameras: Sequence[Held],
    disk: Disk = ROOMY,
    used_bytes: dict[str, int] | None = None,
    growth: Growth | None = None,
) -> list[tuple[str, float]]:
    oldest = {each[0].slug: each for each in cameras}
    used = {slug: sum(item.size_bytes for item in few) for slug, few in oldest.items()}
    gone = plan_retention(rules, used_bytes or used, oldest, disk, NOW, growth or Growth(owed_bytes=10**12))
    return [(item.slug, (NOW - item.start_ns) / DAY_NS) for item in gone]


def test_without_rules_nothing_is_deleted() -> None:
    assert plan(RetentionRules(), held("a", 900, 800)) == []


def test_the_oldest_recording_of_a_camera_makes_room_within_its_budget() -> None:
    rules = RetentionRules(bytes_per_camera=20)
    assert plan(rules, held("a", 4, 3, 2, 1), held("b", 9, 8)) == [("a", 4), ("a", 3)]
    assert plan(rules, held("b", 9, 8), held("a", 4, 3, 2, 1)) == [("a", 4), ("a", 3)]


def test_the_largest_camera_makes_room_within_the_total_budget() -> None:
    rules = RetentionRules(bytes=30)
    assert plan(rules, held("a", 5, 3, 1), held("b", 4, 2, 0)) == [("a", 5), ("b", 4), ("a", 3)]


def test_recordings_that_exactly_fill_the_budget_stay() -> None:
    assert plan(RetentionRules(bytes=20, bytes_per_camera=20), held("a", 2, 1)) == []


def test_the_byte_limits_apply_before_the_age_limit() -> None:
    rules = RetentionRules(bytes=20, days=2.5)
    assert plan(rules, held("a", 4, 3), held("b", 6, 1)) == [("b", 6), ("a", 4), ("a", 3)]


def test_the_age_limit_deletes_no_more_than_necessary() -> None:
    assert plan(RetentionRules(days=2), held("a", 4, 3, 1), held("b", 1)) == [("a", 4), ("a", 3)]


def test_the_age_of_a_file_is_that_of_its_end() -> None:
    long = Held("a", NOW - 3 * DAY_NS, end_ns=NOW - DAY_NS)
    assert plan(RetentionRules(days=2), [long]) == []


def test_the_free_space_stays_above_the_watermark() -> None:
    rules = RetentionRules(free_bytes=25)
    assert plan(rules, held("a", 3, 1), held("b", 2), disk=Disk(100, 10)) == [("a", 3), ("b", 2)]


def test_the_watermark_is_a_twentieth_of_the_disk_and_at_most_5_gib() -> None:
    rules = RetentionRules()
    assert rules.watermark_bytes(1000) == 50
    assert rules.watermark_bytes(10**13) == 5 << 30
    assert RetentionRules(free_bytes=0).watermark_bytes(10**13) == 0


def test_protected_bytes_count_but_are_not_deleted() -> None:
    """They are part of `used_bytes`, and are not deleted as the oldest files."""
    assert plan(RetentionRules(bytes=15), held("a", 1), used_bytes={"a": 500}) == [("a", 1)]


def test_an_empty_index_deletes_nothing() -> None:
    assert plan_retention(RetentionRules(bytes=1, days=1), {}, {}, Disk(100, 0), NOW, Growth(100)) == []


# --- growth and deletion by camera ---


@dataclass
class Host:
    """A disk of 1000 bytes with cameras that record files of 10 bytes. Retention runs after each `record`."""

    rules: RetentionRules
    foreign_bytes: int = 0

    def __post_init__(self) -> None:
        self.files: dict[str, list[Held]] = {}
        self.growth = Growth()
        self.number = 0

    @property
    def used(self) -> dict[str, int]:
        return {slug: 10 * len(files) for slug, files in self.files.items()}

    @property
    def disk(self) -> Disk:
        return Disk(1000, max(0, 1000 - self.foreign_bytes - sum(self.used.values())))

    def record(self, **counts: int) -> None:
        for slug, count in counts.items():
            for _ in range(count):
                if self.disk.free_bytes >= 10:
                    self.number += 1
                    self.files.setdefault(slug, []).append(Held(slug, self.number))
                    self.growth.add(slug, 10)
        oldest = {slug: files[:64] for slug, files in self.files.items()}
        for gone in plan_retention(self.rules, self.used, oldest, self.disk, NOW, self.growth):
            self.files[gone.slug].remove(gone)
            self.growth.add(gone.slug, -10)
        self.growth.settle(self.rules, sum(self.used.values()), self.disk)

    @property
    def is_low(self) -> bool:
        return is_filled_by_others(self.rules, self.disk, self.growth)


WATERMARK = RetentionRules(free_bytes=100)


def test_on_a_disk_filled_by_recordings_the_oldest_makes_room() -> None:
    host = Host(WATERMARK)
    for _ in range(300):
        host.record(door=1)
        assert not host.is_low
    assert host.used == {"door": 900}
    assert host.files["door"][0].start_ns == 211


def test_a_disk_filled_by_other_files_deletes_no_recording_and_raises_an_alarm() -> None:
    host = Host(WATERMARK)
    host.record(door=25)
    host.foreign_bytes = 740
    host.record()
    assert host.used == {"door": 250} and host.is_low
    host.foreign_bytes = 0
    host.record()
    assert not host.is_low


def test_while_other_files_fill_the_disk_recordings_make_room_only_for_recordings() -> None:
    host = Host(WATERMARK)
    host.record(door=25)
    host.foreign_bytes = 690
    for _ in range(100):
        host.record(door=2)
        assert host.used == {"door": 250}


def test_repeated_filling_of_the_disk_deletes_no_more_than_was_recorded() -> None:
    host = Host(WATERMARK)
    host.record(door=25)
    for _ in range(50):
        host.foreign_bytes = 700
        host.growth.add("door", 1)  # a fragment of the open file: smaller than a file
        host.record()
        host.foreign_bytes = 0
        host.record()
    assert host.used["door"] >= 250 - 50 - 10


def test_a_disk_filled_by_other_files_to_the_last_byte_costs_at_most_one_file() -> None:
    host = Host(WATERMARK)
    host.record(door=25)
    for _ in range(20):
        host.foreign_bytes = 1000 - sum(host.used.values())
        host.record(door=5)
    assert host.used["door"] >= 240


def test_a_camera_that_floods_deletes_only_its_own_recordings() -> None:
    for rules in (WATERMARK, RetentionRules(bytes=900)):
        host = Host(rules)
        for _ in range(100):
            host.record(door=3, yard=1)
        before = host.used
        assert before["door"] > 2 * before["yard"], "the larger one is not the one that floods"
        for _ in range(5):
            host.record(door=1, yard=9)
        assert host.used["door"] >= before["door"] - 20
        assert sum(host.used.values()) <= 900


def test_cameras_keep_their_shares_of_a_full_disk() -> None:
    host = Host(WATERMARK)
    for _ in range(400):
        host.record(large=6, small=2)
    assert 2.5 <= host.used["large"] / host.used["small"] <= 3.5


def test_a_new_camera_on_a_full_disk_gets_half_of_an_equal_share() -> None:
    host = Host(WATERMARK)
    for _ in range(200):
        host.record(door=1, yard=1)
    for _ in range(300):
        host.record(door=1, yard=1, new=1)
    assert host.used["new"] >= 900 / 3 / 2 - 10
    assert min(host.used["door"], host.used["yard"]) > host.used["new"]
