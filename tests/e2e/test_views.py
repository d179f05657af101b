"""User code in the running product: `<data>/cameras.py` is saved, broken, blocked, crashes, and is repaired."""

import shlex
import sqlite3
import sys
import time
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.fair_clock import fair_s
from tests.harness.http import HttpClient
from tests.harness.processes import kill, wait_until
from tests.harness.server import Product
from tests.harness.terminal import type_command
from tests.harness.viewers import MjpegViewer, Picture, Unit, WsViewer

SMALL = ("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
GUEST, PASSWORD = "guest", "a long way from home"
BGR = {"blue": (255, 0, 0), "green": (0, 255, 0), "red": (0, 0, 255)}


def paint(colour: str, more: str = "") -> str:
    """Return a cameras.py whose view `paint` colours the lower half. `more`: lines at the start of the function."""
    return f"""
import ctypes, os, time
from ninjacam import Frame, processor

@processor
def paint(frame: Frame) -> None:
    {more or "pass"}
    frame.image[frame.image.shape[0] // 2 :] = {BGR[colour]}
"""


def colour_of(picture: Picture) -> str:
    """Return the colour of the lower half; "" if it is none of the known ones."""
    image = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return colour_of_image(image)


def colours_of(units: list[Unit]) -> list[str]:
    """Return the colours in the video, in order, without repetitions."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit.data))]
    return [
        colour for colour, _ in groupby(colour_of_image(frame.to_ndarray(format="bgr24")) for frame in frames)
    ]


def colour_of_image(image: Any) -> str:
    mean = image[image.shape[0] * 6 // 10 :].reshape(-1, 3).mean(axis=0)
    return next((name for name, bgr in BGR.items() if np.abs(mean - bgr).max() < 40), "")


def wait_colour(viewer: MjpegViewer, colour: str, timeout_s: float) -> Picture:
    return viewer.wait_for(lambda picture: colour_of(picture) == colour, timeout_s, f"a {colour} picture")


class Scene:
    def __init__(self, product: Product) -> None:
        self.product = product
        self.file = product.data / "cameras.py"

    def save(self, code: str) -> None:
        """Save atomically, as editors do: a half-written file would be a different module without its views."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(code)
        fresh.replace(self.file)

    def mjpeg(self, view: str = "paint") -> MjpegViewer:
        return MjpegViewer(self.product.url(f"/live/door/mjpeg?view={view}"), self.product.token)

    def ws(self, *views: str) -> WsViewer:
        subscriptions = [("door", view) for view in views]
        return WsViewer(self.product.websocket_url, self.product.token, subscriptions)

    def view(self, name: str = "paint", client: HttpClient | None = None) -> dict[str, Any]:
        """Return the view from the API."""
        answer = (client or self.product.client).get("/api/v1/cameras/door/views")
        assert answer.status == 200, answer.text
        return next((view for view in answer.json()["items"] if view["view"] == name), {})

    def wait_failed(self, timeout_s: float = 10) -> dict[str, Any]:
        return wait_until(
            lambda: view if (view := self.view()).get("state") == "failed" else None,
            timeout_s,
            "the view failed",
            processes=[self.product],
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    data = tmp_path_factory.mktemp("views")
    data.joinpath("cameras.py").write_text(paint("blue"))
    with FakeCamera(*SMALL) as camera, Product(data, workers=1) as product:
        product.add_camera("door", camera.url())
        product.wait_for_state("door")
        product.cli("createuser", GUEST, "--password-stdin", stdin=PASSWORD + "\n")
        product.client.post("/api/v1/cameras/door/grants", json_body={"role": "view", "user": GUEST})
        yield Scene(product)


@pytest.fixture
def scene(running: Scene) -> Scene:
    """Yield the product whose view is blue and works before each test, and recovers without help after it."""
    running.save(paint("blue"))
    with running.mjpeg() as viewer:
        wait_colour(viewer, "blue", 15)
    return running


def test_the_shell_calls_saved_code_with_current_frames(scene: Scene, tmp_path: Path) -> None:
    scene.save(paint("red"))
    code = f"""
before = frame.number
called = run("paint", frames=3)
print([each.frame.number > before for each in called], called[0].took_ms > 0)
print(save(called[-1], "{tmp_path}/drawn.png"), save(grab(), "{tmp_path}/plain.png"), camera.slug)
from ninjacam import Box
print(run(lambda frame: [Box(0, 0, 10, 20, label="cat")]))
"""
    printed = scene.product.cli("shell", "door", "-c", code)
    assert "[True, True, True] True" in printed
    assert f"{tmp_path}/drawn.png {tmp_path}/plain.png door" in printed
    assert "label='cat'" in printed
    images = [cv2.imread(str(tmp_path / name)) for name in ("drawn.png", "plain.png")]
    assert [image is not None and colour_of_image(image) for image in images] == ["red", ""]


def test_the_shell_shows_the_traceback_of_code_that_fails(scene: Scene) -> None:
    scene.save(paint("blue", "raise RuntimeError('out of paint')"))
    printed = scene.product.cli("shell", "door", "-c", "run('paint')", check=False)
    assert "cameras.py" in printed and "RuntimeError: out of paint" in printed


def test_the_shell_says_why_there_is_no_frame(scene: Scene) -> None:
    assert "No camera" in scene.product.cli("shell", "window", "-c", "pass", check=False)
    printed = scene.product.cli("shell", "door", "--stream", "sub", "-c", "pass", check=False)
    assert printed.startswith("ninjacam: ") and "stream" in printed


def test_the_shell_is_an_interpreter_on_a_terminal(scene: Scene) -> None:
    line = f"{shlex.quote(sys.executable)} -m ninjacam shell door --data {scene.product.data} -i python"
    shown = type_command(
        line,
        cwd=scene.product.data,
        environment=scene.product.environment,
        answers={r"^>>> $": "print(run('paint').frame.image.shape); exit()"},
    )
    assert "grab()" in shown  # What it offers.
    assert "(360, 640, 3)" in shown


def test_a_view_is_available_as_jpeg_and_as_video(scene: Scene) -> None:
    with scene.mjpeg() as pictures, scene.ws("paint") as player:
        shown = pictures.wait_live()
        assert colour_of(shown) == "blue"
        units = player.wait_units(50)
        stream = player.wait_message(lambda m: m.get("op") == "stream", 1, after=0)
        assert stream["codec"].startswith("avc1.")
        assert (stream["width"], stream["height"]) == (640, 360)
        assert units[-1].at_s - units[0].at_s < 1.25 * 49 / 25
        assert colours_of(player.units_of(0)) == ["blue"]
        assert scene.view()["state"] == "running"
        assert scene.view()["error"] is None
    answer = scene.product.client.get("/live/door/snapshot.jpg?view=paint")
    assert answer.status == 200
    assert colour_of(Picture(0, answer.body)) == "blue"


def test_a_saved_change_is_live_within_two_seconds_for_all_viewers(scene: Scene) -> None:
    with scene.mjpeg() as first, scene.mjpeg() as second, scene.ws("", "paint") as player:
        for viewer in (first, second):
            viewer.wait_live()
        player.wait_units(10)
        for colour in ("green", "red", "blue"):
            scene.save(paint(colour))
            saved_s = fair_s()
            for viewer in (first, second):
                assert wait_colour(viewer, colour, 5).at_s - saved_s < 2.0
        player.wait_units(30)
        assert colours_of(player.units_of(1)) == ["blue", "green", "red", "blue"]
        assert "" in colours_of(player.units_of(0)), "the camera itself stays as it is"
        assert not first.ended and not second.ended and not player.ended


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        pytest.param("raise ValueError('the bench is on fire')", "the bench is on fire", id="raises"),
        pytest.param("time.sleep(3600)", "", id="sleeps"),
        pytest.param("os._exit(3)", "", id="exits"),
        pytest.param("ctypes.string_at(0)", "", id="segfaults"),
        pytest.param("return 'no picture'", "", id="returns-nonsense"),
    ],
)
def test_a_failing_view_reports_it_and_does_not_affect_others(scene: Scene, lines: str, told: str) -> None:
    guest = scene.product.login(GUEST, PASSWORD)
    with scene.mjpeg() as viewer, scene.mjpeg("") as raw, scene.ws("") as player:
        viewer.wait_live()
        raw.wait_live()
        player.wait_units(5)
        printed = len(scene.product.output)
        scene.save(paint("red", lines))
        broken_s = fair_s()
        error = scene.wait_failed()["error"]
        assert error["code"] == "processor"
        assert error["message"].strip()
        assert told in error["message"]
        if told:
            assert "cameras.py" in error["traceback"] and told in error["traceback"]
            assert "ninjacam/vision" not in error["traceback"], "the user's own frames alone"
            kept = scene.product.client.get("/api/v1/cameras/door/views/paint/failure")
            assert kept.status == 200 and kept.body.startswith(b"PK"), "the frame, with a test"
        viewer.wait_placeholder(5)
        seen = scene.view(client=guest)
        assert seen["state"] == "failed"
        assert seen["error"]["message"] == error["message"]
        assert seen["error"]["traceback"] == "", "not for those who may not configure"

        assert scene.product.output[printed:].count("starting it again") <= 1, "it learns from the first time"
        player.wait_units(25)
        sequences = [unit.sequence for unit in player.units]
        assert all(b == a + 1 for a, b in pairwise(sequences)), "the packets never noticed"
        raw.wait_live(5)
        assert raw.longest_gap_s(broken_s) < (0.5 if "sleep" in lines else 2.0)

        scene.save(paint("green"))
        repaired_s = fair_s()
        mended = wait_colour(viewer, "green", 10)
        assert mended.at_s - repaired_s < 4.0
        assert not viewer.ended and not raw.ended and not player.ended
    wait_until(lambda: scene.view().get("error", "unknown") is None, 5, "the error is gone from the API")


