"""The options socket of a vision worker, over a real socket."""

import asyncio
import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import BaseModel, field_validator

from ninjacam import Frame
from ninjacam.core.errors import ProcessorError, StreamUnavailableError
from ninjacam.core.processors import FunctionProcessor, Registration
from ninjacam.vision import options as options_module
from ninjacam.vision.options import MAX_QUESTION_BYTES, MAX_STUCK, OptionsServer, check_values
from tests.harness.processes import wait_until

RELEASE = threading.Event()


class Sizes(BaseModel):
    width: int = 3
    text: str = ""

    @field_validator("text")
    @classmethod
    def _check(cls, text: str) -> str:
        if text == "hang":
            while True:
                pass
        if text == "sleep":
            RELEASE.wait(30)
        if text == "break":
            raise KeyError("a bug of the user")
        return text


def draw(frame: Frame, options: Sizes) -> None: ...


def entry(name: str, model: Any) -> Registration:
    return Registration(name, partial(FunctionProcessor, draw), ("*",), "cameras", options=model)


def ask_worker(run_dir: Path, question: Callable[[], Any]) -> Any:
    """Run a worker's server, and `question` in a thread meanwhile."""
    current = {"sizes": entry("sizes", Sizes), "plain": entry("plain", None), "broken": ProcessorError("No.")}

    async def go() -> Any:
        server = OptionsServer(run_dir / "vision-1.options", cast(Any, SimpleNamespace(current=current)))
        await server.start()
        try:
            return await asyncio.to_thread(question)
        finally:
            await server.close()

    return asyncio.run(go())


def test_a_worker_says_which_values_fit(tmp_path: Path) -> None:
    checked = ask_worker(tmp_path, lambda: check_values(tmp_path, "sizes", {"width": "x", "text": "한"}))
    assert checked.values == {"width": 3, "text": "한"}
    assert list(checked.problems) == ["width"]
    assert not list(tmp_path.iterdir()), "the socket is removed"


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("plain", {}, "has no options"),
        ("other", {}, "does not exist"),
        ("broken", {}, "No."),
        ("sizes", {"text": "break"}, "sizes: KeyError: 'a bug of the user'"),
        ("sizes", {"text": "hang"}, "did not return within"),
    ],
)
def test_what_cannot_be_checked_is_one_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, values: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(options_module, "VALIDATORS_S", 0.3)
    with pytest.raises(ProcessorError, match=words):
        ask_worker(tmp_path, lambda: check_values(tmp_path, name, values))


def test_a_worker_that_was_killed_is_passed_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "vision-0.options"))
    assert ask_worker(tmp_path, lambda: check_values(tmp_path, "sizes", {})).problems == {}
    with pytest.raises(StreamUnavailableError):
        check_values(tmp_path, "sizes", {})


def test_garbage_ends_only_its_own_connection(tmp_path: Path) -> None:
    def send() -> Any:
        for garbage in (b"\xff\n", b"[]\n", b"x" * (MAX_QUESTION_BYTES + 9) + b"\n", b'{"values": 3}\n', b""):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(tmp_path / "vision-1.options"))
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(10)
                connection.recv(1 << 16)
        return check_values(tmp_path, "sizes", {"width": 5})

    assert ask_worker(tmp_path, send).values["width"] == 5


def test_validators_that_never_return_take_a_bounded_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options_module, "VALIDATORS_S", 0.1)
    texts = []

    def ask() -> Any:
        for _ in range(MAX_STUCK + 2):
            with pytest.raises(ProcessorError) as caught:
                check_values(tmp_path, "sizes", {"text": "sleep"})
            texts.append(caught.value.message)
        assert sum(thread.name == "options-sizes" for thread in threading.enumerate()) == MAX_STUCK
        RELEASE.set()
        wait_until(
            lambda: not any(thread.name == "options-sizes" for thread in threading.enumerate()), 10, "the end"
        )
        return check_values(tmp_path, "sizes", {"width": 4})

    assert ask_worker(tmp_path, ask).values["width"] == 4
    assert ["earlier calls" in text for text in texts] == [False] * MAX_STUCK + [True] * 2
