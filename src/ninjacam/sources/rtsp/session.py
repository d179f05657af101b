"""Opens an RTSP session: OPTIONS, DESCRIBE, SETUP, PLAY, with logins and redirects."""

import asyncio
import re
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ninjacam.core.clock import Clock
from ninjacam.core.errors import (
    AuthenticationError,
    ConfigError,
    NoVideoError,
    ProtocolError,
    SourceEndedError,
    SourceError,
    SourceTimeoutError,
    StreamNotFoundError,
    UnsupportedCodecError,
)
from ninjacam.core.texts import sentence
from ninjacam.sources import addresses
from ninjacam.sources.auth import Authenticator
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.rtsp.connection import RtspConnection
from ninjacam.sources.rtsp.delivery import Delivery, transport_parameters
from ninjacam.sources.rtsp.interleaved import Interleaved
from ninjacam.sources.rtsp.messages import RtspMessage
from ninjacam.sources.rtsp.sdp import MAX_MEDIA, Description, parse_sdp
from ninjacam.sources.rtsp.source import RtspSource
from ninjacam.sources.rtsp.tracks import RtspTrack, choose_tracks
from ninjacam.sources.rtsp.tunnel import connect_tunnel
from ninjacam.sources.rtsp.udp import Datagrams
from ninjacam.sources.urls import (
    RequestTarget,
    base_uri,
    carries_login,
    control_uri,
    control_uris,
    login_of,
    parse_url,
    redirect_target,
)

MAX_REDIRECTS = 3
MAX_HANG_UPS = 3
"""Maximum number of reconnects if the camera closes the connection during the opening, each with fewer requests or
with a login."""
BUSY_PAUSE_S = 1.0
"""Seconds that a camera needs to end the session for which it refused our transport."""
_OPTIONAL_S = 2.0
"""Seconds to wait for an optional response."""
_REDIRECTS = (301, 302, 303, 305, 307, 308)
FINAL = (401, 403, 453, 461, 503, *_REDIRECTS)
"""Statuses that no variant of the request can change."""
_SCHEMES = ("rtsp", "rtsps")
_Answer = TypeVar("_Answer")


class Redirected(Exception):  # noqa: N818 (it is an answer, not an error)
    def __init__(self, location: str) -> None:
        self.location = location


class _TransportRefusedError(ProtocolError):
    """The camera does not support the requested transport (status 461)."""


class _BusyError(ProtocolError):
    """The camera cannot serve another session at present (status 453 or 503)."""


class OptionRefusedError(ProtocolError):
    """The camera does not support the required feature (status 551)."""


@dataclass(slots=True)
class _Attempt:
    """The requests of one connection attempt. `asked`: the last request. `knew_login`: the challenge came earlier."""

    options: bool = True
    audio: bool = True
    asked: str = ""
    knew_login: bool = False

    def less(self, auth: Authenticator) -> "_Attempt | None":
        """Return the next attempt after the camera has closed the connection; None: no attempts are left."""
        if auth.is_challenged and not self.knew_login:
            return _Attempt(self.options, self.audio)
        if self.asked == "OPTIONS" and self.options:
            return _Attempt(False, self.audio)
        if self.asked == "SETUP audio" and self.audio:
            return _Attempt(self.options, False)
        return None


async def open_rtsp(config: SourceConfig, *, clock: Clock) -> RtspSource:
    """Connect and start playing, within `config.open_timeout_s`.

    Raises: SourceError: each subclass says what to do.
    """
    target = parse_url(config.url)
    if target.needs_tcp and config.transport != "tcp":
        raise ConfigError("This URL works over TCP only: set the transport of this camera to TCP.")
    try:
        async with asyncio.timeout(config.open_timeout_s):
            return await _follow(target, config, clock)
    except TimeoutError as exc:
        raise SourceTimeoutError(
            sentence(
                "%(host)s:%(port)s did not start to play within %(open_timeout_s)s s: check the address, "
                "the port and that the camera is on.",
                host=target.host,
                port=target.port,
                open_timeout_s=f"{config.open_timeout_s:g}",
            )
        ) from exc