TUNED = """
from typing import Literal
from ninjacam import Frame, Processor, processor
from pydantic import BaseModel, Field

class Look(BaseModel):
    colour: Literal["blue", "green", "red"] = "blue"
    share: float = Field(0.5, gt=0, le=1)
    FIELD

BGR = {"blue": (255, 0, 0), "green": (0, 255, 0), "red": (0, 0, 255)}

@processor(fps=5)
class Paint(Processor):
    Options = Look

    def setup(self, camera, options):
        self.options = options

    def process(self, frame: Frame):
        first = int(frame.height * (1 - self.options.share))
        frame.image[first:] = BGR[self.options.colour]
"""


def test_options_apply_while_the_view_runs_and_survive_restarts_and_changes_of_the_code(scene: Scene) -> None:
    product, path = scene.product, "/api/v1/cameras/door/options/paint"

    def change(**values: Any) -> Any:
        return product.client.request("PATCH", path, json_body={"values": values})

    def problems() -> Any:
        return product.client.get(path).json()["problems"]

    try:
        scene.save(TUNED.replace("FIELD", ""))
        with scene.mjpeg() as viewer, scene.ws("") as player:
            wait_colour(viewer, "blue", 10)
            wait_until(lambda: product.client.get(path).status == 200, 10, "the options are known")
            schema = product.client.get(path).json()["options_schema"]
            assert schema["properties"]["colour"]["enum"] == ["blue", "green", "red"]
            pids = product.pids("vision")
            answer = change(colour="red")
            assert answer.status == 200, answer.text
            set_s = fair_s()
            assert wait_colour(viewer, "red", 10).at_s - set_s < 2.0
            refused = change(colour="pink", share=2)
            assert refused.status == 422
            assert {each["field"] for each in refused.json()["errors"]} == {"colour", "share"}
            assert change(share=0.9).status == 200
            player.wait_units(25)
            assert product.pids("vision") == pids, "nothing was restarted"
            viewer.wait_for(lambda _: 3 < scene.view()["fps"] < 8, 10, "five frames per second")

            kill(pids[0])
            wait_colour(viewer, "red", 15)
            scene.save(TUNED.replace("FIELD", "").replace('"red"]', '"white"]').replace("0.5, gt", "0.2, gt"))
            wait_colour(viewer, "blue", 10)
            wait_until(lambda: "colour" in problems(), 10, "the value that does not fit is reported")
            assert product.client.get(path).json()["values"] == {"colour": "red", "share": 0.9}
            assert change(colour="pink").status == 422
            assert change(share=None).status == 200, "the others can still be changed"
            scene.save(TUNED.replace("FIELD", ""))
            wait_colour(viewer, "red", 10)
            wait_until(lambda: problems() == {}, 10, "it fits again")
            scene.save(TUNED.replace("FIELD", "word: str"))
            assert "“word” has no value" in scene.wait_failed()["error"]["message"]
            assert change(word="x").status == 200
            wait_colour(viewer, "red", 10)
            assert not viewer.ended and not player.ended
    finally:
        change(colour=None, share=None, word=None)


