"""Splits a TCP stream into RTSP messages and interleaved packets (RFC 2326, section 10.12).

Each wake-up processes all received packets synchronously and in place. Invalid data is skipped up to the next
plausible message or packet, within a limit.
"""

import asyncio
import os
import re
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

from ninjacam.core.clock import Clock
from ninjacam.core.errors import NotACameraError, ProtocolError, SourceEndedError, SourceError
from ninjacam.core.lifecycle import retrieve
from ninjacam.core.texts import sentence
from ninjacam.sources.rtsp.messages import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    RtspMessage,
    format_request,
    format_response,
    parse_head,
)

ChannelHandler = Callable[[memoryview, int, int, int, int], int]
"""Called with (data, start, stop, end, received_ns). Consumes the packet data[start:stop], and may consume following
ones up to `end`, each with four bytes of framing; returns the position after them. `data`: the whole buffer, valid
only during the call.
"""

_BUFFER_BYTES = 1 << 18
_COMPACT_BYTES = 1 << 16
_MAX_SKIPPED_BYTES = 1 << 17
"""Maximum number of bytes of invalid data or unsolicited messages within a second; beyond it, the connection is
closed."""
_MAX_UNSENT_BYTES = 1 << 16
_LONG_TURN_NS = 20_000_000
"""After a wake-up that took longer, reading pauses equally long. Correct cameras need a hundredth of it. Without the
pause, uvloop would continue to read while other cameras of this process wait."""
_DOLLAR = 0x24
_MESSAGE_START = re.compile(rb"RTSP/\d|[A-Z_]{3,15} \S+ RTSP/", re.IGNORECASE)
_MESSAGE_PREFIX = re.compile(rb"[A-Z_/.\d]{1,16}(?: [^\r\n]*)?", re.IGNORECASE)
_SDP_LINES = re.compile(rb"(?:[ \t]*[A-Za-z]=[^\n]*(?:\n|\Z)|[ \t\r]*\n)*")
_UNMEASURED_QUIET_S = 0.5
_MEASURED_QUIET_S = 1.2
"""Seconds without data after which a body without a length, or shorter than announced, ends."""


class _Waiting(NamedTuple):
    method: str
    answer: "asyncio.Future[RtspMessage]"


class _Requests:
    """The requests that wait for their responses."""

    def __init__(self) -> None:
        self._cseq = 0
        self._pending: dict[int, _Waiting] = {}
        self._abandoned: deque[int] = deque(maxlen=16)
        """Numbers of requests that are no longer awaited: a late response must not be matched with the next request.
        """

    def begin(self, method: str) -> tuple[int, "asyncio.Future[RtspMessage]"]:
        """Return the number of a new request and the future of its response."""
        self._cseq += 1
        answer: asyncio.Future[RtspMessage] = asyncio.get_running_loop().create_future()
        self._pending[self._cseq] = _Waiting(method, answer)
        return self._cseq, answer

    def end(self, cseq: int) -> None:
        if self._pending.pop(cseq).answer.cancelled():
            self._abandoned.append(cseq)

    def find(self, answer: RtspMessage) -> _Waiting | None:
        """Return the request to which this response belongs. A number without a match belongs to the oldest request:
        some cameras send 0, or count differently. Interim responses (100 Continue) match nothing."""
        if answer.status < 200:
            return None
        number = answer.cseq
        if number in self._abandoned:
            return None
        waiting = None if number is None else self._pending.get(number)
        if waiting is None or waiting.answer.done():
            waiting = next((each for each in self._pending.values() if not each.answer.done()), None)
        return waiting

    def fail(self, error: SourceError) -> None:
        for waiting in self._pending.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(error)


@dataclass(slots=True)
class _Rest:
    """When a connection does not read: while it is paused, and between its periodic reads."""

    is_paused: bool = False
    interval_s: float = 0.0
    ends: asyncio.TimerHandle | None = None


