from collections.abc import Sequence
from dataclasses import dataclass

from ninjacam.engine.retention import DAY_NS, Disk, RetentionRules, plan_retention

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
) -> list[tuple[str, float]]:
    oldest = {each[0].slug: each for each in cameras}
    used = {slug: sum(item.size_bytes for item in few) for slug, few in oldest.items()}
    gone = plan_retention(rules, used_bytes or used, oldest, disk, NOW)
    return [(item.slug, (NOW - item.start_ns) / DAY_NS) for item in gone]


def test_without_rules_nothing_goes() -> None:
    assert plan(RetentionRules(), held("a", 900, 800)) == []


def test_the_oldest_of_a_camera_makes_room_within_its_budget() -> None:
    rules = RetentionRules(bytes_per_camera=20)
    assert plan(rules, held("a", 4, 3, 2, 1), held("b", 9, 8)) == [("a", 4), ("a", 3)]
    assert plan(rules, held("b", 9, 8), held("a", 4, 3, 2, 1)) == [("a", 4), ("a", 3)]


def test_the_oldest_of_all_makes_room_within_the_whole_budget() -> None:
    rules = RetentionRules(bytes=30)
    assert plan(rules, held("a", 5, 3, 1), held("b", 4, 2, 0)) == [("a", 5), ("b", 4), ("a", 3)]


def test_what_is_used_exactly_may_stay() -> None:
    assert plan(RetentionRules(bytes=20, bytes_per_camera=20), held("a", 2, 1)) == []


def test_bytes_come_before_age() -> None:
    rules = RetentionRules(bytes=20, days=2.5)
    assert plan(rules, held("a", 4, 3), held("b", 6, 1)) == [("b", 6), ("a", 4), ("a", 3)]


def test_age_takes_what_is_too_old_and_no_more() -> None:
    assert plan(RetentionRules(days=2), held("a", 4, 3, 1), held("b", 1)) == [("a", 4), ("a", 3)]


def test_the_age_of_a_file_is_that_of_its_end() -> None:
    long = Held("a", NOW - 3 * DAY_NS, end_ns=NOW - DAY_NS)
    assert plan(RetentionRules(days=2), [long]) == []


def test_the_watermark_is_kept_free() -> None:
    rules = RetentionRules(free_bytes=25)
    assert plan(rules, held("a", 3, 1), held("b", 2), disk=Disk(100, 10)) == [("a", 3), ("b", 2)]


def test_the_watermark_is_a_twentieth_of_the_disk_and_at_most_5_gib() -> None:
    rules = RetentionRules()
    assert rules.watermark_bytes(1000) == 50
    assert rules.watermark_bytes(10**13) == 5 << 30
    assert RetentionRules(free_bytes=0).watermark_bytes(10**13) == 0


def test_protected_bytes_count_and_do_not_go() -> None:
    """They are in `used_bytes` and not among the oldest."""
    assert plan(RetentionRules(bytes=15), held("a", 1), used_bytes={"a": 500}) == [("a", 1)]


def test_an_empty_index_deletes_nothing() -> None:
    assert plan_retention(RetentionRules(bytes=1, days=1), {}, {}, Disk(100, 0), NOW) == []
