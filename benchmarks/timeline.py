"""The index of a month of 16 cameras: its size, how fast it is written, and how long the timeline of a day takes.

`python -m benchmarks.timeline [--days 30] [--cameras 16] [--database sqlite:///FILE | postgres://...]`: in a database
of its own in SQLite by default; any other must be empty, and is left with the rows in it.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MINUTE_NS = 60 * 10**9
DAY_NS = 1440 * MINUTE_NS
END_NS = 1_795_000_000 * 10**9
BATCH = 250
ROUNDS = 30


def generate(days: int, cameras: int) -> Iterator[list[dict[str, object]]]:
    """A row a minute and camera, cut where key frames happen to be, with a gap now and then. In batches."""
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
    """(rows, CPU seconds, seconds)."""
    from ninjacam.models import Segment
    from ninjacam.recordings import segments
    from ninjacam.recordings.layout import segment_path

    rows, began_s, cpu_s = 0, time.perf_counter(), time.process_time()
    for batch in generate(days, cameras):
        found = [
            segments.Segment(
                slug=str(row["slug"]), path=segment_path(str(row["slug"]), int(str(row["start_ns"]))),
                start_ns=int(str(row["start_ns"])), end_ns=int(str(row["end_ns"])), size_bytes=23_000_000,
                codec="h264", width_px=1920, height_px=1080, audio_codec="aac", audio_source="pcm_alaw",
            )
            for row in batch
        ]  # fmt: skip
        Segment.objects.put(found)
        rows += len(found)
    return rows, time.process_time() - cpu_s, time.perf_counter() - began_s


def ask(cameras: int, days: int) -> list[float]:
    """Milliseconds of each of `ROUNDS` questions for a day within the month."""
    from ninjacam.models.segment import timeline

    slugs = [f"cam-{number:02d}" for number in range(1, cameras + 1)]
    chance, took_ms = random.Random(2), []
    for _ in range(ROUNDS):
        start_ns = END_NS - chance.randrange(DAY_NS, max(days, 1) * DAY_NS + 1)
        began_s = time.perf_counter()
        spans = timeline(slugs, start_ns, start_ns + DAY_NS)
        took_ms.append((time.perf_counter() - began_s) * 1000)
        assert len(spans.spans) == cameras
    return took_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--database", default="")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ninjacam-timeline-") as directory:
        os.environ |= {"NINJACAM_DATA": directory, "DJANGO_SETTINGS_MODULE": "ninjacam.site.settings"}
        if arguments.database:
            os.environ["DATABASE_URL"] = arguments.database
        import django
        from django.core.management import call_command
        from django.db import connection

        django.setup()
        call_command("migrate", verbosity=0)
        rows, cpu_s, wall_s = fill(arguments.days, arguments.cameras)
        print(
            f"{rows} rows, {rows / wall_s:.0f} rows/s, {cpu_s / rows * 1e6:.0f} us of CPU a row ({connection.vendor})"
        )
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            size_bytes = (Path(directory) / "ninjacam.sqlite3").stat().st_size
            print(f"index: {size_bytes / 1e6:.0f} MB, {size_bytes / rows:.0f} bytes a row")
        took_ms = ask(arguments.cameras, arguments.days)
        print(
            f"timeline of 24 h x {arguments.cameras} cameras: median {statistics.median(took_ms):.1f} ms, "
            f"most {max(took_ms):.1f} ms"
        )
        connection.close()


if __name__ == "__main__":
    main()
