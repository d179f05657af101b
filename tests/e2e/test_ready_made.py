"""Ready-made processors in the running product, with a real model and a real video."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.processes import kill, wait_until
from tests.harness.server import Product

SHARED = Path(__file__).parents[3] / "shared"
VIDEO, MODEL = SHARED / "media" / "one-by-one-person-detection.mp4", SHARED / "models" / "yolox_nano.onnx"
FIRST_S, LAST_S = 4.0, 42.0
"""Two people come and go: from 6 to 20 s, and from 22.8 to 38.5 s."""

pytestmark = pytest.mark.skipif(not MODEL.exists(), reason="needs the model and the video of ../shared")


def cut(path: Path) -> None:
    """Write a part of the video with a width of 640 and no B-frames, as cameras send it."""
    with av.open(str(VIDEO)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=10, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 640, 360, "yuv420p", 20
        stream.codec_context.max_b_frames = 0
        for number, frame in enumerate(
            each for each in source.decode(video=0) if FIRST_S <= (each.time or 0) < LAST_S
        ):
            made = frame.reformat(640, 360, "yuv420p")
            made.pts, made.time_base = number, Fraction(1, 10)
            target.mux(stream.encode(made))
        target.mux(stream.encode(None))


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    clip = tmp_path_factory.mktemp("clip") / "clip.mp4"
    cut(clip)
    with (
        FakeCamera("--clip", str(clip), "--fps", "10") as camera,
        Product(tmp_path_factory.mktemp("ready"), workers=1) as product,
    ):
        product.cli("models", "add", str(MODEL))
        product.add_camera("door", camera.url())
        product.wait_for_state("door")
        yield product


def list_events(product: Product, kind: str) -> list[dict[str, Any]]:
    items = product.client.get(f"/api/v1/events?camera=door&kind={kind}").json()["items"]
    return sorted(items, key=lambda each: each["start"])


def view(product: Product, name: str) -> dict[str, Any]:
    items = product.client.get("/api/v1/cameras/door/views").json()["items"]
    return next((each for each in items if each["view"] == name), {})


def test_visits_become_events_and_a_killed_worker_continues_them(product: Product) -> None:
    product.client.post(
        "/api/v1/cameras/door/zones",
        json_body={"name": "room", "kind": "zone", "points": [[0, 0.2], [1, 0.2], [1, 1], [0, 1]]},
    )
    answer = product.client.request(
        "PATCH", "/api/v1/cameras/door", json_body={"processors": ["motion", "objects"]}
    )
    assert answer.status == 200, answer.text
    wait_until(lambda: view(product, "objects"), 15, "the processor is loaded", processes=[product])
    # The person of the first visit may be about to leave when the processor is loaded.
    wait_until(
        lambda: [each for each in list_events(product, "person") if each["end"]],
        60,
        "a whole visit",
        processes=[product],
    )
    first = wait_until(
        lambda: [each for each in list_events(product, "person") if each["end"] is None],
        60,
        "the beginning of a visit",
        processes=[product],
    )[0]
    assert first["source"] == "processor" and first["zones"] == ["room"] and first["score"] > 0.5
    left, top, right, bottom = first["box"]
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    kill(product.pids("vision")[0])
    ended = wait_until(
        lambda: [
            each for each in list_events(product, "person") if each["id"] == first["id"] and each["end"]
        ],
        60,
        "the end of the visit",
        processes=[product],
    )[0]
    assert ended["data"]["detections"] > 5
    later = wait_until(
        lambda: [each for each in list_events(product, "person") if each["id"] > first["id"]],
        60,
        "the next visit",
    )
    assert later[0]["start"] > ended["end"], "one event for each visit"
    assert list_events(product, "motion"), "and the movements"
    objects = view(product, "objects")
    assert objects["last_error"] is None, objects
    assert objects["values"].keys() == {"visits"} and objects["ms_p95"] > objects["ms_p50"] > 0
    assert "Traceback" not in product.output
    metrics = product.client.get("/metrics").text
    assert 'ninjacam_view_value{camera="door",view="objects",name="visits"}' in metrics
    assert 'ninjacam_view_ms_p95{camera="door",view="objects"}' in metrics


def test_a_removed_processor_ends_its_ongoing_visit(product: Product) -> None:
    visit = wait_until(
        lambda: [each for each in list_events(product, "person") if each["end"] is None],
        60,
        "the beginning of a visit",
        processes=[product],
    )[0]
    answer = product.client.request("PATCH", "/api/v1/cameras/door", json_body={"processors": []})
    assert answer.status == 200, answer.text
    assert product.client.get(f"/api/v1/events/{visit['id']}").json()["end"]
    wait_until(lambda: not view(product, "objects"), 15, "the processor is gone", processes=[product])
    assert not [each for each in list_events(product, "person") if each["end"] is None]
