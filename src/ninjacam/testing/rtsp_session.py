"""The camera's end of one RTSP connection: answers requests (RFC 2326) and writes RTP, interleaved or by UDP."""

import asyncio
import random
import re
import secrets
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from ninjacam.testing.authentication import Login
from ninjacam.testing.clips import Unit
from ninjacam.testing.faults import Faults
from ninjacam.testing.rtp import INTERLEAVED_HEADER, count_receiver_reports, payload_type, sender_report
from ninjacam.testing.sdp import BACK_CHANNEL, describe
from ninjacam.testing.served_stream import ServedStream

_BUFFER_LIMIT_BYTES = 4_000_000  # A client that is further behind continues at a later key frame.
_REASONS = {200: "OK", 302: "Found", 400: "Bad RtspRequest", 401: "Unauthorized", 404: "Not Found",
            454: "Session Not Found", 461: "Unsupported Transport", 501: "Not Implemented",
            551: "Option not supported"}  # fmt: skip
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
FEATURE = "www.onvif.org/ver20/backchannel"
_WEB_PAGE = b"<!doctype html><title>Router</title><h1>Please log in</h1>"
WEB_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nServer: lighttpd\r\nContent-Type: text/html\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%s" % (len(_WEB_PAGE), _WEB_PAGE)
)


