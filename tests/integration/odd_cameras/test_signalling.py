"""Cameras with odd RTSP responses: CSeq, keep-alives, sessions, channels, authentication, redirects."""

import asyncio
import re
from typing import Any

import pytest

from tests.harness.odd_camera import (
    RTP_HEADER,
    OddCamera,
    OddClient,
    OddRequest,
    digest_is_right,
    interleaved,
    watch,
)
from tests.harness.steady_loop import run_steadily
from tests.integration.odd_cameras.conftest import Watched

WITHOUT_CSEQ = re.compile(rb"CSeq: [^\r]*\r\n")
WITHOUT_SESSION = re.compile(rb"Session: [^\r]*\r\n")


class Numbers(OddCamera):
    """The CSeq of responses is 0 (luisiam/homebridge-foscamcamera#6), one too low, or missing."""

    number = "0"

    def reply(self, request: OddRequest, *args: Any, **kwargs: Any) -> bytes:
        asked = int(request.headers["cseq"])
        number = {"one less": asked - 1, "one more": asked + 1, "none": ""}.get(self.number, self.number)
        return super().reply(request, *args, **{**kwargs, "cseq": number})


class Spelling(OddCamera):
    """Odd spelling of responses.

    LF only (meetecho/janus-gateway#1922), no reason (gortsplib#807), a line with only a space among the headers
    (koush/scrypted#2137), two empty lines before the body (catalinii/minisatip#1164), ...
    """

    spelling = "lf"

    async def answer(self, client: OddClient, request: OddRequest) -> bytes | None:
        answer = await super().answer(client, request)
        if answer is None:
            return None
        head, end, body = answer.partition(b"\r\n\r\n")
        match self.spelling:
            case "lf":
                return (head + end).replace(b"\r\n", b"\n") + body
            case "line of a space":
                return head.replace(b"\r\nCSeq", b"\r\n \r\nCSeq") + end + body
            case "two empty lines":
                return head + end + (b"\r\n" + body if body else b"")
            case "no reason":
                return head.replace(b" OK", b"") + end + body
            case "lower case":
                return head.lower().replace(b"content-base: rtsp", b"content-base: RTSP") + end + body
            case "spaces":
                return head.replace(b": ", b" :   ").replace(b"200 OK", b"  200   OK  ") + end + body
        raise AssertionError(self.spelling)


class Interim(OddCamera):
    """Each response is preceded by a 100 Continue and an unsolicited response."""

    async def answer(self, client: OddClient, request: OddRequest) -> bytes | None:
        answer = await super().answer(client, request)
        return answer and self.reply(request, "100 Continue") + answer + self.reply(request, cseq=9999)


class KeepAlive(OddCamera):
    """GET_PARAMETER is advertised but refused, and only a successful request keeps the session alive.

    The session continues (themactep/thingino-firmware#490), or the refusal has the CSeq of the previous request
    (scottlamb/retina#133, #136). `challenge`: the WWW-Authenticate header of the refusal.
    """

    session_parameters = ";timeout=1"
    refusal = "454 Session Not Found"
    challenge = ""
    refused = ("GET_PARAMETER",)
    late_number = False
    enough = 110

    async def answer(self, client: OddClient, request: OddRequest) -> bytes | None:
        if request.method in self.refused:
            if not self.refusal:
                return None
            number = int(request.headers["cseq"]) - self.late_number
            headers = [f"WWW-Authenticate: {self.challenge}"] if self.challenge else []
            return self.reply(request, self.refusal, *headers, cseq=number)
        self.heard_s = asyncio.get_running_loop().time()
        return await super().answer(client, request)

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        if asyncio.get_running_loop().time() - self.heard_s > 1.6:
            client.hang_up()
        client.send(out)


class LateSession(OddCamera):
    """The session id arrives with PLAY, and keep-alives without it are refused (bluenviron/mediamtx#840, #822)."""

    enough = 80
    kept: int = 0

    async def answer(self, client: OddClient, request: OddRequest) -> bytes | None:
        if client.playing and request.method in ("GET_PARAMETER", "OPTIONS"):
            if request.headers.get("session") != self.session:
                client.hang_up()
                return None
            self.kept += 1
        answer = WITHOUT_SESSION.sub(b"", await super().answer(client, request) or b"")
        if request.method == "PLAY":
            head = f"\r\nsession:{self.session}; Timeout = 1\r\n".encode()
            answer = answer.replace(b"\r\n", head, 1)
        return answer


