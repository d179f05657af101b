"""Opening an RTSP session: OPTIONS, DESCRIBE, SETUP, PLAY; logins and redirects on the way."""

import asyncio
import re
from dataclasses import replace

from ninjacam.core.clock import Clock
from ninjacam.core.errors import (
    AuthenticationError,
    ProtocolError,
    SourceError,
    SourceTimeoutError,
    StreamNotFoundError,
)
from ninjacam.sources import addresses
from ninjacam.sources.auth import Authenticator
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.rtsp.connection import RtspConnection
from ninjacam.sources.rtsp.messages import Message
from ninjacam.sources.rtsp.sdp import Description, parse_sdp
from ninjacam.sources.rtsp.source import RtspSource
from ninjacam.sources.rtsp.tracks import RtspTrack, choose_tracks
from ninjacam.sources.urls import Target, control_uri, parse_url, redirect_target

MAX_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 305, 307, 308)
_SCHEMES = ("rtsp", "rtsps")


class _Redirected(Exception):  # noqa: N818 (it is an answer, not an error)
    def __init__(self, location: str) -> None:
        self.location = location


async def open_rtsp(config: SourceConfig, *, clock: Clock) -> RtspSource:
    """Connect and start playing, within `config.open_timeout_s`.

    Raises: SourceError: each kind says what to do.
    """
    target = parse_url(config.url)
    try:
        async with asyncio.timeout(config.open_timeout_s):
            return await _follow(target, config, clock)
    except TimeoutError as exc:
        raise SourceTimeoutError(
            f"{target.host}:{target.port} did not start to play within {config.open_timeout_s:g} s: "
            "check the address, the port and that the camera is on."
        ) from exc


async def _follow(target: Target, config: SourceConfig, clock: Clock) -> RtspSource:
    auth = Authenticator(config.username, config.password)
    for _ in range(MAX_REDIRECTS + 1):
        try:
            return await _open_once(target, auth, config, clock)
        except _Redirected as redirect:
            following = redirect_target(target, redirect.location, _SCHEMES)
            same = following.host == target.host
            auth = Authenticator(config.username, config.password) if same else Authenticator("", "")
            config = config if same else _without_credentials(config)
            target = following
    raise ProtocolError("The camera redirects again and again.")


def _without_credentials(config: SourceConfig) -> SourceConfig:
    return replace(config, username="", password="")


async def _open_once(target: Target, auth: Authenticator, config: SourceConfig, clock: Clock) -> RtspSource:
    _, connection = await addresses.connect(
        lambda: RtspConnection(clock, target.host), target.host, target.port, config, tls=target.is_tls
    )
    try:
        return await RtspSession(target, auth, config, clock, connection).open()
    except BaseException as exc:
        connection.fail(exc if isinstance(exc, SourceError) else ProtocolError("The camera was not opened."))
        raise


