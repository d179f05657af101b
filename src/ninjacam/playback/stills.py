"""Decodes recorded frames in child processes, a few at once, with a timeout.

A child decodes frames of one camera only, one after another, because starting a child takes ten times as long as
decoding a frame.
"""

import asyncio
import contextlib
import json
from collections.abc import Hashable
from pathlib import Path

from ninjacam.core.interpreter import bare_environment, python_command
from ninjacam.problems import Problem, stopping
from ninjacam.recordings.frame_lookup import StillPlace
from ninjacam.viewers.turns import Turns
from ninjacam.viewers.worker import Worker

AT_ONCE = 2
"""Maximum number of children per worker. A still requires decoding of up to a GOP."""
MAX_WAITING = 64
MAX_WAITING_OF_USER = 8
"""Maximum number of waiting requests per user. A timeline's preview requests one at a time, and the replay of four
cameras four."""
MAX_BYTES = 64 << 20
TIMEOUT_S = 10.0
IDLE_S = 10.0
"""Seconds without a request after which a child is ended."""

Child = asyncio.subprocess.Process


class Stills:
    """The children of one worker."""

    def __init__(self, worker: Worker) -> None:
        self._stop = worker.stop
        self._turns = Turns(AT_ONCE, max_waiting=MAX_WAITING, max_waiting_of_user=MAX_WAITING_OF_USER)
        self._idle: dict[Child, tuple[str, asyncio.Task[None]]] = {}
        """Child -> the directory of its camera's recordings, and the timer that ends it."""

    async def take(self, place: StillPlace, width_px: int, user: Hashable) -> tuple[int, bytes]:
        """Return the capture time and the JPEG. `user`: the key by which users take turns.

        Raises: Problem 429: too many requests of this user are waiting; 503: too many requests of all users are
        waiting, or the server stops; 500: the frame cannot be decoded.
        """
        if self._stop.is_set():
            raise stopping()
        async with self._turns.turn(user):
            return await self._decode(place, width_px)

    async def _decode(self, place: StillPlace, width_px: int) -> tuple[int, bytes]:
        camera = str(Path(place.path).parents[2])
        child = self._take_idle(camera) or await _spawn()
        question = json.dumps({**place.as_dict(), "width_px": width_px}).encode() + b"\n"
        asking = asyncio.ensure_future(_ask(child, question))
        stopped = asyncio.ensure_future(self._stop.wait())
        answered = False
        try:
            await asyncio.wait((asking, stopped), timeout=TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise (
                    stopping()
                    if stopped.done()
                    else Problem(503, "timeout", "Decoding the frame took too long.")
                )
            at_ns, jpeg = asking.result()
            answered = True
            if not jpeg:
                raise Problem(500, "decode_error", "The recorded frame cannot be decoded.")
            return at_ns, jpeg
        finally:
            stopped.cancel()
            if answered and not self._stop.is_set() and len(self._idle) < AT_ONCE:
                rest = asyncio.get_running_loop().create_task(self._rest(child), name="live-still-idle")
                self._idle[child] = (camera, rest)
            else:
                asking.cancel()
                await _end(child)
                await asyncio.gather(asking, return_exceptions=True)

    def _take_idle(self, camera: str) -> Child | None:
        """Return an idle child of this camera. If there are too many children, end one of another camera."""
        found = next((child for child, (its, _) in self._idle.items() if its == camera), None)
        if found is not None:
            self._idle.pop(found)[1].cancel()
        elif len(self._idle) >= AT_ONCE:
            self._idle.pop(next(iter(self._idle)))[1].cancel("for another camera")
        return found

    async def _rest(self, child: Child) -> None:
        try:
            await self._stop.sleep(IDLE_S)
        except asyncio.CancelledError as exc:
            if exc.args:
                await _end(child)
            raise
        self._idle.pop(child, None)
        await _end(child)


async def _spawn() -> Child:
    return await asyncio.create_subprocess_exec(
        *python_command("ninjacam.recordings.still"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=bare_environment(),  # Without the secret key, because the child decodes camera data.
    )


async def _ask(child: Child, question: bytes) -> tuple[int, bytes]:
    """Return the child's response. Without a JPEG, the frame cannot be decoded, or the child has crashed."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(question)
        await child.stdin.drain()
        answer = json.loads(await child.stdout.readline() or b"{}")
        size_bytes = int(answer.get("size_bytes", 0))
        if size_bytes > MAX_BYTES:
            return 0, b""
        return int(answer.get("at_ns", 0)), await child.stdout.readexactly(size_bytes)
    except (OSError, ValueError, AttributeError, TypeError, asyncio.IncompleteReadError):
        return 0, b""


async def _end(child: Child) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
    await child.wait()