class SessionIds(OddCamera):
    """Each SETUP response has another session id (scottlamb/retina CHANGELOG v0.4.6), among unusual parameters."""

    scene = {"audio": "pcm_alaw"}
    form = "  {id}; timeout = 60;x=y"
    count = 0

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        self.count += 1
        self.session = f"9a90de5{self.count}"
        answer = await super().on_setup(client, request) or b""
        return WITHOUT_SESSION.sub(f"Session: {self.form.format(id=self.session)}\r\n".encode(), answer)

    async def on_play(self, client: OddClient, request: OddRequest) -> bytes | None:
        if request.headers.get("session") != self.session:
            return self.reply(request, "454 Session Not Found")
        return await super().on_play(client, request)


class NoSession(OddCamera):
    """No response contains a session id, and requests that contain one are refused."""

    async def answer(self, client: OddClient, request: OddRequest) -> bytes | None:
        if "session" in request.headers:
            return self.reply(request, "454 Session Not Found")
        return WITHOUT_SESSION.sub(b"", await super().answer(client, request) or b"")


class Channels(OddCamera):
    """Odd channels in the Transport header.

    Other channels than requested (gortsplib#72), none (gortsplib#142), or the same for audio and video; no Transport
    header (gortsplib#456), or one with an empty source (mediamtx#986).
    """

    scene = {"audio": "pcm_alaw"}
    channels = "other"

    def channel(self, index: int, asked: int) -> int:
        changed = {"other": asked + 4, "shouted": asked + 4, "swapped": 2 - asked, "same": 0}
        return changed.get(self.channels, asked)

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        answer = await super().on_setup(client, request) or b""
        match self.channels:
            case "absent":
                return re.sub(rb";interleaved=\d+-\d+", b"", answer)
            case "impossible":
                return re.sub(rb"interleaved=\d+-\d+", b"interleaved=999-1000", answer)
            case "empty source":
                return answer.replace(b";interleaved", b";source=;destination=;interleaved")
            case "several":
                return re.sub(rb"(Transport: [^\r]*)", rb"\1,RTP/AVP;unicast;client_port=5-6", answer)
            case "no header":
                return re.sub(rb"Transport: [^\r]*\r\n", b"", answer)
            case "shouted":
                return re.sub(rb"(Transport: )([^\r]*)", lambda m: m[1] + m[2].upper(), answer)
        return answer

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        sound = RTP_HEADER.pack(0x80, 8, number & 0xFFFF, number * 160, 0x5A5A) + b"\xd5" * 160
        client.send(out + interleaved(client.channels[1], sound))


class Realm(OddCamera):
    """Odd challenges.

    From EasyDarwin#117, needle#340, go2rtc#2232, pyEzvizApi#275, SharpOnvif#67; without a comma between the parameters
    (OvenMediaEngine#1936).
    """

    realm = b"IP Camera(C3138)"
    nonce = "742a0bfc8796112b4138121a85fbd29b"
    user = "admin"
    password = "secret"
    login_in_url = "admin:secret@"
    form = 'WWW-Authenticate: Digest realm="{r}", nonce="{n}", stale="FALSE"'

    def url(self, user: str = "") -> str:
        return super().url(user or self.login_in_url)

    def login(self, client: OddClient, request: OddRequest) -> bytes | None:
        realm = f'realm="{self.realm.decode("utf-8", "surrogateescape")}"'
        if realm in request.headers.get("authorization", "") and digest_is_right(
            request, realm=self.realm, nonce=self.nonce, user=self.user, password=self.password
        ):
            return None
        text = self.form.format(r=self.realm.decode("utf-8", "surrogateescape"), n=self.nonce)
        return self.reply(request, "401 Unauthorized", 'WWW-Authenticate: Basic realm="/"', text)


class HangsUp(Realm):
    """The camera closes the connection after the 401 (suspected in scottlamb/retina#45).

    `free`: a method without authentication.
    """

    free = ""

    def login(self, client: OddClient, request: OddRequest) -> bytes | None:
        return None if request.method == self.free else super().login(client, request)

    async def after(self, client: OddClient, request: OddRequest) -> None:
        if "authorization" not in request.headers and request.method != self.free:
            await asyncio.sleep(0.05)  # sends the response first
            client.hang_up()
        await super().after(client, request)