@dataclass(slots=True)
class _Opening:
    """The results of previous attempts to open a camera. Its methods prepare the next attempt, or raise."""

    target: RequestTarget
    config: SourceConfig
    auth: Authenticator
    attempt: _Attempt = field(default_factory=_Attempt)
    redirects: int = 0
    hang_ups: int = 0
    refused: _TransportRefusedError | None = None
    has_waited: bool = False

    def _begin_again(self, attempt: _Attempt | None = None) -> None:
        self.auth.reconnect()
        self.attempt = attempt or _Attempt()

    def redirect(self, location: str) -> None:
        self.redirects += 1
        if self.redirects > MAX_REDIRECTS:
            raise ProtocolError("The camera redirects too often.") from None
        self.target, self.config, self.auth = follow_redirect(self.target, location, self.config)
        self.attempt = _Attempt()

    def use_other_transport(self, error: _TransportRefusedError) -> None:
        if self.refused is not None or self.target.needs_tcp:
            raise self.refused or error from None
        self.refused = error
        self.config = replace(self.config, transport="udp" if self.config.transport == "tcp" else "tcp")
        self._begin_again()

    async def wait_until_free(self, error: _BusyError) -> None:
        """Wait until the camera is free. GStreamer is busy while it ends the session that it has refused."""
        if self.refused is None or self.has_waited:
            raise error from None
        self.has_waited = True
        await asyncio.sleep(BUSY_PAUSE_S)
        self._begin_again()

    def ask_for_less(self, error: SourceEndedError) -> None:
        self.hang_ups += 1
        less = self.attempt.less(self.auth)
        if less is None or self.hang_ups > MAX_HANG_UPS:
            raise error from None
        self._begin_again(less)


async def _follow(target: RequestTarget, config: SourceConfig, clock: Clock) -> RtspSource:
    opening = _Opening(target, config, Authenticator(config.username, config.password))
    while True:
        opening.attempt.knew_login = opening.auth.is_challenged
        try:
            return await _open_once(opening.target, opening.auth, opening.config, clock, opening.attempt)
        except Redirected as redirect:
            opening.redirect(redirect.location)
        except _TransportRefusedError as error:
            opening.use_other_transport(error)
        except _BusyError as error:
            await opening.wait_until_free(error)
        except SourceTimeoutError as error:
            if opening.refused is None or opening.config.transport == "tcp":
                raise
            raise SourceTimeoutError(
                "The camera sends by UDP only, and none of its packets has arrived: open the firewall for UDP."
            ) from error
        except SourceEndedError as error:
            opening.ask_for_less(error)


def follow_redirect(
    target: RequestTarget, location: str, config: SourceConfig
) -> tuple[RequestTarget, SourceConfig, Authenticator]:
    """Return the target of a redirect, with its configuration and login. Raises: SourceError: it is not allowed."""
    following = redirect_target(target, location, _SCHEMES)
    if not carries_login(target, following):
        config = replace(config, username="", password="")
    # A login in the Location is used only for that target; our login only for our host.
    return following, config, Authenticator(*login_of(location) or (config.username, config.password))


async def _open_once(
    target: RequestTarget, auth: Authenticator, config: SourceConfig, clock: Clock, attempt: _Attempt
) -> RtspSource:
    connection = await connect_rtsp(target, config, clock)
    delivery: Delivery = (
        Interleaved(connection) if config.transport == "tcp" else Datagrams(connection, config, clock)
    )
    try:
        return await RtspSession(target, auth, config, clock, connection, delivery).open(attempt)
    except BaseException as exc:
        delivery.close()
        connection.fail(exc if isinstance(exc, SourceError) else ProtocolError("The camera was not opened."))
        raise


async def connect_rtsp(target: RequestTarget, config: SourceConfig, clock: Clock) -> RtspConnection:
    """Connect, through an HTTP tunnel if the URL requests one. The caller sets the deadline. Raises: SourceError."""
    if target.tunnel:
        return await connect_tunnel(target, config, clock)
    _, connection = await addresses.connect(
        lambda: RtspConnection(clock, target.host), target.host, target.port, config, tls=target.is_tls
    )
    return connection


