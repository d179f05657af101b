"""Which encodings of a camera's views are made."""

from functools import partial
from typing import Any, cast

import pytest

from ninjacam import Frame, processor
from ninjacam.core.errors import ConfigError, ViewNotFoundError
from ninjacam.core.packets import Codec, StreamInfo
from ninjacam.core.processors import FunctionProcessor, ProcessorRegistry, Registration, When
from ninjacam.hub.request import StreamRequest
from ninjacam.vision.code import ProcessorCode
from ninjacam.vision.variants import Variants


def nothing(frame: Frame) -> None: ...


def variants_of(*entries: Registration) -> Variants:
    code = ProcessorCode([])
    code.current = {entry.name: entry for entry in entries}
    return Variants("door", 1, code, describe=lambda _: StreamInfo("door"), on_demand=lambda _: None)


def entry(name: str, *cameras: str, when: When = "watched", record: bool = False) -> Registration:
    make = partial(FunctionProcessor, nothing)
    return Registration(name, make, cameras or ("*",), "cameras", when=when, record=record)


def wanted(variants: Variants) -> list[StreamRequest]:
    return [variant.request for variant in variants.wanted()]


def test_without_viewers_only_processors_that_always_run_are_made() -> None:
    variants = variants_of(
        entry("watched"), entry("count", when="always"), entry("yard", "yard", when="always")
    )
    assert wanted(variants) == [StreamRequest("count", Codec.ANNOTATIONS)]
    first, again = next(variants.wanted()), next(variants.wanted())
    assert first is again, "its state is kept"
    variants.may_wake = False
    assert wanted(variants) == [], "a camera that sleeps is not woken for it"


def test_viewers_and_the_recorder_are_served_beside_them() -> None:
    variants = variants_of(entry("count", when="always", record=True))
    variants.find_channel(StreamRequest("count", Codec.MJPEG))
    variants.find_channel(StreamRequest("", Codec.ANNOTATIONS))
    assert [(each.view, each.codec) for each in wanted(variants)] == [
        ("count", Codec.ANNOTATIONS), ("count", Codec.MJPEG), ("count", Codec.ANNOTATIONS),
    ]  # fmt: skip


def test_saved_code_ends_what_no_longer_always_runs() -> None:
    variants = variants_of(entry("count", when="always"))
    assert wanted(variants)
    cast(Any, variants)._code.current = {"count": entry("count")}
    assert wanted(variants) == []


def test_a_processor_that_is_switched_off_for_a_camera_is_not_made_and_refuses_viewers() -> None:
    variants = variants_of(
        entry("count", when="always", record=True), entry("kept", when="always", record=True)
    )
    variants.find_channel(StreamRequest("", Codec.ANNOTATIONS))
    code = cast(Any, variants)._code
    assert not code.set_off("door", ()), "nothing changes"
    assert code.set_off("door", ["count"]) and not code.set_off("door", ["count"])
    assert {each.view for each in wanted(variants)} == {"kept"}
    with pytest.raises(ViewNotFoundError, match="active profile switches the processor 'count' off"):
        variants.find_channel(StreamRequest("count", Codec.MJPEG))
    assert code.views("door") == ["kept"] and code.views("yard") == ["count", "kept"]
    assert code.set_off("door", ())
    assert {each.view for each in wanted(variants)} == {"count", "kept"}


def test_the_decorator_takes_the_known_times(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = ProcessorRegistry()
    monkeypatch.setattr("ninjacam.core.processors.registry", registry)
    found = []
    for arguments in ({}, {"record": True}, {"when": "recorded"}, {"when": "always"}, {"when": "motion"}):
        processor(**arguments)(nothing)
        made = registry.get("nothing")
        assert made is not None
        found.append((made.when, made.record))
    assert found == [
        ("watched", False), ("watched", True), ("recorded", True), ("always", False), ("motion", False)
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="Use watched, recorded, motion, always or events"):
        processor(when="never")(nothing)  # type: ignore[call-overload]