class NonceEachAnswer(Realm):
    """Each nonce is valid for one request (ngraziano/SharpRTSP#126), including keep-alives."""

    session_parameters = ";timeout=1"
    count = 0

    def login(self, client: OddClient, request: OddRequest) -> bytes | None:
        denied = super().login(client, request)
        self.count += 1
        self.nonce = f"n{self.count}"
        return denied if denied is None else super().login(client, request)


class AsksBack(OddCamera):
    """The camera sends requests (gortsplib#56, #93); the changes that they announce do not happen."""

    method = "OPTIONS"
    asked = "rtsp://x/cam0"

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        if number in (20, 45):
            head = f"{self.method} {self.asked} RTSP/1.0\r\nCSeq: {number}\r\nSession: {self.session}\r\n\r\n"
            out += head.encode()
        client.send(out)


class RefusesPlay(OddCamera):
    """PLAY of all tracks is refused.

    With a Range (457: stackia/rtp2httpd#323), at the Content-Base, whose slash causes a 405
    (alexeyvasilyev/rtsp-client-android#9), or unless each track is played separately.
    """

    accepts = "no range"

    async def on_play(self, client: OddClient, request: OddRequest) -> bytes | None:
        good = {
            "no range": "range" not in request.headers and not request.url.endswith("/track0"),
            "track": request.url.endswith("/track0"),
            "without slash": request.url.endswith("/cam0"),
        }[self.accepts]
        return await super().on_play(client, request) if good else self.reply(request, "455 Not Valid")

    async def after(self, client: OddClient, request: OddRequest) -> None:
        if request.method == "PLAY" and self.accepts == "track" and not request.url.endswith("/track0"):
            return
        await super().after(client, request)


class Unanswered(OddCamera):
    """One method is never answered (OPTIONS: gortsplib#8). The following requests work."""

    method = "OPTIONS"
    scene = {"audio": "pcm_alaw"}
    enough = 150

    async def answer(self, client: OddClient, request: OddRequest) -> bytes | None:
        answer = await super().answer(client, request)
        if self.method == "SETUP audio" and request.method == "SETUP" and request.url.endswith("track1"):
            return None
        return None if request.method == self.method else answer


class HangsUpAt(OddCamera):
    """The camera closes the connection instead of refusing an optional request."""

    scene = {"audio": "pcm_alaw"}
    method = "OPTIONS"

    async def answer(self, client: OddClient, request: OddRequest) -> bytes | None:
        if f"{request.method} {request.url.rpartition('/')[2]}".startswith(self.method):
            client.hang_up()
            return None
        return await super().answer(client, request)


class Body(OddCamera):
    """Wrong lengths of bodies.

    The length of the SDP is missing, too large or too small (curl#12706); its last line has no line end
    (themactep/thingino-firmware#1621); other responses announce bodies that are never sent.
    """

    length = "missing"

    async def on_describe(self, client: OddClient, request: OddRequest) -> bytes | None:
        head, end, body = (await super().on_describe(client, request) or b"").partition(b"\r\n\r\n")
        lengths = {"missing": b"", "zero": b"Content-Length: 0", "nonsense": b"Content-Length: x",
                   "too long": b"Content-Length: %d" % (len(body) + 7),
                   "too short": b"Content-Length: %d" % (len(body) - 40),
                   "much too short": b"Content-Length: 5",
                   "without the last line end": b"Content-Length: %d" % (len(body) - 2)}  # fmt: skip
        if self.length == "without the last line end":
            body = body.removesuffix(b"\r\n")
        if self.length in lengths:
            head = re.sub(rb"Content-Length: \d+", lengths[self.length], head)
        return head.replace(b"Content-Type: application/sdp\r\n", b"") + end + body

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        answer = await super().on_setup(client, request) or b""
        return self._announced(answer)

    async def on_play(self, client: OddClient, request: OddRequest) -> bytes | None:
        return self._announced(await super().on_play(client, request) or b"")

    def _announced(self, answer: bytes) -> bytes:
        if self.length != "bodies that never come":
            return answer
        return answer.replace(b"\r\n\r\n", b"\r\nContent-Length: 2000\r\n\r\n")


