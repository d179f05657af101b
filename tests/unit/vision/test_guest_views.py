"""A vision worker has the views stored that the code declares for guests."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ninjacam.core.errors import NinjacamError
from ninjacam.core.processors import ProcessorRegistry
from ninjacam.vision.code import ModuleFile, ProcessorCode
from ninjacam.vision.process import VisionProcess

CODE = """
from ninjacam import processor

@processor(cameras="door*", replaces_video_for="view")
def private(frame): ...

@processor(replaces_video_for="view")
def zeroed(frame): ...

@processor
def edges(frame): ...
"""


def test_the_first_declared_view_by_name_is_for_the_guests_of_a_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = ProcessorRegistry()
    monkeypatch.setattr("ninjacam.core.processors.registry", registry)
    path = tmp_path / "guest_cameras.py"
    path.write_text(CODE)
    code = ProcessorCode([ModuleFile("guest_cameras", path)], into=registry)
    code.refresh()
    assert [code.view_for_guests(slug) for slug in ("door", "yard")] == ["private", "zeroed"]
    assert [each["replaces_video_for"] for each in code.describe()] == ["", "view", "view"]
    code.set_off("door", ["private"])
    assert code.view_for_guests("door") == "private", "a profile that switches it off changes no decision"
    path.write_text("from ninjacam import processor\n")
    code.refresh()
    assert code.view_for_guests("door") == ""


def test_a_declared_view_is_stored_for_cameras_without_one_and_again_after_an_error() -> None:
    class Camera:
        def __init__(self, view: str) -> None:
            self.guest_view = view

        def set_guest_view(self, view: str) -> None:
            self.guest_view = view

    stored: list[tuple[str, str]] = []
    is_available = False

    def store(slug: str, view: str) -> None:
        if not is_available:
            raise NinjacamError("The database does not respond.")
        stored.append((slug, view))

    async def go() -> None:
        nonlocal is_available
        process: Any = VisionProcess.__new__(VisionProcess)
        process._cameras = {"door": Camera(""), "gate": Camera("other"), "yard": Camera("")}
        process._code = SimpleNamespace(view_for_guests={"door": "private", "gate": "private"}.get)
        process._store_guest_view = cast(Any, store)
        process._storing = None
        for _ in range(3):
            process._store_guest_views()
            await process._storing
            assert process._cameras["door"].guest_view == ("private" if is_available else "")
            is_available = True

    asyncio.run(go())
    assert stored == [("door", "private")]
