"""The capture process's end of the talk socket: one speaker at a time, whose audio goes to the camera's loudspeaker."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import (
    CommandError,
    NinjacamError,
    SpeakerBusyError,
    TalkEndedError,
    UnsupportedCommandError,
)
from ninjacam.core.json_lines import decode, encode
from ninjacam.core.texts import sentence
from ninjacam.core.unix_sockets import UnixServer
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.rtsp.back_channel import BackChannel, open_back_channel
from ninjacam.talk.encoders import AudioEncoder, make_encoder
from ninjacam.talk.messages import MAX_LINE_BYTES, MAX_NAME_CHARS, socket_path
from ninjacam.talk.playout import Playout

logger = logging.getLogger("ninjacam.talk")

MAX_TALK_S = 120.0
"""Maximum seconds of a talk."""
MAX_SILENCE_S = 2.0
"""Seconds without audio from the browser after which a talk ends: its page hangs, or its network is dead."""
MAX_CONNECTIONS = 16
HELLO_S = 2.0
"""Seconds to wait for the first line."""
RELEASE_S = 0.5
"""Seconds in which the present user may release the button before another one is refused: when a release and the next
press arrive together, the press may be read first.
"""
REPORT_S = 5.0
"""Interval of sender reports."""
MAX_UNSENT_BYTES = 2048
"""If the camera has this much unread, packets are dropped."""
_READ_BYTES = 8192


class TalkServer:
    """The talks to one camera. Thread: the event loop. `on_change`: what `report` returns has changed."""

    def __init__(
        self,
        run_dir: Path,
        slug: str,
        source: SourceConfig,
        on_change: Callable[[], None] = lambda: None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._slug = slug
        self._source = source
        self._on_change = on_change
        self._clock = clock
        self._server = UnixServer(
            socket_path(run_dir, slug),
            self._accept,
            max_connections=MAX_CONNECTIONS,
            max_line_bytes=MAX_LINE_BYTES,
        )
        self._talk: Talk | None = None
        """The present one."""
        self._ability: tuple[Literal["unknown", "yes", "no"], str] = ("unknown", "")

    async def start(self) -> None:
        """Raises: OSError: the socket cannot be created."""
        await self._server.start()

    async def close(self) -> None:
        """End the talk. Idempotent."""
        await self._server.close()

    def report(self) -> dict[str, Any]:
        """Return whether one can talk to the camera, as its answers have shown: `state`, and `reason` if not."""
        state, reason = self._ability
        return {"state": state, "reason": reason}

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (OSError, ValueError):  # OSError includes TimeoutError.
            logger.debug("%s: a connection to the talk socket broke off", self._slug)
        except NinjacamError as error:
            logger.info("%s: %s", self._slug, error)
            _send(writer, {"error": error.as_dict()})
        except Exception:  # The boundary: a bug must not end the connection without an answer.
            logger.exception("%s: a talk failed", self._slug)
            _send(writer, {"error": CommandError("An internal error occurred.").as_dict()})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Raises: NinjacamError; OSError, ValueError: the other end has gone, or does not speak."""
        async with asyncio.timeout(HELLO_S):
            hello = decode(await reader.readline())
        name = str(hello.get("by", ""))[:MAX_NAME_CHARS]
        while (present := self._talk) is not None:
            try:
                async with asyncio.timeout(RELEASE_S):
                    await present.ending.wait()
            except TimeoutError:
                error = SpeakerBusyError("Another user is talking through this camera.")
                _send(writer, {"error": error.as_dict(), "by": present.speaker})
                return
            await present.ended.wait()
        talk = self._talk = Talk(name, reader, writer, self._open_channel, self._clock)
        try:
            await talk.run()
        finally:
            self._talk = None
            talk.ended.set()

    async def _open_channel(self) -> BackChannel:
        """Learn from the camera's answer whether one can talk to it. Raises: SourceError, CommandError."""
        try:
            channel = await open_back_channel(self._source, clock=self._clock)
        except UnsupportedCommandError as error:
            self._learn("no", error.message)
            raise
        self._learn("yes", "")
        return channel

    def _learn(self, state: Literal["yes", "no"], reason: str) -> None:
        if self._ability != (state, reason):
            self._ability = (state, reason)
            self._on_change()