class Base(OddCamera):
    """Odd Content-Base headers.

    Without a scheme (moonfire-nvr#356, go2rtc#1852), with two (go2rtc#830, #208), empty, with another host, with an
    IPv6 address without brackets (AlexxIT/WebRTC#395), with a login.
    """

    base = ""

    async def on_describe(self, client: OddClient, request: OddRequest) -> bytes | None:
        base = f"Content-Base: {self.base.format(port=self.port)}"
        return self.reply(request, "200 OK", "Content-Type: application/sdp", base, body=self.sdp(request))

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        if not re.fullmatch(r"rtsp://[^/@]+/cam0/track0", request.url) or "rtsp://rtsp" in request.url:
            return self.reply(request, "404 Not Found")
        return await super().on_setup(client, request)


class Control(OddCamera):
    """The camera accepts only one URL for its track.

    The URL exactly as the SDP writes it (GeoVision: scottlamb/retina#33), or the URL with the address that the client
    connected to (NAT). A control with a leading slash (Verint, go2rtc#1236); a base with a query (Vivotek,
    RtspClientSharp#110; GW) or percent-escapes (Dahua). `base`: the Content-Base; "": none.
    """

    control = ""
    wanted = ""
    base = "{url}/"

    async def on_describe(self, client: OddClient, request: OddRequest) -> bytes | None:
        base = self.base.format(url=request.url.rstrip("/"), here=f"rtsp://127.0.0.1:{self.port}")
        headers = [f"Content-Base: {base}"] if base else []
        return self.reply(
            request, "200 OK", "Content-Type: application/sdp", *headers, body=self.sdp(request)
        )

    def sdp(self, request: OddRequest) -> str:
        return super().sdp(request).replace("a=control:track0", f"a=control:{self.control}")

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        if request.url != self.wanted.format(here=f"rtsp://127.0.0.1:{self.port}"):
            return self.reply(request, "404 Not Found")
        return await super().on_setup(client, request)


class BackChannel(OddCamera):
    """A back channel before, after or instead of the camera's audio (mediamtx#5074, go2rtc#2390)."""

    video = ""
    sounds: tuple[str, ...] = ()

    def sdp(self, request: OddRequest) -> str:
        text, _, _ = super().sdp(request).partition("m=audio")
        back = "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:back\r\na=sendonly\r\n"
        sound = "m=audio 0 RTP/AVP {}\r\na=rtpmap:{} {}/8000\r\na=control:track1\r\na=recvonly\r\n"
        kinds = {
            "back": back,
            "alaw": sound.format(8, 8, "PCMA"),
            "unreadable": sound.format(97, 97, "G726-16"),
        }
        return text + self.video + "".join(kinds[each] for each in self.sounds)

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        assert not request.url.endswith("back"), "the back channel was set up"
        return await super().on_setup(client, request)


class RtpInfo(OddCamera):
    """RTP-Info ends with a semicolon and has sequence 0 (scottlamb/retina#117), or has no tracks (ExoPlayer#9619)."""

    info = "url={url}/track0;seq=0;rtptime=0;"

    async def on_play(self, client: OddClient, request: OddRequest) -> bytes | None:
        info = f"RTP-Info: {self.info.format(url=request.url)}"
        return self.reply(request, "200 OK", f"Session: {self.session}", info)


class EarlySession(OddCamera):
    """The DESCRIBE response contains a session id (ExoPlayer#9254), and SETUP requires it."""

    async def on_describe(self, client: OddClient, request: OddRequest) -> bytes | None:
        answer = await super().on_describe(client, request) or b""
        return answer.replace(b"\r\n", b"\r\nSession: 610a63df-9b57\r\n", 1)

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        if request.headers.get("session") != "610a63df-9b57":
            return self.reply(request, "454 Session Not Found")
        return await super().on_setup(client, request)


class BadParameterSets(OddCamera):
    """The SDP's sprop-parameter-sets are invalid (scottlamb/retina#42)."""

    def sdp(self, request: OddRequest) -> str:
        return re.sub(
            r"sprop-parameter-sets=[^;\r]*", "sprop-parameter-sets=6Q==,!!,A,AAAA", super().sdp(request)
        )


