"""Measure seeking to any instant of a month: from the player's `seek` to the first byte, and to the frame, in Chromium.

  python -m benchmarks.seek [--days 30] [--cameras 16] [--seeks 40]

The index has a row for each minute of each camera, as created by `benchmarks.timeline`. The rows that are seeked to
have a file of a minute of 720p25, which is not in the page cache. Each frame is verified by its stamp. The player is
paused, so that each seek begins without buffered data.
"""

import argparse
import json
import os
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.clips import cache_dir
from benchmarks.loadclient import percentile
from benchmarks.stage import Figures, Plan
from benchmarks.timeline import fill, generate
from ninjacam.core.packets import Codec, Flags, Kind, Packet
from ninjacam.recordings.layout import segment_path
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.processes import python, run
from tests.harness.recordings import FRAME_NS, TICKS, write_file
from tests.harness.server import Product

TIMES = ("first_byte", "first_frame")
FRAMES = 1450
"""Frames per file. The shortest minute of the index has 1490."""
SETTLE_S = 1.5
"""Seconds after a page was opened, so that the figure contains the seek only, not the page."""
PLAYER = "document.querySelector('ninjacam-player')"


def minute() -> list[Packet]:
    """Return a minute captured from 0 on."""
    track = make_clip(SceneOptions(), cache_dir=cache_dir()).video
    units = track.units
    return [
        Packet(
            Kind.VIDEO, Codec.H264, units[number % len(units)].data, number * TICKS, number * FRAME_NS, duration=TICKS,
            flags=Flags.KEY | Flags.CONFIG if units[number % len(units)].key else Flags.NONE,
            captured_ns=number * FRAME_NS, sequence=number, width_px=track.width_px, height_px=track.height_px,
        )
        for number in range(FRAMES)
    ]  # fmt: skip


def choose(days: int, cameras: int, seeks: int) -> list[tuple[str, int]]:
    """Return (camera, start in ns) of the seek targets, spread over the month."""
    rows = [
        (str(row["slug"]), int(str(row["start_ns"]))) for batch in generate(days, cameras) for row in batch
    ]
    return random.Random(3).sample(rows, seeks)


def write_minutes(root: Path, chosen: list[tuple[str, int]]) -> None:
    packets = minute()
    for slug, start_ns in chosen:
        moved = [each._replace(captured_ns=start_ns + each.captured_ns) for each in packets]
        made = write_file(root, moved, slug=slug)
        assert made.segment.path == segment_path(slug, start_ns)
        with made.path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(tab: Tab, product: Product, slug: str, start_ns: int, frame: int) -> tuple[float, float]:
    """Return the milliseconds to the first byte and to the frame."""
    if tab.js(f"{PLAYER}?.getAttribute('camera')") != slug:
        tab.navigate(product.url(f"/cameras/{slug}/"))
        tab.until(f"Boolean({PLAYER}?.seek)")
        tab.js(f"{PLAYER}.pause(); 1")
        time.sleep(SETTLE_S)
    at = datetime.fromtimestamp((start_ns + (frame + 0.5) * FRAME_NS) / 1e9, UTC).timestamp() * 1000
    answer = tab.js(
        "new Promise((resolve) => { performance.clearResourceTimings(); const begun = performance.now();"
        f"{PLAYER}.onframe = () => {{ {PLAYER}.onframe = null; const frame = performance.now() - begun;"
        "setTimeout(() => { const clip = performance.getEntriesByType('resource')"
        ".find((each) => each.name.includes('clip.mp4') && each.responseStart > begun);"
        "resolve([clip ? clip.responseStart - begun : -1, frame]); }, 300); };"
        f"{PLAYER}.seek({json.dumps(at)}); }})"
    )
    shown = tab.wait_for_stamp("ninjacam-player")
    assert shown == frame % 250, f"{shown} is shown, not {frame % 250}"
    return float(answer[0]), float(answer[1])


def missing() -> str:
    return "" if CHROMIUM else "Chromium is not installed"


def measure_seek(plan: Plan) -> Figures:
    """Measure in a separate process, because Django supports one database per process."""
    command = python("-m", "benchmarks.seek", "--days", str(plan.index_days), "--seeks", str(plan.seeks))
    answer: Figures = json.loads(run(command, timeout_s=900).splitlines()[-1])
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--seeks", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ninjacam-seek-") as directory:
        data = Path(directory)
        os.environ |= {"NINJACAM_DATA": directory, "DJANGO_SETTINGS_MODULE": "ninjacam.site.settings"}
        import django
        from django.core.management import call_command
        from django.db import connection

        django.setup()
        call_command("migrate", verbosity=0)
        from ninjacam.models import Camera

        chosen = choose(arguments.days, arguments.cameras, arguments.seeks)
        # Must precede their recordings, which new cameras would not inherit.
        for slug in sorted({slug for slug, _ in chosen}):
            camera = Camera(slug=slug)
            camera.set_source("rtsp://127.0.0.1:1/none")
            camera.save()
        rows, *_ = fill(arguments.days, arguments.cameras)
        connection.close()
        write_minutes(data / "recordings", chosen)
        took: dict[str, list[float]] = {name: [] for name in TIMES}
        with Product(data, workers=2) as product, Browser() as browser, browser.tab() as tab:
            product.sign_in(tab)
            chance = random.Random(4)
            for slug, start_ns in sorted(chosen, key=lambda each: each[0]):
                found = measure(tab, product, slug, start_ns, chance.randrange(FRAMES - 50))
                for name, ms in zip(took, found, strict=True):
                    took[name].append(ms)
    figures: Figures = {"seeks": len(chosen), "rows": rows}
    for name, values in took.items():
        figures[name] = {
            "p50_ms": percentile(values, 0.5),
            "p95_ms": percentile(values, 0.95),
            "worst_ms": max(values),
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