class RtspSession:
    """The requests of one session over one connection, with its login and session id.

    `require`: the feature that all requests require (RFC 2326, section 12.32); "": none.
    """

    def __init__(
        self,
        target: RequestTarget,
        auth: Authenticator,
        config: SourceConfig,
        clock: Clock,
        connection: RtspConnection,
        delivery: Delivery,
        *,
        require: str = "",
    ) -> None:
        self._target = target
        self._auth = auth
        self._config = config
        self._clock = clock
        self._require = require
        self.connection = connection
        self.delivery = delivery
        self.session_id = ""
        self.timeout_s = 60.0
        self.uri = target.uri
        self.methods: frozenset[str] = frozenset()

    async def open(self, attempt: _Attempt) -> RtspSource:
        if attempt.options:
            attempt.asked = "OPTIONS"
            await self._ask_options()
        attempt.asked = "DESCRIBE"
        answer = await self.describe()
        description = parse_sdp(answer.body)
        base = base_uri(answer.header("content-base") or answer.header("content-location"), self._target)
        self.uri = control_uri(base, description.control)
        source = RtspSource(self, self._config, self._clock)
        audio = self._config.audio and attempt.audio
        attempt.asked = "SETUP"
        video, *others = await self._set_up_video(description, base, source, audio=audio)
        granted = [video]
        for track in others:  # Video without audio is still useful.
            attempt.asked = "SETUP audio"
            if await _within(_OPTIONAL_S, self._set_up_optional(len(granted), track, base)):
                granted.append(track)
        source.attach(granted)
        attempt.asked = "PLAY"
        await self._play(base, granted)
        await self.delivery.wait_for_media()
        self.delivery.pause()
        return source

    async def _ask_options(self) -> None:
        """Request the supported methods. Some cameras refuse the request, or do not respond: optional methods are
        then not used."""
        answer = await _within(
            min(_OPTIONAL_S, self._config.open_timeout_s / 4), self.request("OPTIONS", self._target.uri, {})
        )
        if answer is None:
            return
        if answer.status == 401 and "www-authenticate" not in answer.headers:
            return  # The response to DESCRIBE will contain the challenge.
        if answer.status in (401, *_REDIRECTS):
            self.check("OPTIONS", answer)
        methods = ",".join(answer.headers.get("public", []))
        self.methods = frozenset(method.strip().upper() for method in methods.split(","))

    async def describe(self) -> RtspMessage:
        headers = {"Accept": "application/sdp"}
        answer = await self.request("DESCRIBE", self._target.uri, headers)
        if answer.status not in FINAL and answer.status >= 400 and self._target.path == "/":
            # Without a path, a trailing slash matters to some cameras.
            uri = self._target.uri.rstrip("/") + ("" if self._target.uri.endswith("/") else "/")
            other = await self.request("DESCRIBE", uri, headers)
            answer = other if other.status < 300 else answer
        self.check("DESCRIBE", answer)
        if not re.search(
            rb"^\s*(?:v=0|m=)", answer.body.lstrip(b"\xef\xbb\xbf"), re.MULTILINE | re.IGNORECASE
        ):
            raise ProtocolError("The camera's description of its streams is empty or malformed.")
        return answer

    async def _set_up_video(
        self, description: Description, base: str, source: RtspSource, *, audio: bool
    ) -> list[RtspTrack]:
        """Set up the first video track that the camera grants. Return it, and the offered audio track.

        Raises: SourceError: no track is granted; the error of the first one.
        """
        refused: SourceError | None = None
        for skip in range(MAX_MEDIA):
            try:
                tracks = choose_tracks(
                    description,
                    source.deliver,
                    source.stats,
                    audio=audio,
                    ordered=self.delivery.ordered,
                    skip=skip,
                )
            except (NoVideoError, UnsupportedCodecError) as error:
                raise refused or error from None
            try:
                await self._set_up(0, tracks[0], base)
            except (StreamNotFoundError, ProtocolError) as error:
                if isinstance(error, _TransportRefusedError):
                    raise
                refused = refused or error
            else:
                return tracks
        assert refused is not None
        raise refused

    async def _set_up(self, index: int, track: RtspTrack, base: str) -> None:
        """Set up a track. Raises: SourceError: the camera refuses it with every URL."""
        refused: RtspMessage | None = None
        for uri in control_uris(base, track.control, self._target):
            for offer in self.delivery.offers(index):
                answer = await self.request("SETUP", uri, {"Transport": offer})
                if answer.status != 461:
                    break
            if 200 <= answer.status < 300:
                transport = answer.header("transport")
                ssrc = transport_parameters(transport).get("ssrc", "")
                if re.fullmatch(r"[0-9a-fA-F]{1,8}", ssrc) and int(ssrc, 16):
                    track.receiver.announce(ssrc=int(ssrc, 16))
                self.delivery.accept(index, track, transport)
                return
            refused = refused or answer
            if answer.status in FINAL:
                refused = answer
                break
        assert refused is not None
        if refused.status == 461:
            raise _TransportRefusedError(self.delivery.refusal)
        self.check("SETUP", refused)

    async def _set_up_optional(self, index: int, track: RtspTrack, base: str) -> bool:
        """Return whether the camera grants the track."""
        try:
            await self._set_up(index, track, base)
        except (SourceEndedError, Redirected):
            raise
        except SourceError:
            return False
        return True

    def _note_rtp_info(self, tracks: list[RtspTrack], answer: RtspMessage) -> None:
        """Pass the contents of RTP-Info to the receivers (RFC 2326, section 12.33)."""
        entries = ",".join(answer.headers.get("rtp-info", [])).split(",")[: len(tracks)]
        for track, entry in zip(tracks, entries, strict=False):
            if len(entries) != len(tracks) and track.control not in entry:
                continue
            if found := re.search(r"seq\s*=\s*(\d{1,10})", entry, re.ASCII | re.IGNORECASE):
                track.receiver.announce(sequence=int(found[1]))
            # As in RTSP 2.0 (RFC 7826, section 18.45).
            if found := re.search(r"ssrc\s*=\s*([0-9a-f]{1,8})(?!\w)", entry, re.ASCII | re.IGNORECASE):
                track.receiver.announce(ssrc=int(found[1], 16))

    async def _play(self, base: str, tracks: list[RtspTrack]) -> None:
        """Play all tracks at once. If the camera refuses, try the other forms that cameras require.

        Raises: SourceError: the camera refuses all of them.
        """
        refused: RtspMessage | None = None
        for uri in dict.fromkeys((self.uri, base, self._target.uri)):
            for headers in ({"Range": "npt=0.000-"}, {}):
                answer = await self._ask_to_play(uri, headers, tracks)
                if answer is None or 200 <= answer.status < 300:
                    self.uri = uri
                    if answer is not None:
                        self._note_rtp_info(tracks, answer)
                    return
                refused = refused or answer
                if answer.status in FINAL:
                    self.check("PLAY", answer)
        for track in tracks:
            answer = await self._ask_to_play(control_uri(base, track.control), {}, tracks)
            if track is tracks[0] and answer is not None and answer.status >= 300:
                assert refused is not None
                self.check("PLAY", refused)

    async def _ask_to_play(
        self, uri: str, headers: dict[str, str], tracks: list[RtspTrack]
    ) -> RtspMessage | None:
        """Return the response; None: the camera plays, but does not respond."""
        asking = asyncio.ensure_future(self.request("PLAY", uri, headers))
        try:
            await asyncio.wait((asking,), timeout=_OPTIONAL_S)
            if not asking.done() and tracks[0].receiver.reception.packets:
                return None
            return await asking
        finally:
            asking.cancel()

    def _note_session(self, answer: RtspMessage) -> None:
        """Store the session's id and timeout from any response."""
        text = answer.header("session")
        if name := re.match(r"[^\s;,]+", text):
            self.session_id = name[0][:256]
        found = re.search(r"timeout\s*=\s*\"?(\d{1,6})", text, re.ASCII | re.IGNORECASE)
        if found and int(found[1]) > 0:
            self.timeout_s = float(found[1])

    async def request(self, method: str, uri: str, headers: dict[str, str]) -> RtspMessage:
        """Send a request, and respond to a challenge. Raises: SourceError: the connection ended."""
        if self.session_id:
            headers = {**headers, "Session": self.session_id}
        if self._require:
            headers = {**headers, "Require": self._require}
        for attempt in range(3):
            authorization = self._auth.header(method, uri)
            extra = {"Authorization": authorization} if authorization else {}
            answer = await self.connection.request(method, uri, {**headers, **extra})
            if 200 <= answer.status < 300:
                self._note_session(answer)
            if answer.status != 401:
                self._auth.accept()
                return answer
            if attempt == 2 or not self._auth.take_challenge(answer.headers.get("www-authenticate", [])):
                return answer
        return answer

    async def expect_ok(self, method: str, uri: str, headers: dict[str, str]) -> RtspMessage:
        answer = await self.request(method, uri, headers)
        self.check(method, answer)
        return answer

    def check(self, method: str, answer: RtspMessage) -> None:
        """Raises: SourceError: the response is an error. This is the only mapping from RTSP statuses to errors."""
        status = answer.status
        if 200 <= status < 300:
            return
        if status in _REDIRECTS and answer.header("location"):
            raise Redirected(answer.header("location"))
        if status == 401:
            if self._auth.has_credentials:
                raise AuthenticationError("The camera rejects the user name or password: check both.")
            raise AuthenticationError("The camera requires a user name and a password: add them.")
        if status == 403:
            raise AuthenticationError(
                "The camera does not allow this user to view: give the user permission to view."
            )
        if status in (404, 410):
            raise StreamNotFoundError("The camera has no stream at this path: check the path of the URL.")
        if status in (453, 503):
            raise _BusyError("The camera is busy: it may serve too many viewers already.")
        if status == 551:
            raise OptionRefusedError(f"The camera does not support what {method} requires (status 551).")
        # Without the reason phrase, which may repeat our request including secrets.
        raise ProtocolError(
            sentence("The camera refused %(method)s (status %(status)s).", method=method, status=status)
        )


async def _within(seconds: float, asking: Coroutine[None, None, _Answer]) -> _Answer | None:
    """Return the result; None: no response in time."""
    try:
        async with asyncio.timeout(seconds):
            return await asking
    except TimeoutError:
        return None