ZONED = f"""
from pathlib import Path
from ninjacam import Frame, Processor, processor

@processor
class Paint(Processor):
    def setup(self, camera, options):
        with Path(__file__).with_name("setups.txt").open("a") as file:
            file.write("x")

    def process(self, frame: Frame):
        frame.image[:] = {BGR["green"]}
        frame.image[frame.zones.mask("lawn")] = {BGR["red"]}

@processor
def strict(frame: Frame):
    return frame.zones["lawn"].points and []
"""


def test_a_drawn_zone_reaches_a_running_processor_within_two_seconds_without_a_restart(scene: Scene) -> None:
    product, path = scene.product, "/api/v1/cameras/door/zones"
    upper, lower = ([[0, top], [1, top], [1, top + 0.5], [0, top + 0.5]] for top in (0, 0.5))

    def send(method: str, path: str, **body: Any) -> float:
        answer = product.client.request(method, path, json_body=body)
        assert answer.status < 300, answer.text
        return fair_s()

    try:
        scene.save(ZONED)
        wait_until(lambda: scene.view("strict"), 5, "the new view")
        with scene.mjpeg() as viewer, scene.ws("") as player, scene.mjpeg("strict") as strict:
            wait_colour(viewer, "green", 10)
            strict.wait_placeholder(5)
            error = wait_until(lambda: scene.view("strict")["error"], 5, "the error")
            assert "The camera has no zone “lawn”" in error["message"]
            pids = product.pids("vision")
            setups = (product.data / "setups.txt").read_text()
            drawn_s = send("POST", path, name="lawn", points=lower)
            assert wait_colour(viewer, "red", 10).at_s - drawn_s < 2.0
            strict.wait_live(5)
            moved_s = send("PATCH", f"{path}/lawn", points=upper)
            assert wait_colour(viewer, "green", 10).at_s - moved_s < 2.0
            renamed_s = send("POST", path, name="other", points=lower)
            send("PATCH", f"{path}/lawn", points=lower)
            assert wait_colour(viewer, "red", 10).at_s - renamed_s < 2.0
            removed_s = send("DELETE", f"{path}/lawn")
            assert wait_colour(viewer, "green", 10).at_s - removed_s < 2.0
            assert product.pids("vision") == pids, "the worker was not restarted"
            assert (product.data / "setups.txt").read_text() == setups, "the instance was not replaced"

            send("POST", path, name="lawn", points=lower)
            wait_colour(viewer, "red", 10)
            kill(pids[0])
            wait_until(lambda: product.pids("vision") not in ([], pids), 15, "another worker")
            wait_colour(viewer, "red", 15)
            assert not viewer.ended and not player.ended
    finally:
        for name in ("lawn", "other"):
            product.client.request("DELETE", f"{path}/{name}")


