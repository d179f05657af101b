"""Search of events by words, with a model that knows colors, through the API."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client

from ninjacam.actions import word_search
from ninjacam.actions.child_processes import run_module
from ninjacam.actions.word_search import search_events
from ninjacam.auth import Principal
from ninjacam.core.errors import InvalidError
from ninjacam.inference.search_models import SearchModel
from ninjacam.inference.search_networks import ImageEncoder, TextEncoder
from ninjacam.inference.stored import remove
from ninjacam.models import Camera, Event, EventEmbedding
from ninjacam.queries import similarity
from tests.unit.actions.test_embeddings import install
from tests.unit.api.test_device import with_role
from tests.unit.conftest import START_NS, make_event, signed_in

pytestmark = pytest.mark.django_db
pytest.importorskip("tokenizers", reason="tokenizers is not installed (pip install 'ninjacam[search]').")
COLORS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0), "black": (0, 0, 0)}
"""BGR."""
SPAN = {"start": "2023-11-14T00:00:00Z", "end": "2023-11-16T00:00:00Z"}
assert START_NS == 1_700_000_000 * 10**9


@pytest.fixture
def model(run_dir: Path) -> SearchModel:
    return install(run_dir)


@pytest.fixture(autouse=True)
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Map texts in this process, which takes a millisecond instead of a second. Contains the texts."""
    asked: list[str] = []

    def run(module: str, question: bytes, timeout_s: float, *, bare: bool) -> bytes:
        assert bare, "the network is foreign"
        values = json.loads(question)
        asked.append(values["text"])
        model = SearchModel.from_dict(values["model"])
        return json.dumps({"vector": TextEncoder(model).embed(values["text"]).tolist()}).encode()

    monkeypatch.setattr(word_search, "run_module", run)
    word_search._kept.clear()
    return asked


def seen(model: SearchModel, color: str, **fields: Any) -> Event:
    """Create an event whose snapshot has this color."""
    event = make_event(snapshot_ns=1, **fields)
    vector = ImageEncoder(model).embed(np.full((20, 30, 3), COLORS[color], np.uint8))
    EventEmbedding.objects.create(
        event=event, model=model.spec.version, vector=vector.astype("<f2").tobytes()
    )
    return event


def search(client: Client, text: str = "red car", **query: Any) -> Any:
    return client.get("/api/v1/events", {**SPAN, "search": text, **query})


