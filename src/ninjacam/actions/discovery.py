"""Search the network for cameras: one search per host at a time, as a separate process.

Implements permissions, rate limits, and the detection of known cameras. Not here: the search (`ninjacam.discovery`).
"""

import asyncio
import base64
import contextlib
import fcntl
import json
import os
import secrets
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.utils.functional import Promise
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ninjacam.actions.audit import record
from ninjacam.actions.probe import probe_source
from ninjacam.auth import Actor
from ninjacam.conf import get_settings
from ninjacam.core.errors import ConfigError, ConflictError, ForbiddenError, InvalidError, LimitError
from ninjacam.core.interpreter import bare_environment, python_command
from ninjacam.discovery.networks import Attached, attached_networks
from ninjacam.discovery.search import DEFAULT_TIMEOUT_S, SearchConfig
from ninjacam.languages import translate
from ninjacam.models import Camera, Role
from ninjacam.sources.base import SourceConfig
from ninjacam.throttle import get_throttle

MAX_SEARCHES, SEARCH_EVERY_S = 4, 15.0
"""Limits of this host: (burst, seconds per further one)."""
MAX_IMAGES = 16
IMAGES_AT_ONCE = 2
IMAGES_TIMEOUT_S = 10.0
"""Seconds after the search until the last images must have arrived."""
CHECK_S = 0.25
_MAX_LINE_BYTES = 1 << 16
_MAX_WAITING = 256
_START_S = 5.0

Event = dict[str, Any]

REASONS: Mapping[str, "str | Promise"] = {
    "onvif_camera": gettext_lazy("It answers as an ONVIF camera."),
    "onvif_device": gettext_lazy("It answers as an ONVIF device."),
    "rtsp_video": gettext_lazy("It offers video by RTSP."),
    "rtsp_locked": gettext_lazy("It offers RTSP to users with a password."),
    "rtsp_server": gettext_lazy("It has an RTSP server."),
    "http_video": gettext_lazy("It serves live video by HTTP."),
    "http_page": gettext_lazy("It serves the web page of a camera or a camera app."),
    "mdns_service": gettext_lazy("It announces a camera by DNS-SD."),
    "ssdp_description": gettext_lazy("It describes itself as a camera by UPnP."),
    "mac_camera": gettext_lazy("Its network card is from a manufacturer of cameras."),
    "mac_mixed": gettext_lazy("Its network card is from a manufacturer that also makes cameras."),
    "mac_phone": gettext_lazy("Its network card is from a manufacturer of phones."),
}


def require_discovery(actor: Actor) -> None:
    """Raises: ForbiddenError."""
    if not actor.may_all("add_camera", "configure"):
        raise ForbiddenError(_("You are not allowed to add cameras, so you cannot search for them either."))


def list_networks(actor: Actor) -> list[Attached]:
    """Return the private networks that this host is attached to. Raises: ForbiddenError."""
    require_discovery(actor)
    return attached_networks()


def start_search(
    actor: Actor, network: str = "", *, timeout_s: float = DEFAULT_TIMEOUT_S, images: bool = True
) -> "RunningSearch":
    """Begin to search for cameras. With `network` (CIDR, private, at most 256 addresses), also probe each address in
    it.

    Raises: ForbiddenError; InvalidError: the network or the time limit; ConflictError: a search is running;
    LimitError: too many searches. The caller iterates over the result, or closes it.
    """
    require_discovery(actor)
    try:
        config = SearchConfig(network.strip(), timeout_s, get_settings().allowed_networks)
    except ConfigError as error:
        raise InvalidError.of("network", translate(error.text)) from error
    lock = _SearchLock.take()
    try:
        _require_turn()
        known = _known_hosts(actor)
        record(actor, "camera.discover", config.network or "(announcements)")
    except BaseException:
        lock.release()
        raise
    return RunningSearch(lock, config, known, images=images)


def _require_turn() -> None:
    """Raises: LimitError."""
    wait_s = get_throttle().take("discovery", burst=MAX_SEARCHES, every_s=SEARCH_EVERY_S)
    if wait_s:
        raise LimitError(_("Too many searches. Try again in a few seconds."), retry_after_s=wait_s)


