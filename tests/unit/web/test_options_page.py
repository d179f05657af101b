"""The page with a processor's options: the form generated from their JSON Schema, and the changes that it makes."""

from enum import Enum
from typing import Any, Literal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pydantic import BaseModel, Field

from ninjacam.core.errors import InvalidError
from ninjacam.core.options import fit_options, schema_of
from ninjacam.models import Camera
from ninjacam.queries import processor_options as queries
from ninjacam.queries.processor_options import ProcessorOptions
from ninjacam.queries.status import Status
from ninjacam.web import options_page, views
from ninjacam.web.options_form import OptionsForm
from tests.unit.api.test_device import with_role
from tests.unit.conftest import signed_in


class Size(Enum):
    SMALL = 1
    LARGE = 2


class Everything(BaseModel):
    low: int = Field(80, ge=0, le=255, description="Lower threshold.")
    share: float = 0.5
    on: bool = True
    mode: Literal["fast", "exact"] = "fast"
    size: Size = Size.SMALL
    label: str = Field("a", max_length=5)
    maybe: int | None = None
    words: list[str] = ["x"]
    url: str = ""


def form_of(
    data: dict[str, str] | None = None, problems: dict[str, str] | None = None, **values: Any
) -> OptionsForm:
    options = ProcessorOptions("edges", "cameras", "", schema_of(Everything), values, problems or {})
    return OptionsForm(
        None if data is None else {f"option-{name}": text for name, text in data.items()}, options
    )


DEFAULTS = {"low": "80", "share": "0.5", "on": "on", "mode": '"fast"', "size": "1", "label": "a", "maybe": "",
            "words": '["x"]', "url": ""}  # fmt: skip


def test_each_type_has_a_field_and_untouched_fields_change_nothing() -> None:
    page = str(form_of())
    for part in ('type="number" name="option-low" value="80" min="0" max="255"', 'type="checkbox"', "<select",
                 "<textarea"):  # fmt: skip
        assert part in page, page
    form = form_of(DEFAULTS)
    assert form.is_valid(), form.errors
    assert form.changes() == {}


def test_what_is_entered_is_changed_and_what_is_emptied_is_reset() -> None:
    form = form_of(
        {"low": "12", "share": "1.5", "mode": '"exact"', "size": "2", "label": "", "maybe": "3", "words": '["y"]'},
        label="b", words=["z"],
    )  # fmt: skip
    assert form.is_valid(), form.errors
    changes = form.changes()
    assert changes == {
        "low": 12, "share": 1.5, "on": False, "mode": "exact", "size": 2, "label": None, "maybe": 3, "words": ["y"],
    }  # fmt: skip
    assert fit_options(Everything, {k: v for k, v in changes.items() if v is not None}).problems == {}
    assert form_of(low=3, gone=4).reset() == {"low": None, "gone": None}


class Unset(BaseModel):
    mode: Literal["a", "b"] | None = None
    flag: bool | None = None
    low: int = 80


def test_options_without_a_value_stay_so_and_what_does_not_fit_is_kept() -> None:
    options = ProcessorOptions("edges", "cameras", "", schema_of(Unset), {"low": "x"}, {"low": "No number."})
    page = str(OptionsForm(None, options))
    assert page.count('<option value="" selected>') == 2 and 'value="80"' in page
    for entered, changes in (
        ({"low": "80"}, {}),
        ({"low": "80", "mode": '"b"', "flag": "false"}, {"mode": "b", "flag": False}),
        ({"low": "90"}, {"low": 90}),
    ):
        form = OptionsForm({f"option-{name}": text for name, text in entered.items()}, options)
        assert form.is_valid() and form.changes() == changes


def test_json_that_is_nested_too_deeply_is_refused() -> None:
    assert list(form_of({**DEFAULTS, "words": "[" * 20_000}).errors) == ["words"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("low", "x"), ("low", "999"), ("mode", '"other"'), ("words", "["), ("label", "too long")],
)
def test_what_no_option_accepts_is_refused_at_its_field(name: str, text: str) -> None:
    assert list(form_of({**DEFAULTS, name: text}).errors) == [name]


def test_a_schema_that_refers_to_itself_becomes_a_field_for_json() -> None:
    schema = {
        "properties": {"tree": {"$ref": "#/$defs/Tree"}, "odd": {"$ref": "http://elsewhere/"}},
        "$defs": {"Tree": {"$ref": "#/$defs/Tree"}},
    }
    assert "textarea" in str(OptionsForm(None, ProcessorOptions("edges", "cameras", "", schema, {}, {})))


PATH = "/cameras/door/options/edges/"