class Goodbye(OddCamera):
    """The camera sends an RTCP BYE for the stream, and the stream continues."""

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        if number in (10, 30):
            out += interleaved(client.channels[0] + 1, b"\x81\xcb\x00\x01" + self.ssrc.to_bytes(4, "big"))
        client.send(out)


class StaleSession(OddCamera):
    """Packets of an ended session continue in the new connection, on the same channel (scottlamb/retina#17).

    Either SETUP names the right SSRC, or RTP-Info the right SSRC or sequence number.
    """

    announced = "ssrc"

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        answer = await super().on_setup(client, request) or b""
        return answer if self.announced == "ssrc" else re.sub(rb";ssrc=\w+", b"", answer)

    async def on_play(self, client: OddClient, request: OddRequest) -> bytes | None:
        what = {"sequence": f"seq={self.first_sequence}", "ssrc in RTP-Info": f"ssrc={self.ssrc:08X}"}
        info = f"RTP-Info: url={request.url}track0;{what.get(self.announced)};rtptime={self.timestamp(0)}"
        headers = [info] if self.announced in what else []
        return self.reply(request, "200 OK", f"Session: {self.session}", *headers)

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        old = b""
        for sequence in range(40_000 + 10 * number, 40_010 + 10 * number):
            header = RTP_HEADER.pack(0x80, 96, sequence & 0xFFFF, 777_000_000 + number * 3600, 0xDEAD0001)
            old += self.frame(client, header, b"\x41\x9a" + bytes(200))
        client.send(old + out)


