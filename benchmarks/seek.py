"""Seeking to any instant of a month: from the player's `seek` to the first byte, and to the picture, in Chromium.

`python -m benchmarks.seek [--days 30] [--cameras 16] [--seeks 40]`: the index has a row for each minute of each camera,
as `benchmarks.timeline` makes them; those that are sought have a file of a minute of 720p25, not in the page cache.
Each picture is checked by its stamp. The player stands still, so that each seek begins from nothing.
"""

import argparse
import json
import os
import random
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.clips import stamped_clip
from benchmarks.loadclient import percentile
from benchmarks.timeline import fill, generate
from ninjacam.core.packets import Codec, Flags, Kind, Packet
from ninjacam.recordings.layout import segment_path
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.recordings import FRAME_NS, TICKS, write_file
from tests.harness.server import Product

MOST_MS = {"first byte": 100, "first picture": 400}
FRAMES = 1450
"""Of a file; the shortest minute of the index has 1490."""
SETTLE_S = 1.5
"""After a page was opened: what is measured is the seek, not the page."""
PLAYER = "document.querySelector('ninjacam-player')"


def minute() -> list[Packet]:
    """Captured from 0 on."""
    units = stamped_clip().video.units
    track = stamped_clip().video
    return [
        Packet(
            Kind.VIDEO, Codec.H264, units[number % len(units)].data, number * TICKS, number * FRAME_NS, duration=TICKS,
            flags=Flags.KEY | Flags.CONFIG if units[number % len(units)].key else Flags.NONE,
            captured_ns=number * FRAME_NS, sequence=number, width_px=track.width_px, height_px=track.height_px,
        )
        for number in range(FRAMES)
    ]  # fmt: skip


def choose(days: int, cameras: int, seeks: int) -> list[tuple[str, int]]:
    """(camera, start in ns) of the minutes that are sought: all over the month."""
    rows = [
        (str(row["slug"]), int(str(row["start_ns"]))) for batch in generate(days, cameras) for row in batch
    ]
    return random.Random(3).sample(rows, seeks)


def write_minutes(root: Path, chosen: list[tuple[str, int]]) -> None:
    packets = minute()
    for slug, start_ns in chosen:
        moved = [replace(each, captured_ns=start_ns + each.captured_ns) for each in packets]
        made = write_file(root, moved, slug=slug)
        assert made.segment.path == segment_path(slug, start_ns)
        with made.path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(tab: Tab, product: Product, slug: str, start_ns: int, frame: int) -> tuple[float, float]:
    """Milliseconds to the first byte and to the picture."""
    if tab.js(f"{PLAYER}?.getAttribute('camera')") != slug:
        tab.navigate(product.url(f"/cameras/{slug}/"))
        tab.until(f"Boolean({PLAYER}?.seek)")
        tab.js(f"{PLAYER}.pause(); 1")
        time.sleep(SETTLE_S)
    at = datetime.fromtimestamp((start_ns + (frame + 0.5) * FRAME_NS) / 1e9, UTC).timestamp() * 1000
    answer = tab.js(
        "new Promise((resolve) => { performance.clearResourceTimings(); const begun = performance.now();"
        f"{PLAYER}.onframe = () => {{ {PLAYER}.onframe = null; const picture = performance.now() - begun;"
        "setTimeout(() => { const clip = performance.getEntriesByType('resource')"
        ".find((each) => each.name.includes('clip.mp4') && each.responseStart > begun);"
        "resolve([clip ? clip.responseStart - begun : -1, picture]); }, 300); };"
        f"{PLAYER}.seek({json.dumps(at)}); }})"
    )
    shown = tab.wait_for_stamp("ninjacam-player")
    assert shown == frame % 250, f"{shown} is shown, not {frame % 250}"
    return float(answer[0]), float(answer[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--seeks", type=int, default=40)
    arguments = parser.parse_args()
    assert CHROMIUM, "Chromium is not installed"
    with tempfile.TemporaryDirectory(prefix="ninjacam-seek-") as directory:
        data = Path(directory)
        os.environ |= {"NINJACAM_DATA": directory, "DJANGO_SETTINGS_MODULE": "ninjacam.site.settings"}
        import django
        from django.core.management import call_command
        from django.db import connection

        django.setup()
        call_command("migrate", verbosity=0)
        rows, *_ = fill(arguments.days, arguments.cameras)
        connection.close()
        chosen = choose(arguments.days, arguments.cameras, arguments.seeks)
        write_minutes(data / "recordings", chosen)
        took: dict[str, list[float]] = {name: [] for name in MOST_MS}
        with Product(data, workers=2) as product, Browser() as browser, browser.tab() as tab:
            product.sign_in(tab)
            for slug in sorted({slug for slug, _ in chosen}):
                product.add_camera(slug, "rtsp://127.0.0.1:1/none")
            chance = random.Random(4)
            for slug, start_ns in sorted(chosen, key=lambda each: each[0]):
                found = measure(tab, product, slug, start_ns, chance.randrange(FRAMES - 50))
                for name, ms in zip(took, found, strict=True):
                    took[name].append(ms)
        print(f"{len(chosen)} seeks in {rows} rows")
        for name, values in took.items():
            print(
                f"{name}: p50 {percentile(values, 0.5):.0f} ms, p95 {percentile(values, 0.95):.0f} ms, "
                f"most {max(values):.0f} ms; p95 must reach {MOST_MS[name]} ms"
            )


if __name__ == "__main__":
    main()