@pytest.fixture
def owner(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> Client:
    status = Status(
        engine_running=True,
        processors=({"name": "edges", "cameras": ["*"], "options": schema_of(Everything)},),
        views={"door": {"edges": {"option_problems": {"low": "Too <low>."}}}},
    )
    monkeypatch.setattr(queries, "read_status", lambda: status)
    monkeypatch.setattr(views, "read_status", lambda: status)
    monkeypatch.setattr(
        "ninjacam.actions.processor_options.run_module", lambda *_, **__: b'{"values": {}, "problems": {}}'
    )
    return with_role("owner", camera, "configure")


@pytest.mark.django_db
def test_the_page_saves_and_resets(owner: Client, camera: Camera) -> None:
    assert PATH in owner.get("/cameras/door/").content.decode()
    page = owner.get(PATH).content.decode()
    assert 'view="edges"' in page and "Lower threshold." not in page and "Not used: Too &lt;low&gt;." in page
    data = {f"option-{name}": text for name, text in {**DEFAULTS, "low": "12"}.items()}
    answer = owner.post(PATH, data)
    assert (answer.status_code, answer["Location"]) == (302, PATH)
    camera.refresh_from_db()
    assert camera.processor_options == {"edges": {"low": 12}}
    owner.post(PATH, {"reset": "1"})
    camera.refresh_from_db()
    assert camera.processor_options is None


@pytest.mark.django_db
def test_stored_options_that_no_longer_exist_are_listed(owner: Client, camera: Camera) -> None:
    Camera.objects.update(processor_options={"edges": {"low": 3, "gone<b>": 1}})
    page = owner.get(PATH).content.decode()
    assert "no such options any more: gone&lt;b&gt;." in page
    owner.post(PATH, {"reset": "1"})
    camera.refresh_from_db()
    assert camera.processor_options is None


@pytest.mark.django_db
def test_what_the_worker_refuses_is_shown_at_its_field(
    owner: Client, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise InvalidError("no", {"low": ["Not <that> low."], "gone": ["Elsewhere."]})

    monkeypatch.setattr(options_page, "set_options", refuse)
    answer = owner.post(PATH, {"option-low": "12"})
    page = answer.content.decode()
    assert answer.status_code == 200 and "Not &lt;that&gt; low." in page and "Elsewhere." in page


@pytest.mark.django_db
def test_only_the_role_configure_sees_the_page(owner: Client, camera: Camera, viewer: User) -> None:
    for client in (signed_in(viewer), with_role("guard", camera, "control")):
        assert client.get(PATH).status_code == 403
        assert PATH not in client.get("/cameras/door/").content.decode()
    assert owner.get("/cameras/door/options/other/").status_code == 404


def test_ready_made_processors_are_chosen_on_the_page_of_the_camera(admin_user: User, camera: Camera) -> None:
    client = signed_in(admin_user)
    url = reverse("ninjacam:camera", args=[camera.slug])
    assert 'value="motion"' in client.get(url).content.decode()
    choose = reverse("ninjacam:processors-choose", args=[camera.slug])
    assert client.post(choose, {"processor": ["motion", "objects"]}).status_code == 302
    camera.refresh_from_db()
    assert camera.processors == ["motion", "objects"]
    assert 'value="motion" checked' in client.get(url).content.decode()
    assert client.post(choose, {"processor": ["none-such"]}).status_code == 422
    assert client.post(choose).status_code == 302
    camera.refresh_from_db()
    assert camera.processors == []
    assert client.get(choose).status_code == 405


@pytest.mark.parametrize("role", ["view", "control"])
def test_users_who_may_not_configure_choose_none(camera: Camera, role: str) -> None:
    client = with_role("guest", camera, role)
    assert (
        'name="processor"' not in client.get(reverse("ninjacam:camera", args=[camera.slug])).content.decode()
    )
    assert client.post(reverse("ninjacam:processors-choose", args=[camera.slug])).status_code == 403


@pytest.mark.parametrize("is_chosen", [False, True])
def test_a_ready_made_processor_with_the_name_of_an_own_one_is_not_offered(
    owner: Client, camera: Camera, monkeypatch: pytest.MonkeyPatch, is_chosen: bool
) -> None:
    if is_chosen:
        Camera.objects.update(processors=["clock"])
    status = Status(
        engine_running=True,
        processors=(
            {"name": "clock", "module": "workshop.cameras", "cameras": ["*"]},
            {"name": "motion", "module": "ninjacam.processors.motion", "cameras": ["door"]},
        ),
    )
    monkeypatch.setattr(views, "read_status", lambda: status)
    page = owner.get("/cameras/door/").content.decode()
    assert ('value="clock" checked' in page) is is_chosen, "one that was chosen before can be removed"
    assert ('value="clock"' in page) is is_chosen
    assert page.count("is used instead") == 1 and "Your own processor “clock” is used instead." in page
    assert 'value="motion"' in page
