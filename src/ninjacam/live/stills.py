"""Decoding one recorded picture in a child process, a few at once, and no longer than somebody may wait."""

import asyncio
import contextlib
import json
import os
import sys

from ninjacam.core.lifecycle import Stop
from ninjacam.live.problems import Problem, stopping
from ninjacam.recordings.instant import StillPlace

AT_ONCE = 2
"""Of each worker: a picture costs a process and the decoding of up to a whole group of pictures."""
MOST_WAITING = 16
TIMEOUT_S = 10.0


class Stills:
    """Those of one worker. `stop`: of the worker."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def take(self, place: StillPlace, width_px: int) -> tuple[int, bytes]:
        """(when it was captured, JPEG). Raises: Problem 503: too many at once, the server stops; 500: not decodable."""
        if self._stop.is_set():
            raise stopping()
        if self._waiting >= MOST_WAITING:
            raise Problem(
                503, "limit", "Too many pictures are being looked up right now.", ((b"retry-after", b"1"),)
            )
        self._waiting += 1
        try:
            async with self._turns:
                return await self._decode(place, width_px)
        finally:
            self._waiting -= 1

    async def _decode(self, place: StillPlace, width_px: int) -> tuple[int, bytes]:
        names = ("PATH", "PYTHONPATH", "LANG", "VIRTUAL_ENV")
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ninjacam.recordings.still",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            # Not the secret key: the child decodes what a camera sent.
            env={name: os.environ[name] for name in names if name in os.environ},
        )  # fmt: skip
        question = json.dumps({**place.as_dict(), "width_px": width_px}).encode()
        asking = asyncio.ensure_future(child.communicate(question))
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((asking, stopped), timeout=TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise stopping() if stopped.done() else Problem(503, "timeout", "The picture took too long.")
            line, _, jpeg = asking.result()[0].partition(b"\n")
            if child.returncode or not jpeg:
                raise Problem(500, "decode_error", "The recorded picture cannot be decoded.")
            return int(json.loads(line)["at_ns"]), jpeg
        finally:
            stopped.cancel()
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
            await asyncio.gather(asking, return_exceptions=True)