ALWAYS = """
from ninjacam import Frame, Processor, events, processor

@processor(when="always", fps=5)
class Count(Processor):
    def setup(self, camera, options):
        self.frames = 0

    def process(self, frame: Frame):
        self.frames += 1
        if self.frames % 5 == 1:
            events.create(frame.camera, "counted", label=str(self.frames))
        return []
"""


def test_a_processor_that_always_runs_needs_no_viewer_and_survives_its_worker(scene: Scene) -> None:
    product = scene.product

    def counted() -> int:
        answer = product.client.get("/api/v1/events?camera=door&kind=counted")
        return len(answer.json()["items"])

    scene.save(ALWAYS)
    try:
        wait_until(lambda: counted() >= 3, 20, "events without a viewer", processes=[product])
        assert scene.view("count")["state"] == "running"
        kill(product.pids("vision")[0])
        before = counted()
        wait_until(lambda: counted() >= before + 3, 20, "events after a restart", processes=[product])
    finally:
        scene.save(paint("blue"))
    wait_until(lambda: not scene.view("count"), 10, "the processor is gone")
    wait_until(
        lambda: product.camera("door")["health"]["subscribers"] == 0, 10, "nothing is decoded any more"
    )


CHAIN = """
import time
from ninjacam import Frame, Result, processor

@processor(fps=5)
def choose(frame: Frame):
    MORE
    return Result(data=("green", frame.number))

@processor(after="choose", every_frame=True)
def paint(frame: Frame):
    colour, number = frame.results["choose"].data
    assert 0 <= frame.number - number < 25
    frame.image[frame.height // 2 :] = {"green": (0, 255, 0)}[colour]
"""