def is_searching() -> bool:
    """Return whether any process of this host is searching."""
    return _SearchLock.is_taken()


def cancel_search(actor: Actor) -> None:
    """End the running search of this host, in any process. It ends within a second. Idempotent.

    Raises: ForbiddenError.
    """
    require_discovery(actor)
    search_id = _SearchLock.read_id()
    if search_id:
        get_throttle().mark(_cancel_key(search_id), for_s=60)
        record(actor, "camera.discover.cancel", search_id)


def _cancel_key(search_id: str) -> str:
    return f"discovery cancel:{search_id}"


class _SearchLock:
    """A locked file in the run directory. The kernel releases the lock when its process ends."""

    def __init__(self, descriptor: int, search_id: str) -> None:
        self.search_id = search_id
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls) -> "_SearchLock":
        """Raises: ConflictError: a search is running."""
        path = get_settings().run_dir / "discovery.lock"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ConflictError(
                _("A search is already running. Wait until it has finished, or cancel it.")
            ) from None
        search_id = secrets.token_hex(8)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, search_id.encode(), 0)
        return cls(descriptor, search_id)

    @staticmethod
    def is_taken() -> bool:
        try:
            with (get_settings().run_dir / "discovery.lock").open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass  # No search has ever run.
        return False

    @staticmethod
    def read_id() -> str:
        try:
            return (get_settings().run_dir / "discovery.lock").read_text("ascii", "replace")[:32]
        except OSError:
            return ""

    def release(self) -> None:
        """Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _known_hosts(actor: Actor) -> dict[str, str]:
    """Return the slug of a camera by its host, of the cameras that `actor` may view."""
    known: dict[str, str] = {}
    for camera in Camera.objects.all():
        if actor.may(Role.VIEW, camera):
            with contextlib.suppress(ValueError):  # URLs without a host, such as file:.
                known[(urlsplit(camera.url).hostname or "").lower()] = camera.slug
    known.pop("", None)
    return known


class RunningSearch:
    """The events of a search, in order. Iterate once.

    Kinds (key "event"): "progress"; "device", again whenever its evidence changes; "image", one frame of a device
    that requires no password; finally "done", or "error". `close` ends the search, even if the iteration never
    began. Idempotent. `stopping`: set by the server before it stops; the iteration then ends.
    """

    def __init__(
        self, lock: _SearchLock, config: SearchConfig, known: Mapping[str, str], *, images: bool
    ) -> None:
        self.stopping: asyncio.Event | None = None
        self._lock = lock
        self._config = config
        self._known = known
        self._images = MAX_IMAGES if images else 0
        self._images_at_once = asyncio.Semaphore(IMAGES_AT_ONCE)
        self._pictured: set[str] = set()
        self._process: asyncio.subprocess.Process | None = None

    def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        self._lock.release()

    async def __aiter__(self) -> AsyncIterator[Event]:
        events: asyncio.Queue[Event | None] = asyncio.Queue(_MAX_WAITING)
        work = asyncio.create_task(self._work(events), name="discovery")
        work.add_done_callback(lambda _: _put_end(events))
        try:
            while (event := await events.get()) is not None:
                if event["event"] in ("done", "error"):
                    # Must precede the last event: the next search may begin when its client has received it.
                    self.close()
                yield event
            if work.done() and not work.cancelled():
                work.result()
        finally:
            await _cancel(work)
            self.close()

    async def _work(self, events: "asyncio.Queue[Event | None]") -> None:
        end = asyncio.create_task(self._wait_for_end(), name="discovery-end")
        search = asyncio.create_task(self._search(events), name="discovery-search")
        try:
            await asyncio.wait((end, search), return_when=asyncio.FIRST_COMPLETED)
            if search.done():
                search.result()
            else:
                await events.put(_error("cancelled", _("The search was cancelled.")))
        finally:
            await _cancel(end, search)

    async def _wait_for_end(self) -> None:
        """Return when the server stops or another process cancels the search."""
        while not get_throttle().is_marked(_cancel_key(self._lock.search_id)):
            if self.stopping is None:
                await asyncio.sleep(CHECK_S)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await self.stopping.wait()
                    return

    async def _search(self, events: "asyncio.Queue[Event | None]") -> None:
        images: set[asyncio.Task[None]] = set()
        last = _error("failed", _("The search ended without a result."))
        try:
            async with (
                asyncio.timeout(self._config.timeout_s + _START_S),
                contextlib.aclosing(self._read_process()) as found,
            ):
                async for event in found:
                    if event["event"] in ("done", "error"):
                        last = event
                        continue
                    if event["event"] == "device":
                        event = self._describe(event)
                        stream = self._stream_to_show(event)
                        if stream is not None:
                            task = asyncio.create_task(self._show(event["address"], stream, events))
                            images.add(task)
                    await events.put(event)
            if images:
                await asyncio.wait(images, timeout=IMAGES_TIMEOUT_S)
        except TimeoutError:
            pass
        finally:
            await _cancel(*images)
        await events.put(last)

    async def _read_process(self) -> AsyncGenerator[Event, None]:
        question = {
            "network": self._config.network,
            "timeout_s": self._config.timeout_s,
            "allowed_networks": self._config.allowed_networks,
        }
        process = self._process = await asyncio.create_subprocess_exec(
            *python_command("ninjacam.discovery"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=bare_environment(),
            limit=_MAX_LINE_BYTES,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            while (event := await _next_event(process.stdout)) is not None:
                yield event
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await process.communicate()  # Also closes its pipes.

    def _describe(self, event: Event) -> Event:
        """Add data that the search does not have: names, descriptions and the existing camera."""
        codes = event.pop("evidence")
        host, hostname = event["address"], event["hostname"].lower().rstrip(".")
        title = (
            event["name"] or " ".join(filter(None, (event["maker"], event["model"]))) or _("Camera %s") % host
        )
        return {
            **event,
            "title": title,
            "slug": slugify(title)[:50].strip("-_") or "camera-" + host.replace(".", "-"),
            "certainty_word": certainty_word(event["certainty"]),
            "reasons": [str(REASONS[code]) for code in codes if code in REASONS],
            "camera": self._known.get(host) or (self._known.get(hostname) if hostname else None),
        }

    def _stream_to_show(self, event: Event) -> str | None:
        """Return the URL for a device's image: the smallest open stream, once per device."""
        if not event["is_final"] or event["address"] in self._pictured:
            return None
        if len(self._pictured) >= self._images:
            return None
        streams = [stream for stream in event["streams"] if stream["state"] == "verified"]
        if not streams:
            return None
        self._pictured.add(event["address"])
        return str(min(streams, key=lambda stream: stream["width_px"] or 1 << 16)["url"])

    async def _show(self, address: str, url: str, events: "asyncio.Queue[Event | None]") -> None:
        async with self._images_at_once:
            source = SourceConfig(url, audio=False, allowed_networks=self._config.allowed_networks)
            answer = await probe_source(source)
        if answer.ok and answer.jpeg:
            await events.put(
                {
                    "event": "image",
                    "address": address,
                    "codec": answer.codec,
                    "width_px": answer.width,
                    "height_px": answer.height,
                    "jpeg_base64": base64.b64encode(answer.jpeg).decode(),
                }
            )


def certainty_word(certainty: float) -> str:
    if certainty >= 0.9:
        return _("certain")
    return _("likely") if certainty >= 0.6 else _("possible")


async def _cancel(*tasks: "asyncio.Task[None]") -> None:
    """Cancel the tasks and wait for them. A second cancellation would interrupt their clean-up."""
    for task in tasks:
        if not task.cancelling():
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _next_event(lines: asyncio.StreamReader) -> Event | None:
    """Return the next event; None at the end, or if the process is broken."""
    try:
        event = json.loads(await lines.readline() or b"null")
    except (ValueError, RecursionError):  # A line that is too long, or not JSON.
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _error(code: str, message: str) -> Event:
    return {"event": "error", "code": code, "message": message, "retryable": True}


def _put_end(events: "asyncio.Queue[Event | None]") -> None:
    """Append the end mark, and make room for it: the reader may have left a full queue."""
    if events.full():
        events.get_nowait()
    events.put_nowait(None)
