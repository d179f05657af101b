import os
from pathlib import Path

from ninjacam.viewers.counters import FIGURES, Counters

GAUGES = sum(kind == "gauge" for _, kind, _ in FIGURES)


def values(gauge: int, counter: int) -> list[int]:
    return [gauge] * GAUGES + [counter] * (len(FIGURES) - GAUGES)


def test_any_worker_reads_the_sum_of_all_workers(tmp_path: Path) -> None:
    one, two, three = (Counters(tmp_path) for _ in range(3))
    one.publish(values(1, 10))
    two.publish(values(2, 20))
    three.publish(values(0, 0))
    assert one.total() == two.total() == three.total() == (values(3, 30), 3)


def test_counters_of_ended_workers_stay_and_their_gauges_disappear(tmp_path: Path) -> None:
    one, two = Counters(tmp_path), Counters(tmp_path)
    one.publish(values(1, 10))
    two.publish(values(2, 20))
    two.close()
    assert one.total() == one.total() == (values(1, 30), 1)
    again = Counters(tmp_path)
    again.publish(values(5, 1))
    assert again.total() == (values(6, 31), 2)


def test_files_of_ended_workers_do_not_accumulate(tmp_path: Path) -> None:
    for _ in range(5):
        worker = Counters(tmp_path)
        worker.publish(values(1, 1))
        worker.close()
    assert len(os.listdir(tmp_path)) <= 2
    assert Counters(tmp_path).total() == (values(0, 5), 1)


def test_without_a_run_directory_a_worker_counts_for_itself(tmp_path: Path) -> None:
    alone = Counters(tmp_path / "missing")
    alone.publish(values(1, 2))
    assert alone.total() == (values(1, 2), 1)
    (tmp_path / "missing").mkdir()
    alone.publish(values(1, 3))
    assert Counters(tmp_path / "missing").total() == (values(1, 3), 2)


def test_an_incomplete_file_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "web-1-ab.counters").write_bytes(b"x")
    one = Counters(tmp_path)
    one.publish(values(1, 2))
    assert one.total() == (values(1, 2), 1)