CAMERAS = [
    *(Numbers(name, number=name) for name in ("0", "one less", "one more", "none", "nonsense")),
    *(
        Spelling(name, spelling=name)
        for name in ("lf", "no reason", "line of a space", "two empty lines", "lower case", "spaces")
    ),
    Interim(),
    KeepAlive("454"),
    KeepAlive("400 to the request before", refusal="400 Bad Request", late_number=True),
    KeepAlive("501", refusal="501 Not Implemented"),
    KeepAlive("401, another login method", refusal="401 Unauthorized", challenge="Negotiate"),
    KeepAlive("unanswered", refusal="", session_parameters=";timeout=2"),
    KeepAlive("OPTIONS", refused=("none",), public="OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"),
    KeepAlive("without Public", refused=("none",), public=""),
    LateSession(),
    SessionIds(),
    SessionIds("spaces", form="{id} timeout=60"),
    SessionIds("without a number", form="{id};timeout="),
    SessionIds("timeout 0", form="{id};timeout=0"),
    NoSession(),
    *(
        Channels(name, channels=name)
        for name in ("other", "swapped", "same", "absent", "impossible", "empty source", "several", "no header",
                     "shouted")
    ),
    Realm("brackets"),
    Realm("UTF-8", realm="Caméra 摄像机".encode()),
    Realm("raw bytes", realm=b"CS-C6N\xff\xfe"),
    Realm("Latin-1", realm="Kamera Büro".encode("latin-1")),
    Realm("unquoted", realm=b"IP Camera", form="WWW-Authenticate: Digest realm={r}, nonce={n}, stale=FALSE"),
    Realm("unquoted, no comma", realm=b"IP Camera", form="WWW-Authenticate: Digest realm={r} nonce={n} stale=FALSE"),
    Realm("no comma", form='WWW-Authenticate: Digest realm="{r}" nonce="{n}" stale="FALSE"'),
    Realm("folded", form='www-authenticate: Digest realm="{r}",\r\n                 nonce="{n}",'),
    Realm("escaped quote", realm=b'The \\"door\\"'),
    Realm("empty", realm=b""),
    Realm("opaque", form='WWW-Authenticate: Digest realm="{r}", nonce="{n}", algorithm="md5", opaque=""'),
    Realm("base64", realm=b"rtsp server", nonce="MTU0ODQxODQ4NS45ODA3MjA6SSBhbSBSVFNQ=="),
    Realm(
        "specials",
        user="a@b:c",
        password="p@s:s/w#o%r?d &ä€",
        login_in_url="a%40b%3Ac:p%40s%3As%2Fw%23o%25r%3Fd%20%26%C3%A4%E2%82%AC@",
    ),
    HangsUp(),
    HangsUp("behind OPTIONS", free="OPTIONS"),
    NonceEachAnswer(),
    *(
        AsksBack(name, method=name)
        for name in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "PLAY_NOTIFY", "ANNOUNCE", "REDIRECT", "TEARDOWN")
    ),
    AsksBack("OPTIONS *", asked="*"),
    *(RefusesPlay(name, accepts=name) for name in ("no range", "track", "without slash")),
    Unanswered("OPTIONS"),
    Unanswered("PLAY", method="PLAY"),
    Unanswered("SETUP of audio", method="SETUP audio"),
    HangsUpAt("OPTIONS"),
    HangsUpAt("SETUP of audio", method="SETUP track1"),
    *(
        Body(name, length=name)
        for name in ("missing", "zero", "nonsense", "too long", "too short", "much too short",
                     "without the last line end", "bodies that never come")
    ),
    *(
        Base(repr(base), base=base)
        for base in (
            "127.0.0.1:{port}/cam0/",
            "rtsp://rtsp://127.0.0.1:{port}/cam0/",
            "",
            "rtsp://10.9.8.7/cam0/",
            "rtsp://::ffff:127.0.0.1/cam0/",
            "rtsp://user:pw@127.0.0.1:{port}/cam0/",
            "RTSP://127.0.0.1:{port}/cam0",
            "/cam0/",
        )
    ),
    Control(
        "its own", control="rtsp://192.168.5.237/media/track0", wanted="rtsp://192.168.5.237/media/track0"
    ),
    Control("behind NAT", control="rtsp://10.0.0.1:554/media/track0", wanted="{here}/media/track0"),
    Control("no address", control="rtsp://0.0.0.0/cam0/track0", wanted="{here}/cam0/track0"),
    Control("query only", control="?ctype=video", wanted="{here}/cam0/?ctype=video"),
    Control("query instead of the query", path="/cam0?a=1", control="?ctype=video", wanted="{here}/cam0?ctype=video"),
    Control("all", control="*", wanted="{here}/cam0/"),
    Control("query only, no base", path="/", base="", control="?ctype=video", wanted="{here}/?ctype=video"),
    Control("slash", path="/a/1", base="{here}/", control="/a/1", wanted="{here}/a/1"),
    Control("slash, no path", path="", base="{here}", control="/test", wanted="{here}/test"),
    Control("behind a query", path="/s.sdp?profile=a", base="", control="t=2", wanted="{here}/s.sdp?profile=a/t=2"),
    Control(
        "behind a query in the base",
        path="/H264?channel=1&subtype=0",
        base="{url}",
        control="video",
        wanted="{here}/H264?channel=1&subtype=0/video",
    ),
    Control(
        "percent-escapes",
        path="/dss/cameraid=1000193%241%26substream=1?token=69154&trackID=0",
        base="{url}",
        control="trackID=0",
        wanted="{here}/dss/cameraid=1000193%241%26substream=1?token=69154&trackID=0/trackID=0",
    ),
    Control("query without ?", path="/user=a&pw=B!&c=1", base="", control="t=5", wanted="{here}/user=a&pw=B!&c=1/t=5"),
    Control("before the query", path="/cam0?a=1", control="track0", wanted="{here}/cam0/track0?a=1"),
    BackChannel("video", video="a=sendonly\r\n"),
    BackChannel("before", sounds=("back", "alaw")),
    BackChannel("only", sounds=("unreadable", "back")),
    Goodbye(),
    RtpInfo("sequence 0"),
    RtpInfo("nothing", info=""),
    RtpInfo("nonsense", info="seq=99999999999;url"),
    EarlySession(),
    BadParameterSets(),
    StaleSession("SSRC"),
    StaleSession("sequence number", announced="sequence"),
    StaleSession("SSRC in RTP-Info", announced="ssrc in RTP-Info"),
]  # fmt: skip


