"""Motion search in the API. tests/integration/test_backtest.py runs the search itself."""

import json
from typing import Any

import pytest
from django.test import Client

from ninjacam.actions import motion_search as actions
from ninjacam.core.errors import LimitError
from ninjacam.models import Camera, Segment
from ninjacam.recordings.segments import SegmentInfo
from tests.unit.api.test_device import with_role

pytestmark = pytest.mark.django_db
NS = 10**9
START_NS = 1_790_000_000 * NS
PATH = "/api/v1/cameras/door/motion-search"
SPAN = {"start": "2026-09-21T14:13:20Z", "end": "2026-09-21T15:13:20Z"}


class Child:
    """Replaces the process."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: bytes | None = b""

    def run(self, module: str, question: bytes, timeout_s: float, *, bare: bool) -> bytes | None:
        assert bare, "it needs no secrets"
        self.asked.append(json.loads(question))
        return self.answer


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Child:
    made = Child()
    monkeypatch.setattr(actions, "run_module", made.run)
    return made


@pytest.fixture
def recorded(camera: Camera) -> None:
    Segment.objects.put(
        [
            SegmentInfo(
                "door",
                f"door/{n}.mp4",
                START_NS + n * 60 * NS,
                START_NS + (n + 1) * 60 * NS,
                9,
                "h264",
                64,
                36,
            )
            for n in (0, 5)
        ]
    )


def found(until_s: float) -> bytes:
    movements = [[START_NS + 5 * NS, START_NS + 9 * NS]]
    return json.dumps(
        {"movements": movements, "searched_until_ns": START_NS + int(until_s * NS), "key_frames": 7}
    ).encode()


@pytest.mark.usefixtures("recorded")
def test_movements_are_listed_and_a_part_can_be_continued(camera: Camera, child: Child) -> None:
    client = with_role("guard", camera, "replay")
    child.answer = found(3600)
    answer = client.get(PATH, {**SPAN, "region": "0.1,0.5,0.4,1"})
    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "start": "2026-09-21T14:13:20Z",
        "end": "2026-09-21T15:13:20Z",
        "next": None,
        "key_frames": 7,
        "movements": [{"start": "2026-09-21T14:13:25Z", "end": "2026-09-21T14:13:29Z"}],
    }
    assert child.asked[0]["region"] == [0.1, 0.5, 0.4, 1.0] and len(child.asked[0]["files"]) == 2
    child.answer = found(60)
    assert client.get(PATH, SPAN).json()["next"] == "2026-09-21T14:14:20Z"


def test_without_recordings_no_process_is_started(camera: Camera, child: Child) -> None:
    answer = with_role("guard", camera, "replay").get(PATH, SPAN).json()
    assert (answer["movements"], answer["next"], child.asked) == ([], None, [])


@pytest.mark.usefixtures("recorded")
def test_it_requires_the_role_replay(camera: Camera, viewer: Any, client: Client, child: Child) -> None:
    assert with_role("watcher", camera, "view").get(PATH, SPAN).status_code == 403
    assert client.get(PATH, SPAN).status_code == 401
    assert (
        with_role("guard", camera, "replay").get("/api/v1/cameras/yard/motion-search", SPAN).status_code
        == 404
    )
    assert child.asked == []


@pytest.mark.parametrize(
    "query",
    [{"region": "0,0,9,1"}, {"region": "x" * 500}, {"start": "2026-09-21T15:13:20Z", "end": "2026-09-21T14:13:20Z"},
     {"start": "2026-01-01T00:00:00Z"}, {"start": "yesterday"}],
)  # fmt: skip
def test_wrong_parameters_are_refused(camera: Camera, child: Child, query: dict[str, str]) -> None:
    assert with_role("guard", camera, "replay").get(PATH, {**SPAN, **query}).status_code == 422
    assert child.asked == []


@pytest.mark.usefixtures("recorded")
def test_a_process_that_ends_or_takes_too_long_is_a_problem(camera: Camera, child: Child) -> None:
    client = with_role("guard", camera, "replay")
    answer = client.get(PATH, SPAN)
    assert (answer.status_code, answer.json()["code"]) == (500, "recording")
    child.answer = None
    answer = client.get(PATH, SPAN)
    assert (answer.status_code, answer.json()["code"]) == (429, LimitError.code)