@dataclass(frozen=True, slots=True)
class RtspRequest:
    """Header names are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass
class CameraStats:
    """What a camera has seen since it was made. Written in its event loop; read it from anywhere."""

    connections: int = 0
    open_connections: int = 0
    bytes_sent: int = 0
    receiver_reports: int = 0
    dropped_units: int = 0
    """Not sent because the client did not read."""
    methods: Counter[str] = field(default_factory=Counter)
    requests: deque[RtspRequest] = field(default_factory=lambda: deque(maxlen=1000))
    audio: deque[bytes] = field(default_factory=lambda: deque(maxlen=10_000))
    """The RTP packets that its loudspeaker has received."""
    open_talks: int = 0
    """Number of sessions with the loudspeaker."""


class Host(Protocol):
    """What a session needs of its camera."""

    login: Login
    stats: CameraStats
    gop_at_once: bool
    udp_ports: tuple[int, int]

    def stream_at(self, path: str) -> ServedStream | None: ...
    def send_udp(self, data: bytes, address: tuple[str, int], *, rtcp: bool) -> None: ...


class _Outlet:
    """One track of one session. `channel`: of the interleaved RTP; the RTCP has the next. None: UDP to `address`."""

    def __init__(self, number: int, rate_hz: int, channel: int | None, address: tuple[str, int]) -> None:
        self.payload_type = number
        self.channel = channel
        self.address = address
        self.ssrc = random.getrandbits(32)
        self.packets = self.octets = 0
        self._rate_hz = rate_hz
        self._sequence = random.getrandbits(16)
        self._time_base = random.getrandbits(32)

    def rtp_time(self, media_s: float) -> int:
        return (self._time_base + round(media_s * self._rate_hz)) & 0xFFFFFFFF

    def packetise(self, payloads: list[bytes], rtp_time: int) -> list[tuple[bytes, bytes]]:
        """(interleaved and RTP header, payload) of each packet; the marker on the last."""
        out = []
        last = len(payloads) - 1
        sequence, pack, channel = self._sequence, INTERLEAVED_HEADER.pack, self.channel or 0
        for number, payload in enumerate(payloads):
            kind = self.payload_type | (0x80 if number == last else 0)
            header = pack(0x24, channel, len(payload) + 12, 0x80, kind, sequence, rtp_time, self.ssrc)
            out.append((header, payload))
            sequence = (sequence + 1) & 0xFFFF
            self.octets += len(payload)
        self._sequence = sequence
        self.packets += len(payloads)
        return out


class ServerSession:
    """Owned by the camera; `run` returns when the connection is over."""

    def __init__(self, host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer
        self._stream: ServedStream | None = None
        self._outlets: dict[int, _Outlet] = {}
        self._session_id = secrets.token_hex(4)
        self._waiting_for_key = True
        self._heard_s = time.monotonic()
        self._next_report_s = 0.0
        self._back_channel: int | None = None
        """The interleaved channel of the audio for the loudspeaker."""
        self.peer: tuple[str, int] = writer.get_extra_info("peername")[:2]

    @property
    def faults(self) -> Faults:
        stream = self._stream or self._host.stream_at("")
        return stream.faults if stream else Faults()

    def abort(self) -> None:
        self._writer.transport.abort()

    def inject(self, data: bytes) -> None:
        """Write raw bytes into the connection, breaking whatever framing there is."""
        self._writer.write(data)

    def heard_rtcp(self, data: bytes, sender: tuple[str, int] | None = None) -> None:
        """RTCP came in. `sender`: by UDP from there; ignored unless it is ours."""
        if sender and all((o.address[0], o.address[1] + 1) != sender for o in self._outlets.values()):
            return
        self._host.stats.receiver_reports += count_receiver_reports(data)
        if self.faults.rtcp_keeps_alive:
            self._heard_s = time.monotonic()

    # A stream's viewer

    def wait_for_key(self) -> None:
        self._waiting_for_key = True

    def send_unit(self, track: int, unit: Unit, payloads: list[bytes], media_s: float) -> None:
        outlet = self._outlets.get(track)
        if outlet is None or self._stream is None:
            return
        if self._waiting_for_key:
            if not (unit.key and self._stream.clip.tracks[track].codec.is_video):
                return
            self._waiting_for_key = False
        if self._writer.transport.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > _BUFFER_LIMIT_BYTES:
            self._host.stats.dropped_units += 1
            self._waiting_for_key = True
            return
        packets = self._damage(outlet.packetise(payloads, outlet.rtp_time(media_s)))
        if outlet.channel is None:
            for header, payload in packets:
                self._host.send_udp(header[4:] + payload, outlet.address, rtcp=False)
        else:
            self._write(b"".join([part for packet in packets for part in packet]))

    def _damage(self, packets: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        faults = self.faults
        if faults.loss:
            packets = [packet for packet in packets if random.random() >= faults.loss]
        if faults.garbage:
            packets = [
                (header, random.randbytes(len(payload)) if random.random() < faults.garbage else payload)
                for header, payload in packets
            ]
        if faults.reorder:
            for at in range(len(packets) - 1):
                if random.random() < faults.reorder:
                    packets[at], packets[at + 1] = packets[at + 1], packets[at]
        return packets

    def housekeep(self, now_s: float, media_s: float) -> None:
        faults = self.faults
        if now_s - self._heard_s > faults.session_timeout_s:
            self.abort()
            return
        if not faults.sender_reports or faults.freeze or now_s < self._next_report_s or self._waiting_for_key:
            return
        self._next_report_s = now_s + faults.sender_report_interval_s
        wall_s = time.time() + faults.wall_offset_s
        for outlet in self._outlets.values():
            report = sender_report(
                outlet.ssrc,
                wall_s=wall_s,
                rtp_time=outlet.rtp_time(media_s),
                packets=outlet.packets,
                octets=outlet.octets,
            )
            if outlet.channel is None:
                self._host.send_udp(report, (outlet.address[0], outlet.address[1] + 1), rtcp=True)
            else:
                self._write(b"$" + bytes([outlet.channel + 1]) + len(report).to_bytes(2, "big") + report)

    def _write(self, data: bytes) -> None:
        self._host.stats.bytes_sent += len(data)
        self._writer.write(data)

    # Requests

    async def run(self) -> None:
        """Raises: OSError, IncompleteReadError, LimitOverrunError, ValueError: the client is gone or talks nonsense."""
        try:
            while True:
                first = await self._reader.readexactly(1)
                if first == b"$":
                    head = await self._reader.readexactly(3)
                    packet = await self._reader.readexactly(int.from_bytes(head[1:], "big"))
                    if head[0] != self._back_channel:
                        self.heard_rtcp(packet)
                    elif not self._play_audio(packet):
                        return
                elif first not in b"\r\n":
                    request = _parse(first + await self._reader.readuntil(b"\r\n\r\n"))
                    await self._reader.readexactly(int(request.headers.get("content-length", "0")))
                    if not await self._receive(request):
                        return
        finally:
            self._host.stats.open_talks -= self._back_channel is not None
            if self._stream:
                self._stream.discard(self)

    def _play_audio(self, packet: bytes) -> bool:
        """Take a packet for the loudspeaker; False: the connection is to be closed."""
        stats = self._host.stats
        stats.audio.append(packet)
        self._heard_s = time.monotonic()
        return len(stats.audio) != self.faults.back_channel_packets

    async def _receive(self, request: RtspRequest) -> bool:
        """Answer one request; False: the connection is to be closed."""
        stats, path = self._host.stats, urlsplit(request.url).path
        stats.methods[request.method] += 1
        stats.requests.append(request)
        self._heard_s = time.monotonic()
        stream = self._host.stream_at(path)
        faults = stream.faults if stream else self.faults
        if request.method in faults.hang or "*" in faults.hang:
            return True
        if faults.answer_delay_s:
            await asyncio.sleep(faults.answer_delay_s)
        if faults.web_page or request.headers.get(":version", "").startswith("HTTP/"):
            self._write(WEB_ANSWER)
            await self._writer.drain()
            return False
        answer = self._answer(request, stream, path).encode()
        if faults.trickle_s:
            for at in range(len(answer)):
                self._write(answer[at : at + 1])
                await asyncio.sleep(faults.trickle_s)
        else:
            self._write(answer)
        if request.method in ("PLAY", "RECORD") and self._stream and " 200 " in answer[:16].decode():
            self._stream.add(self, gop_at_once=self._host.gop_at_once)
        return request.method != "TEARDOWN"

    def _answer(self, request: RtspRequest, stream: ServedStream | None, path: str) -> str:
        def reply(status: int = 200, *headers: str, body: str = "") -> str:
            lines = [
                f"RTSP/1.0 {status} {_REASONS.get(status, 'Error')}",
                f"CSeq: {request.headers.get('cseq', '0')}",
            ]
            lines += headers
            if body:
                lines.append(f"Content-Length: {len(body.encode())}")
            return "\r\n".join(lines) + "\r\n\r\n" + body

        method = request.method
        if method == "OPTIONS":
            return reply(200, f"Public: {_METHODS}")
        if not self._host.login.accepts(method, request.headers.get("authorization", "")):
            return reply(401, f"WWW-Authenticate: {self._host.login.challenge()}")
        if stream is None and method in ("DESCRIBE", "SETUP"):
            return reply(404)
        if method == "DESCRIBE" and stream:
            return self._describe(reply, request, stream)
        if method == "SETUP" and stream:
            transport = request.headers.get("transport", "")
            if path.endswith(f"/{BACK_CHANNEL}"):
                status, headers = self._set_up_back_channel(transport, stream)
            else:
                status, headers = self._set_up(transport, stream, path)
            return reply(status, *headers)
        if method in ("PLAY", "RECORD", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER"):
            return self._control(reply, request)
        return reply(501)

    def _control(self, reply: "_Reply", request: RtspRequest) -> str:
        """A request about the session."""
        method = request.method
        given = request.headers.get("session", "").partition(";")[0]
        is_set_up = bool(self._outlets) or self._back_channel is not None
        if method in ("PLAY", "RECORD", "PAUSE") and (not is_set_up or given != self._session_id):
            return reply(454)
        if method == "PLAY" and not self._outlets and self.faults.back_channel_record_only:
            return reply(400)
        if method == "RECORD" and self._outlets:
            return reply(501)
        if method == "PAUSE" and self._stream:
            self._stream.discard(self)
        return reply(200, f"Session: {self._session_id}", *(["Range: npt=now-"] if method == "PLAY" else []))

    def _describe(self, reply: "_Reply", request: RtspRequest, stream: ServedStream) -> str:
        faults = stream.faults
        if faults.redirect_to:
            return reply(302, f"Location: {faults.redirect_to}")
        if faults.describe_status:
            return reply(faults.describe_status)
        wants_back_channel = request.headers.get("require") == FEATURE
        if wants_back_channel and not faults.back_channel and faults.require_status:
            return reply(faults.require_status, f"Unsupported: {FEATURE}")
        body = describe(
            stream.clip,
            host=self._writer.get_extra_info("sockname")[0],
            sprop=faults.sdp_parameter_sets,
            video=not faults.no_video,
            codec_name=faults.codec_name,
            back_channel=faults.back_channel if wants_back_channel else (),
            declared_fps=faults.declared_fps,
        )
        base = request.url.rstrip("/") + "/"
        return reply(200, "Content-Type: application/sdp", f"Content-Base: {base}", body=body)

    def _set_up_back_channel(self, transport: str, stream: ServedStream) -> tuple[int, list[str]]:
        channels = re.search(r"interleaved=(\d+)-(\d+)", transport)
        if stream.faults.back_channel_status or channels is None or not stream.faults.back_channel:
            return stream.faults.back_channel_status or 461, []
        self._stream = stream
        self._host.stats.open_talks += self._back_channel is None
        self._back_channel = int(channels[1])
        return 200, [
            f"Transport: RTP/AVP/TCP;unicast;interleaved={channels[1]}-{channels[2]};ssrc=0000BEEF",
            f"Session: {self._session_id};timeout={stream.faults.session_timeout_s}",
        ]

    def _set_up(self, transport: str, stream: ServedStream, path: str) -> tuple[int, list[str]]:
        found = re.search(r"/track(\d+)$", path)
        if not found or int(found[1]) >= len(stream.clip.tracks):
            return 404, []
        index = int(found[1])
        track = stream.clip.tracks[index]
        number = payload_type(track.codec, index)
        if "TCP" in transport:
            channels = re.search(r"interleaved=(\d+)-(\d+)", transport)
            if stream.faults.refuse_tcp:
                return 461, []
            channel = int(channels[1]) if channels else 2 * index
            self._outlets[index] = _Outlet(number, track.rate_hz, channel, self.peer)
            answered = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        else:
            ports = re.search(r"client_port=(\d+)-(\d+)", transport)
            if stream.faults.refuse_udp or not ports or "multicast" in transport:
                return 461, []
            self._outlets[index] = _Outlet(number, track.rate_hz, None, (self.peer[0], int(ports[1])))
            mine = self._host.udp_ports
            answered = f"RTP/AVP;unicast;client_port={ports[1]}-{ports[2]};server_port={mine[0]}-{mine[1]}"
        self._stream = stream
        ssrc = f";ssrc={self._outlets[index].ssrc:08X}"
        return 200, [
            f"Transport: {answered}{ssrc}",
            f"Session: {self._session_id};timeout={stream.faults.session_timeout_s}",
        ]


class _Reply(Protocol):
    def __call__(self, status: int = 200, *headers: str, body: str = "") -> str: ...


def _parse(head: bytes) -> RtspRequest:
    """Raises: ValueError: not a request."""
    lines = head.decode("utf-8", "replace").strip().split("\r\n")
    method, url, version = lines[0].split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])
    }
    return RtspRequest(method, url, {**headers, ":version": version})