@pytest.mark.parametrize("camera", CAMERAS, ids=repr)
def test_unusual_responses_do_not_affect_the_stream(camera: OddCamera, watched: Watched) -> None:
    seen = watched(camera)
    seen.assert_whole()
    if isinstance(camera, Channels):
        assert len(seen.sounds) > 40, "the audio arrives too"
    if isinstance(camera, LateSession):
        assert camera.kept >= 1
    if isinstance(camera, BackChannel) and camera.sounds:
        expected = "pcm_alaw" if "alaw" in camera.sounds else None
        assert seen.status["audio_codec"] == expected
    if isinstance(camera, HangsUp):
        assert camera.connections == 2
    if isinstance(camera, Base):
        assert sum(request.method == "SETUP" for request in camera.requests) == 1, (
            "its first URL is the right one"
        )
    if isinstance(camera, Body):
        assert seen.decoded.stamps[0] == 0, "nothing of the stream was taken for a body"


class Redirects(OddCamera):
    """DESCRIBE is answered with a redirect without CSeq (go2rtc#1881)."""

    to = ""

    async def on_describe(self, client: OddClient, request: OddRequest) -> bytes | None:
        return self.reply(request, "302 Moved Temporarily", f"Location: {self.to}", cseq="")


@pytest.mark.parametrize(
    ("host", "login"),
    [("127.0.0.1", ""), ("127.0.0.1", "viewer:pw@"), ("localhost", "viewer:pw@")],
    ids=["without a login", "with a login", "with a login, to another host"],
)
def test_a_login_in_a_redirect_is_used_for_its_target(host: str, login: str) -> None:
    """Otherwise, the redirects of androidx/media#2398 do not work."""

    async def go() -> None:
        password = "pw" if login else "secret"
        user = "viewer" if login else "admin"
        async with Realm(user=user, password=password) as target, Redirects() as first:
            first.to = f"rtsp://{login}{host}:{target.port}/cam0"
            seen = await watch(first.url("admin:secret@"))
        seen.assert_whole()
        assert not any("authorization" in request.headers for request in first.requests)

    run_steadily(go())


def test_a_login_in_a_redirect_is_not_used_for_the_next_target() -> None:
    async def go() -> None:
        async with Realm() as target, Redirects() as second, Redirects() as first:
            first.to = f"rtsp://admin:secret@127.0.0.1:{second.port}/cam0"
            second.to = f"rtsp://127.0.0.1:{target.port}/cam0"
            seen = await watch(first.url(), lambda seen: seen.errors)
        assert seen.errors[0][0] == "AuthenticationError", str(seen)
        assert not any("authorization" in request.headers for request in target.requests)

    run_steadily(go())


def test_a_camera_that_ends_the_session_is_reopened_when_its_media_stop() -> None:
    class Ends(OddCamera):
        def burst(self, client: OddClient, number: int, out: bytes) -> None:
            if number < 30:
                client.send(out)
            elif number == 30:
                client.send(b"TEARDOWN rtsp://x/cam0 RTSP/1.0\r\nCSeq: 1\r\n\r\n")

    async def go() -> None:
        async with Ends() as camera:
            seen = await watch(camera.url(), lambda seen: seen.errors)
        assert seen.errors[0] == ("SourceEndedError", "The camera ended the stream.")

    run_steadily(go())


class Teardown(OddCamera):
    """TEARDOWN is refused, never answered, or the camera closes the connection instead."""

    form = "refused"
    enough = 20

    async def on_teardown(self, client: OddClient, request: OddRequest) -> bytes | None:
        return self.reply(request, "454 Session Not Found") if self.form == "refused" else None

    async def after(self, client: OddClient, request: OddRequest) -> None:
        if request.method != "TEARDOWN" or self.form == "closed":
            await super().after(client, request)


@pytest.mark.parametrize("form", ["refused", "never answered", "closed"])
def test_a_camera_that_does_not_confirm_the_end_is_closed_at_once(form: str) -> None:
    async def go() -> float:
        async with Teardown(form=form) as camera:
            seen = await watch(camera.url(), 20)
            seen.assert_whole(20)
            return asyncio.get_running_loop().time() - seen.pictures[-1].received_ns / 1e9

    assert run_steadily(go()) < 1.5


@pytest.mark.parametrize("host", ["[::1]", "localhost"])
def test_an_address_may_be_a_name_or_ipv6(host: str) -> None:
    """`localhost` may have an IPv6 address, which refuses the connection."""

    async def go() -> None:
        async with OddCamera(host="::1" if host == "[::1]" else "127.0.0.1") as camera:
            seen = await watch(camera.url().replace(camera.host, host, 1))
        seen.assert_whole()

    run_steadily(go())
