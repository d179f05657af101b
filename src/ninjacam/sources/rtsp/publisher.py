"""One publisher over RTSP (ANNOUNCE and RECORD, RFC 2326), TCP only. It becomes the source of the camera with its
key."""

import asyncio
import re
import secrets
from urllib.parse import urlsplit

from ninjacam.core.clock import Clock
from ninjacam.core.errors import AuthenticationError, SourceEndedError, SourceError
from ninjacam.sources.publish import Places, PublishPlace
from ninjacam.sources.rtsp.connection import RtspConnection
from ninjacam.sources.rtsp.delivery import transport_parameters
from ninjacam.sources.rtsp.interleaved import Interleaved
from ninjacam.sources.rtsp.messages import RtspMessage, format_response
from ninjacam.sources.rtsp.sdp import Description, parse_sdp
from ninjacam.sources.rtsp.source import RtspSource
from ninjacam.sources.rtsp.tracks import RtspTrack, choose_tracks

MAX_REQUESTS = 64
"""Maximum number of requests before the publisher sends media."""
TIMEOUT_S = 60
_PATH = re.compile(r"/publish/([^/?]{1,200})(?:/.*)?\Z")
_METHODS = "OPTIONS, ANNOUNCE, SETUP, RECORD, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    415: "Unsupported Media Type",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    501: "Not Implemented",
    503: "Service Unavailable",
}


class RtspPublisher:
    """Owner: the port until it records, then the camera. `connection` is the asyncio protocol."""

    def __init__(self, places: Places, clock: Clock) -> None:
        self.connection = RtspConnection(clock, "the publisher", self._take)
        self._places = places
        self._clock = clock
        self._requests = 0
        self._claiming: asyncio.Task[None] | None = None
        self._place: PublishPlace | None = None
        self._source: PublishedRtsp | None = None
        self._delivery = Interleaved(self.connection)
        self._description = Description()
        self._offered: list[RtspTrack] = []
        self._granted: list[RtspTrack] = []
        self._session_id = secrets.token_hex(8)
        self.connection.ended.add_done_callback(lambda _: self._leave())

    @property
    def is_publishing(self) -> bool:
        """Return whether it has sent its first video packet."""
        return self._source is not None and self._source.media_ns() > 0

    @property
    def ended(self) -> "asyncio.Future[None]":
        return self.connection.ended

    def media_ns(self) -> int:
        return self._source.media_ns() if self._source is not None else 0

    def end(self, error: SourceError) -> None:
        self.connection.fail(error)

    def _leave(self) -> None:
        if self._claiming is not None:
            self._claiming.cancel()
        if self._place is not None:
            self._place.leave()

    # Requests -----------------------------------------------------------------------------------------------------

    def _take(self, request: RtspMessage) -> None:
        self._requests += 1
        if self._requests > MAX_REQUESTS and not self.is_publishing:
            self.end(SourceEndedError("The publisher sends too many requests."))
        elif request.method == "OPTIONS":
            self._answer(request, 200, {"Public": _METHODS})
        elif request.method in ("GET_PARAMETER", "SET_PARAMETER"):
            self._answer(request, 200)
        elif request.method == "ANNOUNCE":
            self._announce(request)
        elif request.method == "SETUP":
            self._set_up(request)
        elif request.method == "RECORD":
            self._record(request)
        elif request.method == "TEARDOWN":
            self._answer(request, 200)
            self.end(SourceEndedError("The publisher ended the stream."))
        else:
            self._answer(request, 501)

    def _answer(self, request: RtspMessage, status: int, headers: dict[str, str] | None = None) -> None:
        self.connection.write(format_response(request, status, _REASONS[status], headers or {}))

    def _announce(self, request: RtspMessage) -> None:
        found = _PATH.match(urlsplit(request.uri).path)
        if self._claiming is not None:
            self._answer(request, 455)
        elif found is None:
            self._answer(request, 404)
        else:
            self.connection.pause()
            self._claiming = asyncio.create_task(self._claim(request, found[1]), name="rtsp-claim")

    async def _claim(self, request: RtspMessage, key: str) -> None:
        """Claim the camera's place, unless the publisher's description is unusable."""
        try:
            self._description = parse_sdp(request.body)
            place = await self._places.claim(key, self)
            self._place = place
            source = PublishedRtsp(self, place, self._clock)
            self._offered = choose_tracks(
                self._description, source.deliver, source.stats, audio=place.config.audio
            )
        except AuthenticationError:
            self._refuse(request, 403)
        except SourceError as error:
            self._refuse(request, 503 if error.code == "busy" else 415)
        else:
            self._source = source
            self._answer(request, 200)
            self.connection.resume()

    def _refuse(self, request: RtspMessage, status: int) -> None:
        self._answer(request, status)
        self.connection.close_after_writing()

    def _set_up(self, request: RtspMessage) -> None:
        """Grant a track, even one that is not read: some publishers give up otherwise."""
        if self._source is None:
            self._answer(request, 455)
            return
        transport = request.header("transport")
        wanted = transport_parameters(transport)
        if "interleaved" not in wanted and "rtp/avp/tcp" not in wanted:
            self._answer(request, 461)
            return
        index = len(self._granted)
        channels = wanted.get("interleaved") or f"{2 * index}-{2 * index + 1}"
        if not re.fullmatch(r"\d{1,3}(-\d{1,3})?", channels, re.ASCII):
            self._answer(request, 400)
            return
        granted = f"RTP/AVP/TCP;unicast;interleaved={channels};mode=record"
        track = self._find(request.uri)
        if track is not None and track not in self._granted:
            self._delivery.accept(index, track, granted)
            self._granted.append(track)
        session = f"{self._session_id};timeout={TIMEOUT_S}"
        self._answer(request, 200, {"Transport": granted, "Session": session})

    def _find(self, uri: str) -> RtspTrack | None:
        """Return the track that a SETUP requests, by the end of its URL; a single track always matches."""
        path = uri.rstrip("/")
        for track in self._offered:
            if track.control and path.endswith(track.control.rstrip("/")):
                return track
        return self._offered[0] if len(self._description.media) == 1 and self._offered else None

    def _record(self, request: RtspMessage) -> None:
        granted = sorted(self._granted, key=self._offered.index)
        if self._source is None or self._place is None or not granted or granted[0] is not self._offered[0]:
            self._answer(request, 455)
            return
        self._source.attach(granted)
        self._answer(request, 200, {"Session": self._session_id})
        self.connection.pause()
        self._place.deliver(self._source)

    # Session interface of the source --------------------------------------------------------------------------------

    @property
    def delivery(self) -> Interleaved:
        return self._delivery

    uri = ""
    methods: frozenset[str] = frozenset()
    timeout_s = float(TIMEOUT_S)

    async def request(self, method: str, uri: str, headers: dict[str, str]) -> RtspMessage:
        raise SourceEndedError("Publishers are not asked for anything.")


class PublishedRtsp(RtspSource):
    """A source whose publisher keeps the session alive, and ends it."""

    def __init__(self, publisher: RtspPublisher, place: PublishPlace, clock: Clock) -> None:
        super().__init__(publisher, place.config, clock)
        self._place = place

    async def _keep_alive(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        self._session.connection.fail(SourceEndedError("The camera was closed."))
        await super().close()
        self._place.close()