def found(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [item["id"] for item in answer.json()["items"]]


@pytest.fixture
def guard(camera: Camera) -> Client:
    return with_role("guard", camera, "replay")


def test_the_most_similar_events_come_first(model: SearchModel, guard: Client) -> None:
    events = {color: seen(model, color).pk for color in COLORS}
    make_event()  # without a vector
    for color in ("red", "green", "blue"):
        answer = search(guard, f"a {color} car at the gate")
        assert found(answer)[0] == events[color] and len(found(answer)) == len(COLORS)
        scores = [item["similarity"] for item in answer.json()["items"]]
        assert scores == sorted(scores, reverse=True) and scores[0] > 0.8 > scores[1]
        assert answer.json()["next"] is None
    assert found(search(guard, limit=2))[0] == events["red"] and len(found(search(guard, limit=2))) == 2
    assert guard.get("/api/v1/events", SPAN).json()["items"][0]["similarity"] is None


def test_other_conditions_apply_too(model: SearchModel, guard: Client) -> None:
    red = seen(model, "red", kind="person", score=0.5, zones=" gate ")
    blue = seen(model, "blue", kind="car", color_bits=1 << 3, label="van")
    query: dict[str, Any]
    for query in ({"kind": "car"}, {"label": "VAN"}, {"color": "red"}):
        assert found(search(guard, **query)) == [blue.pk]
    for query in ({"zone": "gate"}, {"min_score": 0.4}):
        assert found(search(guard, **query)) == [red.pk]
    assert found(search(guard, start="2023-11-16T00:00:00Z", end="2023-11-17T00:00:00Z")) == []


def test_events_of_other_cameras_change_nothing(
    model: SearchModel, guard: Client, yard: Camera, admin_user: Any
) -> None:
    blue = seen(model, "blue")
    before = search(guard).json()
    hidden = [seen(model, "red", slug="yard").pk for _ in range(5)]
    assert search(guard).json() == before and found(search(guard)) == [blue.pk]
    assert search(guard, camera="yard").status_code == search(guard, camera="nowhere").status_code == 404
    assert found(search(signed_in(admin_user)))[0] in hidden
    viewer = with_role("watcher", yard, "view")
    assert found(search(viewer)) == []


def test_only_vectors_of_the_present_model_count(model: SearchModel, guard: Client) -> None:
    event = seen(model, "red")
    EventEmbedding.objects.update(model="another")
    assert found(search(guard)) == []
    EventEmbedding.objects.update(model=model.spec.version, vector=b"\0" * 6)
    assert found(search(guard)) == [], "of another length"
    EventEmbedding.objects.all().delete()
    assert found(search(guard)) == [] and Event.objects.filter(pk=event.pk).exists()


def test_equal_events_are_ordered_and_chunks_do_not_matter(
    model: SearchModel, guard: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    red = [seen(model, "red").pk for _ in range(7)]
    seen(model, "blue")
    whole = found(search(guard, limit=5))
    assert whole == red[::-1][:5]
    monkeypatch.setattr(similarity, "CHUNK", 3)
    assert found(search(guard, limit=5)) == whole
    monkeypatch.setattr(similarity, "MAX_COMPARED", 2)
    assert len(found(search(guard, limit=5))) == 2


def test_without_a_model_the_answer_says_what_to_install(run_dir: Path, guard: Client) -> None:
    answer = search(guard)
    assert answer.status_code == 409 and answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "search_unavailable"
    assert "ninjacam models add --text" in answer.json()["detail"]


@pytest.mark.parametrize("text", ["x" * 201, "\x00", "a\x1bb", " \n"])
def test_texts_are_bounded_and_plain(model: SearchModel, guard: Client, texts: list[str], text: str) -> None:
    assert search(guard, text).status_code == 422 and texts == []


def test_callers_besides_the_api_are_bounded_too(model: SearchModel, admin_user: Any) -> None:
    with pytest.raises(InvalidError, match="Use 1 to 200 characters"):
        search_events(Principal(admin_user, "session"), Event.objects.all(), "x" * 201, 5)


def test_a_search_has_one_page(model: SearchModel, guard: Client) -> None:
    assert search(guard, after="1~2").json()["errors"][0]["field"] == "after"
    assert search(guard, limit=501).status_code == 422


def test_a_text_is_mapped_once_and_few_are_kept(
    model: SearchModel, guard: Client, texts: list[str], monkeypatch: pytest.MonkeyPatch, run_dir: Path
) -> None:
    monkeypatch.setattr(word_search, "MAX_KEPT", 2)
    for text in ("red", " red\n", "blue", "red", "green", "red", "blue"):
        found(search(guard, text))
    assert texts == ["red", "blue", "green", "blue"] and len(word_search._kept) == 2
    remove(run_dir.parent / "models", "colors")
    install(run_dir, letterbox="center")
    found(search(guard, "red"))
    assert texts[-1] == "red", "another model has other vectors"


@pytest.mark.parametrize(
    ("printed", "detail"),
    [
        (None, "takes too long"), (b"", "crashes the engine"), (b'{"error": "The file is gone."}', "The file is gone."),
        (b"{}", "does not work"), (b"[]", "returns no answer"), (b'{"vector": [1, 2]}', "does not work"),
        (b'{"vector": [NaN, 0, 0, 0, 0, 0, 0, 0]}', "does not work"), (b'{"vector": ["x"]}', "does not work"),
    ],
)  # fmt: skip
def test_a_model_that_fails_is_a_typed_problem(
    model: SearchModel, guard: Client, monkeypatch: pytest.MonkeyPatch, printed: bytes | None, detail: str
) -> None:
    monkeypatch.setattr(word_search, "run_module", lambda *_, **__: printed)
    answer = search(guard)
    assert (answer.status_code, answer.json()["code"]) == (409, "search_unavailable")
    assert detail in answer.json()["detail"] and str(model.directory) not in answer.json()["detail"]


def test_too_many_searches_at_once_have_to_wait(
    model: SearchModel, guard: Client, monkeypatch: pytest.MonkeyPatch, admin_user: Any
) -> None:
    with word_search._SLOTS.take(admin_user):
        assert search(signed_in(admin_user)).status_code == 429
        assert search(guard).status_code == 200
    with word_search._SLOTS.take(None), word_search._SLOTS.take(None):
        assert search(guard, "blue").status_code == 429
        assert search(guard).status_code == 200, "its vector is known"


def test_the_words_are_mapped_in_a_process_of_their_own(
    model: SearchModel, guard: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_search, "run_module", run_module)
    red = seen(model, "red")
    seen(model, "blue")
    assert found(search(guard, "red car"))[0] == red.pk