@pytest.mark.parametrize(
    ("lines", "told"), [("raise ValueError('no model')", "no model"), ("time.sleep(60)", "did not return")]
)
def test_a_view_uses_the_results_of_a_processor_that_nobody_watches_and_shows_nothing_without_them(
    scene: Scene, lines: str, told: str
) -> None:
    with scene.mjpeg() as viewer, scene.mjpeg("") as raw:
        viewer.wait_live()
        scene.save(CHAIN.replace("MORE", ""))
        wait_colour(viewer, "green", 10)
        before = viewer.count
        wait_until(lambda: viewer.count > before + 40, 10, "every frame")
        # Rates are those of the last second, and reported once a second.
        wait_until(
            lambda: 0 < scene.view("choose")["fps"] < 8 < 15 < scene.view("paint")["fps"], 5, "both rates"
        )
        broken_s = fair_s()
        scene.save(CHAIN.replace("MORE", lines))
        error = wait_until(lambda: scene.view()["error"], 10, "the error", processes=[scene.product])
        assert "paint: it runs after choose" in error["message"] and told in error["message"]
        viewer.wait_placeholder(5)
        raw.wait_live(5)
        assert raw.longest_gap_s(broken_s) < 2.0


def test_a_module_that_fails_to_load_is_reported_to_users_who_may_configure(scene: Scene) -> None:
    guest = scene.product.login(GUEST, PASSWORD)
    with scene.mjpeg() as viewer:
        viewer.wait_live()
        scene.save("def paint(:\n")
        viewer.wait_placeholder(5)
        errors = wait_until(
            lambda: scene.product.client.get("/api/v1/processors").json()["errors"], 5, "the module's error"
        )
        assert "SyntaxError" in errors[0]["traceback"]
        assert guest.get("/api/v1/processors").json()["errors"] == []
        assert "does not load: SyntaxError" in scene.wait_failed()["error"]["message"], (
            "its views stay, and say why"
        )
        assert not viewer.ended


def test_a_new_function_becomes_a_view_without_a_restart(scene: Scene, tmp_path: Path) -> None:
    code = paint("blue") + "\n@processor\ndef grey(frame):\n    '''Only light.'''\n    return frame.gray\n"
    assert not scene.view("grey")
    scene.save(code)
    view = wait_until(lambda: scene.view("grey"), 5, "the new view")
    assert view["description"] == "Only light."
    with scene.mjpeg("grey") as viewer:
        viewer.wait_live()


def test_a_saved_helper_module_is_live_within_two_seconds(scene: Scene) -> None:
    helper = scene.product.data / "colours.py"
    helper.write_text(f"COLOUR = {BGR['green']}\n")
    code = (
        paint("red")
        .replace("import ctypes", "import colours, ctypes")
        .replace(str(BGR["red"]), "colours.COLOUR")
    )
    with scene.mjpeg() as viewer:
        scene.save(code)
        wait_colour(viewer, "green", 5)
        helper.write_text(f"COLOUR = {BGR['red']}\n")
        saved_s = fair_s()
        assert wait_colour(viewer, "red", 5).at_s - saved_s < 2.0
        helper.write_text("COLOUR = (\n")
        assert "(colours.py, line 1)" in scene.wait_failed()["error"]["message"]
        assert not viewer.ended


