"""Test a camera before it is saved, in a separate process with limits on time and number."""

import asyncio
import base64
import binascii
import contextlib
import json
import subprocess
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy

from ninjacam.actions.audit import record
from ninjacam.actions.cameras import SourceFields, source_to_probe
from ninjacam.actions.child_processes import UserSlots, run_module
from ninjacam.auth import Actor
from ninjacam.core.errors import ProtocolError, SourceTimeoutError
from ninjacam.core.interpreter import bare_environment, python_command
from ninjacam.core.texts import gettext_noop
from ninjacam.devices.description import TIMEOUT_S as DEVICE_TIMEOUT_S
from ninjacam.devices.description import DeviceDescription
from ninjacam.devices.messages import error_of
from ninjacam.models import Camera
from ninjacam.queries.device import description_of
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.registry import waits_for_publisher

TIMEOUT_S = 10.0
_START_S = 5.0  # Starting Python and libav on a slow machine.
AT_ONCE = 3
"""Maximum number of tests per web worker: each takes a process, a connection and the decoding of a frame."""
_MODULE = "ninjacam.capture.probe"
_DEVICE_MODULE = "ninjacam.devices.probe"
_SLOTS = UserSlots(
    AT_ONCE,
    own=gettext_lazy("You are already testing a camera. Wait until that test has finished."),
    others=gettext_lazy("Other cameras are being tested. Try again in a few seconds."),
)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """`error`: {"code", "message", "retryable"}, None if `ok`. `jpeg`: one frame, 640 pixels wide."""

    ok: bool
    error: dict[str, Any] | None = None
    codec: str = ""
    width: int = 0
    height: int = 0
    audio_codec: str = ""
    jpeg: bytes = field(default=b"", repr=False)


def probe_camera(actor: Actor, fields: SourceFields, camera: Camera | None = None) -> ProbeResult:
    """Open the camera once. Errors of the camera are part of the result, not errors of the action.

    Blocks for up to 15 s. Raises: ForbiddenError, InvalidError, LimitError: two tests are already running.
    """
    source = source_to_probe(actor, fields, camera)
    record(actor, "camera.probe", camera.slug if camera else "(new)", host=urlsplit(source.url).hostname)
    return run_probe(source, getattr(actor, "user", None))


def run_probe(source: SourceConfig, user: Any = None) -> ProbeResult:
    """Test a camera. Each user tests one camera at a time, so that users do not block each other. Raises:
    LimitError."""
    if waits_for_publisher(source):
        return _failed(
            "waits_for_publisher",
            gettext_noop("This camera waits for a publisher. Save it, then publish to it."),
        )
    with _SLOTS.take(user):
        return _run(source)


def describe_device(config: SourceConfig, user: Any = None) -> DeviceDescription:
    """Ask a device to describe itself, in a separate process, for at most 17 s.

    Raises: LimitError; SourceError, CommandError: of the device.
    """
    question = json.dumps({"device": asdict(config)}).encode()
    with _SLOTS.take(user):
        printed = run_module(_DEVICE_MODULE, question, DEVICE_TIMEOUT_S + _START_S, bare=True)
    if printed is None:
        raise SourceTimeoutError("The camera does not answer in time.")
    try:
        answer = json.loads(printed)
        if answer["ok"]:
            return description_of(answer["device"])
        error = answer["error"]
    except (ValueError, KeyError, TypeError) as exc:
        raise ProtocolError("The camera's description cannot be read.") from exc
    raise error_of(error)


async def probe_source(source: SourceConfig) -> ProbeResult:
    """Open an address once, in a separate process, for at most 15 s. The caller limits the number of tests.

    Cancelling this coroutine ends the process.
    """
    process = await asyncio.create_subprocess_exec(
        *python_command(_MODULE),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=bare_environment(),
    )
    try:
        async with asyncio.timeout(TIMEOUT_S + _START_S):
            printed, _none = await process.communicate(_question(source))
    except TimeoutError:
        return _too_slow()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()  # Also closes its pipes.
    return _read(printed)


def _question(source: SourceConfig) -> bytes:
    return json.dumps({"source": asdict(source), "timeout_s": TIMEOUT_S}).encode()


def _run(source: SourceConfig) -> ProbeResult:
    printed = run_module(_MODULE, _question(source), TIMEOUT_S + _START_S, bare=True)
    return _too_slow() if printed is None else _read(printed)


def _read(printed: bytes) -> ProbeResult:
    try:
        answer = json.loads(printed)
        if not answer["ok"]:
            return ProbeResult(ok=False, error=answer["error"])
        return ProbeResult(
            ok=True,
            codec=answer.get("codec") or "",
            width=answer.get("width") or 0,
            height=answer.get("height") or 0,
            audio_codec=answer.get("audio_codec") or "",
            jpeg=base64.b64decode(answer.get("jpeg_base64") or ""),
        )
    except (ValueError, KeyError, TypeError, binascii.Error):
        # Data from the camera crashed the process, which is separate for this reason.
        return _failed(
            "protocol_error",
            gettext_noop("The test ended without a result: the camera's data cannot be read."),
        )


def _too_slow() -> ProbeResult:
    return _failed(
        "timeout",
        gettext_noop("The camera did not respond in time. Check its address and that it is switched on."),
    )


def _failed(code: str, message: str) -> ProbeResult:
    return ProbeResult(ok=False, error={"code": code, "message": message, "retryable": True})
