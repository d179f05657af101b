"""Validates values of options for web workers, which never import user code: `<run>/<worker>.options`.

A question is {"processor", "values"}; its answer {"values", "problems"}, or {"error": NinjacamError.as_dict()}. Any
worker can answer, because all of them load the same code.
"""

import asyncio
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ninjacam.core.errors import (
    ConfigError,
    NinjacamError,
    ProcessorError,
    StreamUnavailableError,
    ViewNotFoundError,
)
from ninjacam.core.json_lines import Json, ask, decode, encode
from ninjacam.core.options import MAX_VALUES_BYTES, fit_options
from ninjacam.core.processors import Registration
from ninjacam.core.unix_sockets import UnixServer
from ninjacam.vision.code import ProcessorCode, interrupt, one_line

logger = logging.getLogger("ninjacam.vision")

MAX_CONNECTIONS = 8
MAX_QUESTION_BYTES = 4 * MAX_VALUES_BYTES
"""Values as ASCII JSON, in which a character may take six bytes."""
MAX_ANSWER_BYTES = 1 << 20
QUESTION_S = 2.0
VALIDATORS_S = 2.0
"""Seconds for the user's validators."""
MAX_STUCK = 2
"""Maximum number of threads whose validators do not return."""


@dataclass(frozen=True, slots=True)
class CheckedValues:
    """`values`: of all options, in their JSON form. `problems`: name of an option -> why its value is not used."""

    values: dict[str, Any]
    problems: dict[str, str]


class OptionsServer:
    """The vision worker's end. Thread: the event loop."""

    def __init__(self, path: Path, code: ProcessorCode) -> None:
        self._code = code
        self._stuck: list[threading.Thread] = []
        self._server = UnixServer(
            path, self._serve, max_connections=MAX_CONNECTIONS, max_line_bytes=MAX_QUESTION_BYTES
        )

    async def start(self) -> None:
        """Raises: OSError: the socket cannot be created."""
        await self._server.start()

    async def close(self) -> None:
        """Idempotent."""
        await self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(QUESTION_S):
                question = decode(await reader.readline())
            try:
                answer = await self._check(question)
            except NinjacamError as error:
                answer = {"error": error.as_dict()}
            writer.write(encode(answer))
            async with asyncio.timeout(QUESTION_S):
                await writer.drain()
        except (OSError, ValueError, NinjacamError):  # OSError includes TimeoutError.
            logger.debug("a connection to the options socket broke off")

    async def _check(self, question: Json) -> Json:
        """Raises: ViewNotFoundError, ConfigError, ProcessorError."""
        name, values = str(question.get("processor"))[:50], question.get("values")
        entry = self._code.current.get(name)
        if isinstance(entry, ProcessorError):
            raise entry
        if entry is None or entry.options is None or not isinstance(values, dict):
            raise ViewNotFoundError(f"The processor {name!r} does not exist, or has no options.")
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if len(self._stuck) >= MAX_STUCK:
            raise ProcessorError(f"{name}: earlier calls of validators have not returned yet.")
        answers: list[Json | NinjacamError] = []
        thread = threading.Thread(
            target=_run_validators, args=(entry, values, answers), name=f"options-{name}", daemon=True
        )
        thread.start()
        await asyncio.to_thread(thread.join, VALIDATORS_S)
        if not answers:
            interrupt(thread)
            self._stuck.append(thread)
            raise ProcessorError(f"{name}: the validators did not return within {VALIDATORS_S:g} s.")
        answer = answers[0]
        if isinstance(answer, NinjacamError):
            raise answer
        return answer


def _run_validators(entry: Registration, values: dict[str, Any], answers: list[Json | NinjacamError]) -> None:
    assert entry.options is not None
    try:
        fitted = fit_options(entry.options, values)
        answers.append({"values": fitted.values, "problems": fitted.problems})
    except ConfigError as exc:
        answers.append(exc)
    except BaseException as exc:  # The boundary to user code.
        answers.append(ProcessorError(f"{entry.name}: {one_line(exc)}"))


def check_values(run_dir: Path, processor: str, values: dict[str, Any]) -> CheckedValues:
    """Ask a vision worker which values of options fit. Blocks for up to 6 s.

    Raises: StreamUnavailableError: no worker answers; ProcessorError: the processor does not load, has no options, or
    its validators fail.
    """
    question = {"processor": processor, "values": values}
    for path in sorted(run_dir.glob("*.options")):
        try:
            answer = ask(path, question, timeout_s=QUESTION_S + 2 * VALIDATORS_S, max_bytes=MAX_ANSWER_BYTES)
        except (OSError, NinjacamError):
            continue  # A worker that was killed leaves its socket.
        if answer is None:
            continue
        if error := answer.get("error"):
            raise ProcessorError(str(error.get("message", "")))
        return CheckedValues(dict(answer["values"]), dict(answer["problems"]))
    raise StreamUnavailableError("No vision worker runs that could check the options. Try again in a moment.")