class Talk:
    """One talk: from the press of the button to the TEARDOWN.

    `ending`: set when only the rest of the audio and the TEARDOWN remain to be sent. `ended`: set after them.
    """

    def __init__(
        self,
        speaker: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        open_channel: Callable[[], Awaitable[BackChannel]],
        clock: Clock,
    ) -> None:
        self.speaker = speaker
        self.ending = asyncio.Event()
        self.ended = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._open = open_channel
        self._clock = clock
        self._playout: Playout | None = None
        self._heard_ns = clock.monotonic_ns()
        """Monotonic time of the last audio."""

    async def run(self) -> None:
        """Returns when the other end has closed the connection, and its audio is played.

        Raises: SourceError, CommandError: of the camera; TalkEndedError.
        """
        listening = asyncio.create_task(self._listen(), name="talk-listen")
        opening = asyncio.ensure_future(self._open())
        try:
            await asyncio.wait((listening, opening), return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                return  # Released before the camera was ready.
            channel = opening.result()
            try:
                await self._talk(channel, listening)
            finally:
                self.ending.set()
                await channel.close()
        finally:
            self.ending.set()
            listening.cancel()
            opening.cancel()
            await asyncio.gather(listening, opening, return_exceptions=True)

    async def _listen(self) -> None:
        """Receive audio until the end of the connection. Audio that arrives before the camera is ready is dropped."""
        with contextlib.suppress(OSError):
            while pcm := await self._reader.read(_READ_BYTES):
                self._heard_ns = self._clock.monotonic_ns()
                if self._playout is not None:
                    self._playout.put(pcm)
        self.ending.set()
        if self._playout is not None:
            self._playout.end()

    async def _talk(self, channel: BackChannel, listening: "asyncio.Task[None]") -> None:
        encoder = await make_encoder(channel.audio)
        playout = self._playout = Playout(channel.audio.rate_hz, channel.audio.packet_samples)
        self._heard_ns = self._clock.monotonic_ns()
        if listening.done():
            return
        ready = {"rate_hz": channel.audio.rate_hz, "codec": channel.audio.codec.label}
        _send(self._writer, {"ready": ready})
        playing = asyncio.create_task(self._play(channel, encoder, playout), name="talk-play")
        alive = asyncio.create_task(channel.keep_alive(), name="talk-keep-alive")
        try:
            await asyncio.wait((playing, alive, channel.ended), return_when=asyncio.FIRST_COMPLETED)
            for each in (playing, channel.ended, alive):
                if each.done():
                    each.result()
                    return
        finally:
            playing.cancel()
            alive.cancel()
            await asyncio.gather(playing, alive, return_exceptions=True)

    async def _play(self, channel: BackChannel, encoder: AudioEncoder, playout: Playout) -> None:
        """Send a packet whenever one is due. Raises: TalkEndedError."""
        audio = channel.audio
        packet_s = audio.packet_samples / audio.rate_hz
        began_ns = self._clock.monotonic_ns()
        reported_s = -REPORT_S
        for number in itertools.count():
            at_s = number * packet_s
            elapsed_s = (self._clock.monotonic_ns() - began_ns) / 1e9
            await self._clock.sleep(max(0.0, at_s - elapsed_s))
            if playout.has_ended:
                return
            self._check_limits(at_s)
            packet = playout.take()
            if packet is None or channel.unsent_bytes > MAX_UNSENT_BYTES:
                continue
            pcm, begins = packet
            if payload := encoder.encode(pcm):
                channel.send(payload, number * audio.packet_samples, begins=begins)
            if at_s - reported_s >= REPORT_S:
                reported_s = at_s
                channel.report(number * audio.packet_samples)

    def _check_limits(self, at_s: float) -> None:
        """Raises: TalkEndedError."""
        if at_s >= MAX_TALK_S:
            raise TalkEndedError(
                sentence(
                    "A talk lasts at most %(max_talk_s)s s. Press the button again to continue.",
                    max_talk_s=f"{MAX_TALK_S:g}",
                )
            )
        if self._clock.monotonic_ns() - self._heard_ns > MAX_SILENCE_S * 1e9:
            raise TalkEndedError(
                sentence(
                    "No audio has arrived for %(max_silence_s)s s. Press the button again.",
                    max_silence_s=f"{MAX_SILENCE_S:g}",
                )
            )


def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    if not writer.is_closing():
        writer.write(encode(message))
