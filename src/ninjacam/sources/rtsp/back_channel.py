"""Sends audio to a camera's loudspeaker (ONVIF Streaming Specification, section 5.3).

Uses a separate session, so that it cannot affect the video (docs/design/0012-talk.md). Not here: the audio and its
timing (`ninjacam.talk`).
"""

import asyncio
import re
import secrets
import struct
from dataclasses import dataclass

from ninjacam.codecs.aac import RATES_HZ
from ninjacam.core.clock import Clock
from ninjacam.core.errors import (
    CommandRejectedError,
    NoLoudspeakerError,
    ProtocolError,
    SourceEndedError,
    SourceError,
    SourceTimeoutError,
    UnsupportedCommandError,
)
from ninjacam.core.packets import Codec
from ninjacam.core.texts import sentence
from ninjacam.sources.auth import Authenticator
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.rtsp.delivery import transport_parameters
from ninjacam.sources.rtsp.interleaved import Interleaved
from ninjacam.sources.rtsp.messages import RtspMessage
from ninjacam.sources.rtsp.sdp import Description, Format, Media, parse_sdp
from ninjacam.sources.rtsp.session import (
    MAX_REDIRECTS,
    OptionRefusedError,
    Redirected,
    RtspSession,
    connect_rtsp,
    follow_redirect,
)
from ninjacam.sources.urls import RequestTarget, base_uri, control_uri, control_uris, parse_url