class RtspConnection(asyncio.BufferedProtocol):
    """One TCP connection. Owner: the session that created it. `ended` receives the SourceError that ends it.

    `on_request`: responds to the requests of a publisher; None: we are the client.
    """

    def __init__(
        self, clock: Clock, host: str, on_request: Callable[[RtspMessage], None] | None = None
    ) -> None:
        self._clock = clock
        self._host = host
        self._on_request = on_request or self._answer
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._stop = 0
        self._channels: list[ChannelHandler | None] = [None] * 256
        self._requests = _Requests()
        self._quiet: asyncio.TimerHandle | None = None
        self._is_quiet = False
        self._skipped = 0
        self._spoke = False
        self._resting = _Rest()
        self._transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended.add_done_callback(retrieve)
        self.bytes_received = 0
        self.last_bytes_ns = clock.monotonic_ns()
        self.on_resync: Callable[[], None] = _nothing
        self.on_goodbye: Callable[[], None] = _nothing
        """Called when the camera announces the end of the session (TEARDOWN, REDIRECT), or a new description
        (ANNOUNCE)."""

    # Event loop callbacks -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are not asyncio's.

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._stop :]

    def buffer_updated(self, nbytes: int) -> None:
        now_ns = self._clock.monotonic_ns()
        self.last_bytes_ns = now_ns
        self.bytes_received += nbytes
        self._consume(nbytes, now_ns)

    def _consume(self, nbytes: int, now_ns: int) -> None:
        """Process the buffer, whose last `nbytes` bytes are new."""
        at, end = self._start, self._stop + nbytes
        drained = end < _BUFFER_BYTES
        buffer, view, channels = self._buffer, self._view, self._channels
        try:
            while end - at >= 4:
                if buffer[at] == _DOLLAR:
                    stop = at + 4 + (buffer[at + 2] << 8 | buffer[at + 3])
                    if stop > end:
                        break
                    handler = channels[buffer[at + 1]]
                    at = stop if handler is None else handler(view, at + 4, stop, end, now_ns)
                else:
                    after = self._read_other(at, end)
                    if after == at:
                        break
                    at = after
        except SourceError as exc:
            self.fail(exc)
            at = end
        if at == end:
            at = end = 0
        elif _BUFFER_BYTES - end < _COMPACT_BYTES:
            buffer[: end - at] = buffer[at:end]
            at, end = 0, end - at
            if end == _BUFFER_BYTES:
                self.fail(ProtocolError("The camera sent a message without an end."))
                at = end = 0
        self._start, self._stop = at, end
        spent_ns = self._clock.monotonic_ns() - now_ns
        if spent_ns > _LONG_TURN_NS:
            self._rest(spent_ns / 1e9)
        elif drained and self._resting.interval_s:
            # uvloop's clock has millisecond resolution: the millisecond before a multiple counts as the multiple.
            now_s = asyncio.get_running_loop().time() + 0.001
            self._rest(self._resting.interval_s - now_s % self._resting.interval_s + 0.001)

    def _rest(self, seconds: float) -> None:
        if self._transport is None or self._transport.is_closing() or self._resting.is_paused:
            return
        self._transport.pause_reading()
        if self._resting.ends is None:  # TLS delivers buffered data despite a pause.
            self._resting.ends = asyncio.get_running_loop().call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._resting.ends = None
        if self._transport is None or self._transport.is_closing() or self._resting.is_paused:
            return
        if self._resting.interval_s:
            self._read_batch()
        if self._resting.ends is None:  # Nothing was read, or not everything.
            self._transport.resume_reading()

    def _read_batch(self) -> None:
        """Read a batch without the event loop, whose registration of a socket for each batch costs a second wake-up:
        libuv removes a paused socket only when the next data arrives. The loop handles the end of the connection."""
        assert self._transport is not None
        try:
            count = os.readv(self._transport.get_extra_info("socket").fileno(), [self.get_buffer(-1)])
        except OSError:
            return
        if count:
            try:
                self.buffer_updated(count)
            except BaseException:
                self._transport.abort()  # As the loop does.
                raise

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        early = "" if self._spoke else " without an answer: check that this port is its RTSP port"
        self.fail(SourceEndedError(sentence("The camera closed the connection%(early)s.", early=early)))

    # Data other than interleaved packets --------------------------------------------------------------------------

    def _read_other(self, at: int, end: int) -> int:
        """Parse a message, or skip invalid data. Return the position after it, or `at` if more bytes are needed."""
        if self._buffer[at] in b"\r\n":
            self._skip(1)
            return at + 1
        data = bytes(self._view[at:end])
        if _MESSAGE_START.match(data):
            return at + self._read_message(data)
        if not self._spoke:
            if len(data) < 9 and b"\n" not in data and b"RTSP/".startswith(data[:5].upper()):
                return at
            raise self._not_rtsp(data)
        if len(data) < 512 and _MESSAGE_PREFIX.fullmatch(data):
            return at
        return at + self._skip_garbage(data)

    def _read_message(self, data: bytes) -> int:
        cut = re.search(rb"\r?\n\r?\n", data[: MAX_HEAD_BYTES + 4])
        if cut is None:
            if len(data) > MAX_HEAD_BYTES:
                raise ProtocolError("The camera sent too long a header.")
            return 0
        message, length = parse_head(data[: cut.start()])
        waiting = None if message.method else self._requests.find(message)
        is_description = waiting is not None and waiting.method == "DESCRIBE" and message.status == 200
        stop = self._end_of_body(data, cut.end(), length, is_description=is_description)
        if stop > len(data):
            if waiting is not None:
                quiet_s = _MEASURED_QUIET_S if length else _UNMEASURED_QUIET_S
                self._quiet = asyncio.get_running_loop().call_later(quiet_s, self._be_quiet)
            return 0
        self._spoke = True
        message = replace(message, body=data[cut.end() : stop])
        if message.method:
            self._on_request(message)
        if waiting is not None:
            waiting.answer.set_result(message)
        else:
            self._skip(stop)
        return stop

    def _end_of_body(self, data: bytes, at: int, length: int, *, is_description: bool) -> int:
        """Return the end of the body that begins at `at`; a position beyond the data if more is to come.

        The announced length is a hint. A body ends early where a packet begins, or when the camera is silent. Lines
        after an SDP belong to it, and a body of unknown length ends when the camera is silent.
        """
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        length = length if length <= MAX_BODY_BYTES else 0
        stop = at + length
        if is_description:
            if length and stop <= len(data):
                more = _SDP_LINES.match(data, stop)
                return more.end() if more else stop
            return len(data) if self._is_quiet else len(data) + 1
        if (
            len(data) > at + 4
            and data[at] == _DOLLAR
            and self._channels[data[at + 1]]
            and data[at + 4] >> 6 == 2
        ):
            return at
        return len(data) if self._is_quiet and stop > len(data) else stop

    def _be_quiet(self) -> None:
        self._quiet, self._is_quiet = None, True
        self._consume(0, self._clock.monotonic_ns())
        self._is_quiet = False

    def _answer(self, message: RtspMessage) -> None:
        """Respond to a request of the camera. An announced end of the session takes effect when the media stop."""
        if message.method in ("TEARDOWN", "REDIRECT", "ANNOUNCE"):
            self.on_goodbye()
        elif message.method not in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER"):
            self.write(format_response(message, 501, "Not Implemented"))
            return
        self.write(format_response(message, 200, "OK"))

    def _not_rtsp(self, data: bytes) -> NotACameraError:
        if data.startswith(b"SSH-"):
            what = "An SSH server answers there, not a camera"
        elif data.startswith(b"HTTP/") or data.lstrip()[:1] == b"<":
            what = "A web server responds there, not a camera's RTSP port"
        elif data.startswith(b"220"):
            what = "A mail or FTP server responds there, not a camera"
        else:
            what = "Something responds there that does not speak RTSP"
        return NotACameraError(
            sentence(
                "%(what)s: check the port of %(host)s (RTSP is usually 554 or 8554).",
                what=what,
                host=self._host,
            )
        )

    def _skip_garbage(self, data: bytes) -> int:
        """Return the number of bytes before the next plausible packet or message."""
        at = 1
        end = len(data)
        while at < end:
            byte = data[at]
            if byte == _DOLLAR and (
                at + 5 > end or (self._channels[data[at + 1]] is not None and data[at + 4] >> 6 == 2)
            ):
                break
            if byte == 0x52 and data.startswith(b"RTSP/1"[: end - at], at):
                break
            at += 1
        self._skip(at)
        self.on_resync()
        return at

    def _skip(self, size_bytes: int) -> None:
        """Count skipped bytes. Raises: ProtocolError: too many within a second."""
        self._skipped += size_bytes
        if self._skipped > _MAX_SKIPPED_BYTES:
            raise ProtocolError("The camera sends corrupt data instead of its stream: restart it.")

    @property
    def addresses(self) -> tuple[str, str, int]:
        """Return (the camera's address, our address, the scope of our interface for IPv6 or else 0)."""
        assert self._transport is not None
        peer = self._transport.get_extra_info("peername")
        own = self._transport.get_extra_info("sockname")
        return str(peer[0]), str(own[0]), int(own[3]) if len(own) > 3 else 0

    # Interface for the session ------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self.fail(SourceEndedError("The camera does not read our requests."))

    @property
    def unsent_bytes(self) -> int:
        """Return the number of written bytes that are not sent yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def limit_send_buffer(self, size_bytes: int) -> None:
        """Limit the kernel's send buffer. Has no effect in a tunnel."""
        if self._transport is not None:
            own = self._transport.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size_bytes)

    def write_interleaved(self, channel: int, data: bytes) -> None:
        self.write(bytes((_DOLLAR, channel)) + len(data).to_bytes(2, "big") + data)

    async def request(self, method: str, uri: str, headers: dict[str, str]) -> RtspMessage:
        """Send a request and wait for the response, without a deadline. Raises: SourceError: the connection ended."""
        if self.ended.done():
            self.ended.result()
        cseq, answer = self._requests.begin(method)
        try:
            self.write(format_request(method, uri, cseq, headers))
            return await answer
        finally:
            self._requests.end(cseq)

    def handle(self, channel: int, handler: ChannelHandler | None) -> None:
        self._channels[channel] = handler

    def forgive(self) -> None:
        """Reset the count of skipped bytes: the limit is per second."""
        self._skipped = 0

    def relax(self, interval_s: float) -> None:
        """Read only at multiples of `interval_s` on the loop's clock, so that many connections wake this process
        together, and received data is processed in one batch. 0: at once, the default. Not used with TLS, which
        loses buffered data when the camera closes the connection."""
        if self._transport is None or self._transport.get_extra_info("ssl_object") is not None:
            return
        before_s, self._resting.interval_s = self._resting.interval_s, interval_s
        if before_s and not interval_s and self._resting.ends is not None:
            self._resting.ends.cancel()
            self._go_on()

    def pause(self) -> None:
        self._resting.is_paused = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        self._resting.is_paused = False
        self.last_bytes_ns = self._clock.monotonic_ns()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close_after_writing(self) -> None:
        """Close the connection when all written data has been sent."""
        if self._transport is not None:
            self._transport.close()

    def fail(self, error: SourceError) -> None:
        """End the connection with `error`; the first error counts. Idempotent."""
        self._requests.fail(error)
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        if not self.ended.done():
            self.ended.set_exception(error)
        self._channels = [None] * 256
        if self._transport is not None:
            self._transport.abort()


def _nothing() -> None:
    """Do nothing: the default of `on_goodbye`."""