def test_only_the_view_that_crashed_its_process_is_quarantined(scene: Scene) -> None:
    other = """
@processor
class Innocent(Processor):
    def process(self, frame):
        time.sleep(0.3)  # it runs nearly all the time
"""
    code = (
        paint("red", "time.sleep(1); ctypes.string_at(0)").replace("import Frame", "import Frame, Processor")
        + other
    )
    with scene.mjpeg() as crashing:
        crashing.wait_live()
        printed = len(scene.product.output)
        scene.save(code)
        wait_until(lambda: scene.view("innocent"), 5, "the other view")
        with scene.mjpeg("innocent") as innocent:
            crashed = scene.wait_failed()
            assert "took its process down (SIGSEGV)" in crashed["error"]["message"]
            assert "Others" not in crashed["error"]["message"]
            assert "in paint" in crashed["error"]["traceback"]
            innocent.wait_live(10)
            assert scene.view("innocent")["error"] is None
    assert "a vision worker crashed in this thread" in scene.product.output[printed:]


def test_a_processor_creates_events_and_a_locked_database_delays_no_frame(scene: Scene) -> None:
    code = paint(
        "green",
        "events.create(frame.camera, 'seen', label=f'현관 {frame.number}', start=frame.captured_at, record=False)",
    ).replace("from ninjacam import", "from ninjacam import events,")
    with scene.mjpeg() as viewer:
        viewer.wait_live()
        scene.save(code)
        wait_colour(viewer, "green", 5)
        found = wait_until(
            lambda: scene.product.client.get("/api/v1/events?camera=door&kind=seen").json()["items"],
            10,
            "the event",
            processes=[scene.product],
        )
        assert found[0]["source"] == "processor" and found[0]["label"].startswith("현관 ")
        database = sqlite3.connect(scene.product.data / "ninjacam.sqlite3", isolation_level=None, timeout=20)
        try:
            database.execute("BEGIN IMMEDIATE")
            locked_s, real_s = fair_s(), time.monotonic()
            while time.monotonic() - real_s < 2.5:
                viewer.wait_live()
            database.execute("ROLLBACK")
        finally:
            database.close()
        assert viewer.longest_gap_s(locked_s) < 1.0
        assert scene.view()["error"] is None


def test_a_module_that_crashes_its_process_is_skipped_until_it_is_saved(tmp_path: Path) -> None:
    def module_error() -> str:
        errors = product.client.get("/api/v1/processors").json()["errors"]
        return str(errors[0]["traceback"]) if errors else ""

    def wait_module_error(words: str) -> None:
        wait_until(lambda: words in module_error(), 10, f"the module's error, {words}", processes=[product])

    tmp_path.joinpath("cameras.py").write_text("import os\nos._exit(3)\n")
    with FakeCamera(*SMALL) as camera, Product(tmp_path, workers=1) as product:
        product.add_camera("door", camera.url())
        product.wait_for_state("door")
        scene = Scene(product)
        wait_module_error("exit status 3")
        with scene.mjpeg("") as raw:
            raw.wait_live(5)
            for fatal, told in (("ctypes.string_at(0)", "SIGSEGV"), ("os._exit(4)", "exit status 4")):
                scene.save(paint("green"))
                saved_s = fair_s()
                wait_until(scene.view, 5, "the view")
                with scene.mjpeg() as viewer:
                    assert wait_colour(viewer, "green", 5).at_s - saved_s < 2.0
                assert not module_error()
                printed = len(product.output)
                scene.save(paint("red") + fatal)
                wait_module_error(told)
                assert product.client.get("/live/door/snapshot.jpg").status == 200
                raw.wait_live(5)
                assert product.output[printed:].count("starting it again") == 1, (
                    "it learns from the first time"
                )
            assert raw.longest_gap_s(saved_s) < 2.5
            assert not raw.ended