FEATURE = "www.onvif.org/ver20/backchannel"
PACKET_MS = 20
MAX_PACKET_MS = 200
AAC_SAMPLES = 1024
REOLINK_SAMPLES = 1024
"""Samples per packet for Reolink cameras, which play shorter packets as noise (AlexxIT/go2rtc#331, #2353)."""
MAX_RATE_HZ = 48_000
SEND_BUFFER_BYTES = 16_384
"""Size of the kernel's send buffer in bytes: with the usual megabytes, a camera that reads slowly would play old
audio."""
_REOLINK = re.compile(rb'^a=tool:BC Streaming Media|^s=Session streamed by "preview"', re.MULTILINE)
_OFFER = "RTP/AVP/TCP;unicast;interleaved=0-1"
_CODECS = {"PCMU": Codec.PCMU, "PCMA": Codec.PCMA, "MPEG4-GENERIC": Codec.AAC}
_GOODBYE_S = 0.5
_HEADER = struct.Struct("!BBHII")
_REPORT = struct.Struct("!BBHIIIIII")
_NAME = struct.Struct("!BBHIBBH")
_NTP_EPOCH_S = 2_208_988_800
"""Seconds from 1900 to 1970."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """The audio format that the camera plays. `packet_samples`: samples per channel in one packet."""

    codec: Codec
    rate_hz: int
    channels: int
    payload_type: int
    packet_samples: int


class BackChannel:
    """An open session that plays audio. Created by `open_back_channel`; the caller closes it. Thread: the event
    loop."""

    def __init__(
        self, session: RtspSession, audio: AudioFormat, clock: Clock, channels: tuple[int, int], ssrc: int
    ) -> None:
        self.audio = audio
        self._session = session
        self._connection = session.connection
        self._clock = clock
        self._rtp_channel, self._rtcp_channel = channels
        self._ssrc = ssrc
        self._sequence = secrets.randbits(16)
        self._first_timestamp = secrets.randbits(32)
        self._packets = self._octets = 0
        self._is_closing = False

    @property
    def ended(self) -> "asyncio.Future[None]":
        """Return the future that receives the SourceError that ends the session."""
        return self._connection.ended

    @property
    def unsent_bytes(self) -> int:
        """Return the number of bytes that are not sent yet."""
        return self._connection.unsent_bytes

    def send(self, payload: bytes, samples: int, *, begins: bool) -> None:
        """Send a packet. `samples`: since the session began, at the audio's rate. `begins`: it follows a pause."""
        kind = self.audio.payload_type | (0x80 if begins else 0)
        header = _HEADER.pack(0x80, kind, self._sequence, self._timestamp(samples), self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._packets += 1
        self._octets += len(payload)
        self._connection.write_interleaved(self._rtp_channel, header + payload)

    def report(self, samples: int) -> None:
        """Send a sender report (RFC 3550, section 6.4.1) with an empty name: `samples` are due now."""
        ntp = ((self._clock.wall_ns() << 32) // 10**9) + (_NTP_EPOCH_S << 32)
        report = _REPORT.pack(
            0x80, 200, 6, self._ssrc, ntp >> 32 & 0xFFFFFFFF, ntp & 0xFFFFFFFF, self._timestamp(samples),
            self._packets, self._octets,
        )  # fmt: skip
        name = _NAME.pack(0x81, 202, 2, self._ssrc, 1, 0, 0)
        self._connection.write_interleaved(self._rtcp_channel, report + name)

    def _timestamp(self, samples: int) -> int:
        return (self._first_timestamp + samples) & 0xFFFFFFFF

    async def keep_alive(self) -> None:
        """Send keep-alive requests until the session ends. Raises: SourceError: the session ended."""
        while True:
            await self._clock.sleep(max(1.0, self._session.timeout_s / 2))
            await self._session.request("OPTIONS", self._session.uri, {})

    async def close(self) -> None:
        """End the session within 0.5 s. Idempotent."""
        if self._is_closing:
            return
        self._is_closing = True
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._session.request("TEARDOWN", self._session.uri, {})
        except (TimeoutError, SourceError):
            pass  # TEARDOWN is optional.
        finally:
            self._connection.fail(SourceEndedError("The talk has ended."))


async def open_back_channel(config: SourceConfig, *, clock: Clock) -> BackChannel:
    """Connect, and start a session to which audio can be sent, within `config.open_timeout_s`.

    Raises: NoLoudspeakerError, UnsupportedCommandError: the camera accepts no audio format that we can send;
    CommandRejectedError: it is not available at the moment; SourceError: as for video.
    """
    target = parse_url(config.url)
    auth = Authenticator(config.username, config.password)
    redirects = hang_ups = 0
    try:
        async with asyncio.timeout(config.open_timeout_s):
            while True:
                knew_login = auth.is_challenged
                try:
                    return await _open_once(target, auth, config, clock)
                except Redirected as redirect:
                    redirects += 1
                    if redirects > MAX_REDIRECTS:
                        raise ProtocolError("The camera redirects too often.") from None
                    target, config, auth = follow_redirect(target, redirect.location, config)
                except SourceEndedError:
                    hang_ups += 1
                    # Some cameras close the connection after a challenge.
                    if not auth.is_challenged or knew_login or hang_ups > 1:
                        raise
                    auth.reconnect()
    except TimeoutError as exc:
        raise SourceTimeoutError(
            sentence(
                "%(host)s:%(port)s did not accept audio within %(open_timeout_s)s s.",
                host=target.host,
                port=target.port,
                open_timeout_s=f"{config.open_timeout_s:g}",
            )
        ) from exc


async def _open_once(
    target: RequestTarget, auth: Authenticator, config: SourceConfig, clock: Clock
) -> BackChannel:
    connection = await connect_rtsp(target, config, clock)
    connection.limit_send_buffer(SEND_BUFFER_BYTES)
    session = RtspSession(target, auth, config, clock, connection, Interleaved(connection), require=FEATURE)
    try:
        return await _start(session, target, clock)
    except BaseException as exc:
        connection.fail(exc if isinstance(exc, SourceError) else ProtocolError("The talk was not started."))
        raise


async def _start(session: RtspSession, target: RequestTarget, clock: Clock) -> BackChannel:
    try:
        answer = await session.describe()
    except OptionRefusedError as error:
        raise NoLoudspeakerError("The camera has no loudspeaker, or does not offer it by RTSP.") from error
    description = parse_sdp(answer.body)
    media, audio = choose_format(description, answer.body)
    base = base_uri(answer.header("content-base") or answer.header("content-location"), target)
    session.uri = control_uri(base, description.control)
    granted = await _set_up(session, control_uris(base, media.control, target))
    await _play(session, (session.uri, base, target.uri))
    parameters = transport_parameters(granted.header("transport"))
    return BackChannel(session, audio, clock, _channels(parameters), _ssrc(parameters))


def choose_format(description: Description, sdp: bytes) -> tuple[Media, AudioFormat]:
    """Return the back channel and the audio format: G.711 at 8 kHz, else AAC, else G.711 at another rate.

    Raises: NoLoudspeakerError: there is no back channel; UnsupportedCommandError: it accepts only other formats.
    """
    offered = [
        media for media in description.media if media.kind == "audio" and "sendonly" in media.attributes
    ]
    if not offered:
        raise NoLoudspeakerError(
            "The camera offers no loudspeaker. If it has one, enable two-way audio in the camera's own settings."
        )
    usable = [(media, form) for media in offered for form in media.formats if _is_usable(form)]
    if not usable:
        raise UnsupportedCommandError(
            "The camera's loudspeaker takes neither G.711 nor AAC. Choose one of them in the camera's own settings."
        )
    media, form = min(usable, key=lambda each: _preference(each[1]))
    return media, _format(media, form, _REOLINK.search(sdp) is not None)


def _is_usable(form: Format) -> bool:
    codec = _CODECS.get(form.encoding)
    if form.payload_type > 127:
        return False
    if codec is Codec.AAC:
        return form.clock_hz in RATES_HZ and 8000 <= form.clock_hz <= MAX_RATE_HZ and form.channels in (1, 2)
    return codec is not None and 8000 <= (form.clock_hz or 8000) <= MAX_RATE_HZ and form.channels == 1


def _preference(form: Format) -> int:
    if form.encoding == "MPEG4-GENERIC":
        return 1
    return 0 if form.clock_hz in (0, 8000) else 2


def _format(media: Media, form: Format, is_reolink: bool) -> AudioFormat:
    codec, rate_hz = _CODECS[form.encoding], form.clock_hz or 8000
    text = media.attributes.get("ptime", "")
    packet_ms = int(text) if re.fullmatch(r"\d{1,4}", text, re.ASCII) else PACKET_MS
    samples = rate_hz * min(max(packet_ms, PACKET_MS), MAX_PACKET_MS) // 1000
    if codec is Codec.AAC:
        samples = AAC_SAMPLES
    elif is_reolink:
        samples = REOLINK_SAMPLES
    return AudioFormat(codec, rate_hz, form.channels, form.payload_type, samples)


async def _set_up(session: RtspSession, uris: list[str]) -> RtspMessage:
    """Raises: UnsupportedCommandError, CommandRejectedError; SourceError: the login, a redirect."""
    for uri in uris:
        answer = await session.request("SETUP", uri, {"Transport": _OFFER})
        if answer.status != 404:
            break
    if answer.status == 461:
        raise UnsupportedCommandError("The camera takes audio by UDP only, which is not supported.")
    if answer.status in (401, 403) or 300 <= answer.status < 400:
        session.check("SETUP", answer)
    if not 200 <= answer.status < 300:
        raise CommandRejectedError(
            sentence(
                "The camera refuses audio (status %(status)s). Another device may be talking to it.",
                status=answer.status,
            )
        )
    return answer


async def _play(session: RtspSession, uris: tuple[str, ...]) -> None:
    """Start playing. Some cameras require another URL, and some RECORD instead of PLAY
    (themactep/thingino-firmware#1365).

    Raises: CommandRejectedError; SourceError: the login.
    """
    first: RtspMessage | None = None
    for method in ("PLAY", "RECORD"):
        for uri in dict.fromkeys(uris):
            answer = await session.request(method, uri, {"Range": "npt=0.000-"})
            if 200 <= answer.status < 300:
                session.uri = uri
                return
            first = first or answer
            if answer.status in (401, 403):
                session.check(method, answer)
    assert first is not None
    raise CommandRejectedError(
        sentence(
            "The camera refuses to play audio (status %(status)s). Another device may be talking to it.",
            status=first.status,
        )
    )


def _channels(parameters: dict[str, str]) -> tuple[int, int]:
    """Return the channels of RTP and RTCP that the camera has granted."""
    found = re.match(r"(\d{1,3})(?:\s*-\s*(\d{1,3}))?", parameters.get("interleaved", ""), re.ASCII)
    rtp = int(found[1]) if found else 0
    rtcp = int(found[2]) if found and found[2] else rtp + 1
    return (rtp, rtcp) if max(rtp, rtcp) < 256 else (0, 1)


def _ssrc(parameters: dict[str, str]) -> int:
    """Return the SSRC that the camera assigns to us (RFC 2326, section 12.39), or else a random one."""
    text = parameters.get("ssrc", "")
    given = int(text, 16) if re.fullmatch(r"[0-9a-fA-F]{1,8}", text) else 0
    return given or secrets.randbits(32)
