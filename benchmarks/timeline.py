"""Measure the index of a month of 16 cameras and its events.

  python -m benchmarks.timeline [--days 30] [--cameras 16] [--events 100]

Its size, the speed of writing it, and the time for the timeline of a day: the recorded spans alone, and the complete
API response, with the API's code but without HTTP. Also the time to list and filter the events of a camera that has
10,000, also by color.
"""

import argparse
import gc
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.stage import Figures, Plan
from tests.harness.postgres import Postgres, postgres_missing
from tests.harness.processes import python, run

MINUTE_NS = 60 * 10**9
DAY_NS = 1440 * MINUTE_NS
END_NS = 1_795_000_000 * 10**9
BATCH = 250
ROUNDS = 30
BUCKETS = 288
VISITS = 10_000


def generate(days: int, cameras: int) -> Iterator[list[dict[str, object]]]:
    """Yield batches of rows: one per minute and camera, cut at varying key frames, with occasional gaps."""
    chance = random.Random(1)
    at = {f"cam-{number:02d}": END_NS - days * DAY_NS for number in range(1, cameras + 1)}
    batch: list[dict[str, object]] = []
    while at:
        for slug, start_ns in list(at.items()):
            end_ns = start_ns + MINUTE_NS + chance.randrange(-10, 10) * 40_000_000
            at[slug] = end_ns + (chance.randrange(3, 600) * 10**9 if chance.random() < 0.002 else 0)
            if end_ns > END_NS:
                del at[slug]
                continue
            batch.append({"slug": slug, "start_ns": start_ns, "end_ns": end_ns})
            if len(batch) == BATCH:
                yield batch
                batch = []
    yield batch


def fill(days: int, cameras: int) -> tuple[int, float, float]:
    """Return (rows, CPU seconds, seconds)."""
    from ninjacam.models import Segment
    from ninjacam.recordings import segments
    from ninjacam.recordings.layout import segment_path

    rows, began_s, cpu_s = 0, time.perf_counter(), time.process_time()
    for batch in generate(days, cameras):
        found = [
            segments.SegmentInfo(
                slug=str(row["slug"]), path=segment_path(str(row["slug"]), int(str(row["start_ns"]))),
                start_ns=int(str(row["start_ns"])), end_ns=int(str(row["end_ns"])), size_bytes=23_000_000,
                codec="h264", width_px=1920, height_px=1080, audio_codec="aac", audio_source="pcm_alaw",
            )
            for row in batch
        ]  # fmt: skip
        Segment.objects.put(found)
        rows += len(found)
    return rows, time.process_time() - cpu_s, time.perf_counter() - began_s


def tell(days: int, cameras: int, events_a_day: int) -> int:
    """Create events of some seconds, about `events_a_day` per camera, recorded when they happen.

    Return their number.
    """
    from ninjacam.models import Event

    chance = random.Random(3)
    count = days * cameras * events_a_day
    times_ns = sorted(END_NS - chance.randrange(days * DAY_NS) for _ in range(count))
    Event.objects.bulk_create(
        (
            Event(
                slug=f"cam-{chance.randrange(cameras) + 1:02d}", kind="motion", label="Somebody at the gate",
                start_ns=start_ns, end_ns=start_ns + chance.randrange(90) * 10**9, data={"zone": "gate"},
                source="token:detector", triggers_recording=True, protected=chance.random() < 0.01,
            )
            for start_ns in times_ns
        ),
        batch_size=100,
    )  # fmt: skip
    return count


def fill_visits() -> str:
    """Create a camera with VISITS events of persons and cars within a month. Return its name."""
    from ninjacam.core.colors import COLORS, to_color_bits
    from ninjacam.models import Event

    chance = random.Random(4)
    times_ns = sorted(END_NS - chance.randrange(30 * DAY_NS) for _ in range(VISITS))
    Event.objects.bulk_create(
        (
            Event(
                slug="cam-busy", kind="visit", label=chance.choice(("person", "car", "dog")), start_ns=start_ns,
                end_ns=start_ns + 20 * 10**9, source="processor", score=chance.random(), box=[0.1, 0.2, 0.3, 0.4],
                zones=chance.choice(("", " porch ", " porch street ")), best_ns=start_ns, track=number,
                color_bits=to_color_bits(chance.sample(COLORS[:-1], 2) if number % 1000 else ["pink"]),
            )
            for number, start_ns in enumerate(times_ns)
        ),
        batch_size=50,
    )  # fmt: skip
    return "cam-busy"