class RtspSession:
    """The requests of one session over one connection: what needs the login and the session's name."""

    def __init__(
        self,
        target: Target,
        auth: Authenticator,
        config: SourceConfig,
        clock: Clock,
        connection: RtspConnection,
    ) -> None:
        self._target = target
        self._auth = auth
        self._config = config
        self._clock = clock
        self.connection = connection
        self.session_id = ""
        self.timeout_s = 60.0
        self.uri = target.uri
        self.methods: frozenset[str] = frozenset()

    async def open(self) -> RtspSource:
        await self._ask_options()
        answer = await self.expect_ok("DESCRIBE", self._target.uri, {"Accept": "application/sdp"})
        if b"v=0" not in answer.body[:64] and b"m=" not in answer.body:
            raise ProtocolError("The camera's description of its streams is empty or malformed.")
        description = parse_sdp(answer.body)
        base = answer.header("content-base") or answer.header("content-location") or self._target.uri
        base = base if base.startswith(("rtsp://", "rtsps://")) else self._target.uri
        self.uri = control_uri(base, description.control)
        source = RtspSource(self, self._config, self._clock)
        tracks = choose_tracks(description, source.deliver, source.stats, audio=self._config.audio)
        source.attach(await self._set_up(tracks, base, description))
        await self.expect_ok("PLAY", self.uri, {"Range": "npt=0.000-"})
        self.connection.pause()
        return source

    async def _ask_options(self) -> None:
        """What the camera can do. Some refuse the question: they are asked nothing else about it."""
        answer = await self.request("OPTIONS", self._target.uri, {})
        if answer.status in (401, *_REDIRECTS):
            self._check("OPTIONS", answer)
        methods = ",".join(answer.headers.get("public", []))
        self.methods = frozenset(method.strip().upper() for method in methods.split(","))

    async def _set_up(
        self, tracks: list[RtspTrack], base: str, description: Description
    ) -> list[tuple[RtspTrack, int, int]]:
        """[(track, RTP channel, RTCP channel)] of the tracks that the camera granted: the video at least."""
        granted: list[tuple[RtspTrack, int, int]] = []
        for index, track in enumerate(tracks):
            uri = control_uri(base, track.media.control)
            transport = f"RTP/AVP/TCP;unicast;interleaved={2 * index}-{2 * index + 1}"
            answer = await self.request("SETUP", uri, {"Transport": transport})
            if granted and answer.status != 200:
                continue  # video without audio is still video
            if answer.status == 461:
                raise ProtocolError(
                    "The camera does not send RTP over TCP: set the transport of this camera to UDP."
                )
            self._check("SETUP", answer)
            self._note_session(answer)
            found = re.search(r"interleaved=(\d{1,3})(?:-(\d{1,3}))?", answer.header("transport"))
            first = int(found[1]) if found else 2 * index
            second = int(found[2]) if found and found[2] else first + 1
            if first > 255 or second > 255:
                raise ProtocolError("The camera chose an impossible interleaved channel.")
            granted.append((track, first, second))
        return granted

    def _note_session(self, answer: Message) -> None:
        name, _, parameters = answer.header("session").partition(";")
        if name.strip():
            self.session_id = name.strip()[:256]
        found = re.search(r"timeout\s*=\s*(\d{1,6})", parameters)
        if found and int(found[1]) > 0:
            self.timeout_s = float(found[1])

    async def request(self, method: str, uri: str, headers: dict[str, str]) -> Message:
        """Send a request, answering a challenge where one comes. Raises: SourceError: the connection ended."""
        if self.session_id:
            headers = {**headers, "Session": self.session_id}
        for attempt in range(3):
            authorization = self._auth.header(method, uri)
            extra = {"Authorization": authorization} if authorization else {}
            answer = await self.connection.request(method, uri, {**headers, **extra})
            if answer.status != 401:
                self._auth.accept()
                return answer
            if attempt == 2 or not self._auth.take_challenge(answer.headers.get("www-authenticate", [])):
                return answer
        return answer

    async def expect_ok(self, method: str, uri: str, headers: dict[str, str]) -> Message:
        answer = await self.request(method, uri, headers)
        self._check(method, answer)
        return answer

    def _check(self, method: str, answer: Message) -> None:
        """Raises: SourceError: the answer is not a success; the one table from RTSP statuses to errors."""
        status = answer.status
        if 200 <= status < 300:
            return
        if status in _REDIRECTS and answer.header("location"):
            raise _Redirected(answer.header("location"))
        if status == 401:
            if self._auth.has_credentials:
                raise AuthenticationError("The camera refuses the user name or the password: check both.")
            raise AuthenticationError("The camera wants a user name and a password: add them.")
        if status == 403:
            raise AuthenticationError(
                "The camera forbids this user to watch: give the user the right to view."
            )
        if status in (404, 410):
            raise StreamNotFoundError("The camera has no stream at this path: check the path of the URL.")
        if status in (453, 503):
            raise ProtocolError("The camera is busy: it may serve too many viewers already.")
        # Not its reason phrase: that may repeat our request, secrets and all.
        raise ProtocolError(f"The camera refused {method} (status {status}).")