def find_events(slug: str) -> Figures:
    """Return milliseconds for the first page of a month, by the API's filters.

    "rare", "rare color": only 0.1 % of the events match.
    """
    from ninjacam.models import Event
    from ninjacam.queries.events import EventFilter
    from ninjacam.queries.pages import paginate

    filters = {
        "all": EventFilter(),
        "filtered": EventFilter(("visit",), "PERSON", "porch", 0.5),
        "rare": EventFilter(label="person", zone="street", min_score=0.99),
        "none": EventFilter(label="nobody"),
        "color": EventFilter(colors=["red"]),
        "rare color": EventFilter(colors=["pink"]),
        "color filtered": EventFilter(("visit",), "PERSON", "porch", 0.5, ["red", "blue"]),
    }
    figures: Figures = {}
    for name, wanted in filters.items():
        took_ms = []
        for _ in range(ROUNDS):
            began_s = time.perf_counter()
            found = wanted.apply(Event.objects.overlapping([slug], END_NS - 31 * DAY_NS, END_NS))
            page = paginate(found, ("-start_ns", "-pk"), "", 100)
            took_ms.append((time.perf_counter() - began_s) * 1000)
            assert bool(page.items) == (name != "none")
        figures[name] = {"p50_ms": statistics.median(took_ms), "worst_ms": max(took_ms)}
    return figures


def ask(cameras: int, days: int, question: Callable[[list[str], int, int], int]) -> list[float]:
    """Return the milliseconds of each of `ROUNDS` calls of `question`, for a day of the month and `cameras` cameras."""
    slugs = [f"cam-{number:02d}" for number in range(1, cameras + 1)]
    chance, took_ms = random.Random(2), []
    for _ in range(ROUNDS):
        start_ns = END_NS - chance.randrange(DAY_NS, max(days, 1) * DAY_NS + 1)
        began_s = time.perf_counter()
        told = question(slugs, start_ns, start_ns + DAY_NS)
        took_ms.append((time.perf_counter() - began_s) * 1000)
        assert told == cameras
    return took_ms


def ask_spans(slugs: list[str], start_ns: int, end_ns: int) -> int:
    from ninjacam.models.segment import timeline

    return len(timeline(slugs, start_ns, end_ns).spans)


def ask_all(slugs: list[str], start_ns: int, end_ns: int) -> int:
    from pydantic_core import to_json

    from ninjacam.api.routers.recordings import make_timeline

    answer = make_timeline(slugs, start_ns, end_ns, BUCKETS)
    assert to_json(answer)
    return sum(bool(camera["spans"] and camera["activity"]) for camera in answer["cameras"])


def measure_database(days: int, cameras: int, events_a_day: int, data: Path) -> Figures:
    """Measure in the database of DATABASE_URL, which must be empty; by default in SQLite below `data`."""
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    call_command("migrate", verbosity=0)
    rows, cpu_s, wall_s = fill(days, cameras)
    figures: Figures = {
        "rows": rows,
        "rows_per_s": rows / wall_s,
        "cpu_us_per_row": cpu_s / rows * 1e6,
        "events": tell(days, cameras, events_a_day),
    }
    busy = fill_visits()
    with connection.cursor() as cursor:
        # On PostgreSQL, a daemon does this within minutes.
        is_sqlite = connection.vendor == "sqlite"
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)" if is_sqlite else "VACUUM ANALYZE")
    gc.freeze()  # as a web worker does
    if is_sqlite:
        figures["size_bytes"] = (data / "ninjacam.sqlite3").stat().st_size
    for name, question in (("spans", ask_spans), ("all", ask_all)):
        took_ms = ask(cameras, days, question)
        figures[name] = {"p50_ms": statistics.median(took_ms), "worst_ms": max(took_ms)}
    figures["find"] = find_events(busy)
    connection.close()
    return figures


def measure_timeline(plan: Plan) -> Figures:
    """Measure each database in a separate process, because Django supports one per process."""
    figures = {"sqlite": _run(plan, {})}
    if not postgres_missing():
        with Postgres() as postgres:
            figures["postgresql"] = _run(plan, {"DATABASE_URL": postgres.url})
    return figures


def _run(plan: Plan, environment: dict[str, str]) -> Figures:
    command = python("-m", "benchmarks.timeline", "--days", str(plan.index_days))
    answer: Figures = json.loads(run(command, environment=environment, timeout_s=900))
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--events", type=int, default=100, help="of a camera and day")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ninjacam-timeline-") as directory:
        os.environ |= {"NINJACAM_DATA": directory, "DJANGO_SETTINGS_MODULE": "ninjacam.site.settings"}
        figures = measure_database(arguments.days, arguments.cameras, arguments.events, Path(directory))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
