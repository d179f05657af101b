"""Profiles, URLs of streams and snapshots, and encoder settings (ONVIF Media and Media2).

Media2 is preferred if the device supports it: only Media2 describes H.265.
"""

from dataclasses import asdict, dataclass, field, replace

from ninjacam.core.errors import CommandError, CommandRejectedError, NoVideoError, ProtocolError
from ninjacam.core.texts import sentence
from ninjacam.onvif.client import OnvifClient, ServiceName
from ninjacam.onvif.xml import Element, escape, printable

MAX_PROFILES = 64
MAX_SNAPSHOT_BYTES = 16 << 20
_STREAM_SCHEMES = ("rtsp", "rtsps", "http", "https")


@dataclass(frozen=True, slots=True)
class Encoder:
    """Settings of a video encoder. `bitrate_kbps`, `gop_frames`: 0: unknown."""

    token: str
    codec: str
    width_px: int
    height_px: int
    fps: float
    bitrate_kbps: int
    gop_frames: int
    quality: float = 0.0
    profile: str = ""
    """H.264 or H.265 profile, such as "Main"."""


@dataclass(frozen=True, slots=True)
class EncoderChanges:
    """The settings of an encoder to change; None: unchanged."""

    codec: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None
    bitrate_kbps: int | None = None
    gop_frames: int | None = None

    def apply_to(self, encoder: Encoder) -> Encoder:
        changed = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(encoder, **changed)


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """The supported settings of an encoder, for one codec. Ranges are (minimum, maximum); None: unknown.

    `fps`: the frame rates that the camera lists; empty: any within `fps_range`.
    """

    codec: str
    sizes: tuple[tuple[int, int], ...] = ()
    fps: tuple[float, ...] = ()
    fps_range: tuple[float, float] | None = None
    bitrate_kbps: tuple[int, int] | None = None
    gop_frames: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class MediaProfile:
    """A media profile: a video source with an encoder, and a PTZ configuration if it can move."""

    token: str
    name: str
    source: str = ""
    encoder: Encoder | None = None
    ptz_token: str = ""
    ptz_node: str = ""
    service: ServiceName = field(default="media", compare=False)

    @property
    def pixels(self) -> int:
        return self.encoder.width_px * self.encoder.height_px if self.encoder else 0


async def list_profiles(client: OnvifClient) -> list[MediaProfile]:
    """Return the profiles in the device's order. Raises: SourceError, CommandError."""
    if await client.has_service("media2"):
        try:
            answer = await client.call("media2", "GetProfiles", "<Type>All</Type>")
        except CommandError:
            answer = Element("")
        if answer.children:
            return _profiles(answer, "media2")
    return _profiles(await client.call("media", "GetProfiles"), "media")


def _profiles(answer: Element, service: ServiceName) -> list[MediaProfile]:
    return [
        profile
        for found in answer.find_all("Profiles")[:MAX_PROFILES]
        if (profile := _profile(found, service)).token
    ]


def _profile(found: Element, service: ServiceName) -> MediaProfile:
    configurations = found.find("Configurations") or found

    def part(name: str) -> Element:
        return configurations.find(name) or configurations.find(f"{name}Configuration") or Element(name)

    encoder, ptz = part("VideoEncoder"), part("PTZ")
    return MediaProfile(
        token=_token(found),
        name=printable(found.get_text("Name"), 80),
        source=part("VideoSource").get_text("SourceToken")[:64],
        encoder=_encoder(encoder) if encoder.children else None,
        ptz_token=_token(ptz),
        ptz_node=ptz.get_text("NodeToken")[:64],
        service=service,
    )


def _token(element: Element) -> str:
    token = element.attributes.get("token", "")
    return token if len(token) <= 64 else ""


def _encoder(found: Element) -> Encoder:
    codec = printable(found.get_text("Encoding"), 20).upper()
    specific = found.find(codec) or Element("")
    return Encoder(
        token=_token(found),
        codec=codec,
        width_px=_count(found.get_int("Resolution", "Width")),
        height_px=_count(found.get_int("Resolution", "Height")),
        fps=max(0.0, min(1000.0, found.get_float("RateControl", "FrameRateLimit") or 0.0)),
        bitrate_kbps=_count(found.get_int("RateControl", "BitrateLimit")),
        gop_frames=_count(specific.get_int("GovLength") or _attribute(found, "GovLength")),
        quality=found.get_float("Quality") or 0.0,
        profile=printable(found.attributes.get("Profile", "") or specific.get_text(f"{codec}Profile"), 20),
    )


def _attribute(element: Element, name: str) -> int | None:
    text = element.attributes.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _count(value: int | None) -> int:
    return value if value is not None and 0 < value < 10**9 else 0


async def get_stream_url(client: OnvifClient, profile: MediaProfile) -> str:
    """Return the RTSP URL of a profile, without a login and at the host of the device.

    Raises: ProtocolError: it is malformed or on another host; SourceError, CommandError.
    """
    token = escape(profile.token)
    if profile.service == "media2":
        content = f"<Protocol>RTSP</Protocol><ProfileToken>{token}</ProfileToken>"
        uri = (await client.call("media2", "GetStreamUri", content)).get_text("Uri")
    else:
        content = (
            "<StreamSetup><t:Stream>RTP-Unicast</t:Stream><t:Transport><t:Protocol>RTSP</t:Protocol></t:Transport>"
            f"</StreamSetup><ProfileToken>{token}</ProfileToken>"
        )
        uri = (await client.call("media", "GetStreamUri", content)).get_text("MediaUri", "Uri")
    if not uri:
        raise NoVideoError(
            sentence(
                "The camera names no address for its profile “%(profile)s”.",
                profile=profile.name or profile.token,
            )
        )
    return await client.check_url(uri, _STREAM_SCHEMES)


async def get_snapshot_url(client: OnvifClient, profile: MediaProfile) -> str:
    """Return the URL of a JPEG image. Raises: as `get_stream_url`."""
    content = f"<ProfileToken>{escape(profile.token)}</ProfileToken>"
    answer = await client.call(profile.service, "GetSnapshotUri", content)
    uri = answer.get_text("MediaUri", "Uri") or answer.get_text("Uri")
    if not uri:
        raise NoVideoError("The camera names no address for a snapshot.")
    return await client.check_url(uri, ("http", "https"))


async def get_snapshot(client: OnvifClient, profile: MediaProfile) -> bytes:
    """Return a JPEG image. Raises: ProtocolError: it is not one; SourceError, CommandError."""
    response = await client.get(await get_snapshot_url(client, profile), max_body_bytes=MAX_SNAPSHOT_BYTES)
    if response.status != 200 or not response.body.startswith(b"\xff\xd8"):
        raise ProtocolError(
            sentence(
                "The camera sends no JPEG image as its snapshot (HTTP status %(status)s).",
                status=response.status,
            )
        )
    return response.body


# --- encoder settings ---


async def get_encoder_options(client: OnvifClient, profile: MediaProfile) -> list[EncoderOptions]:
    """Return the supported settings of a profile's encoder, for each codec. Raises: SourceError, CommandError."""
    encoder = _required_encoder(profile)
    content = (
        f"<ConfigurationToken>{escape(encoder.token)}</ConfigurationToken>"
        f"<ProfileToken>{escape(profile.token)}</ProfileToken>"
    )
    answer = await client.call(profile.service, "GetVideoEncoderConfigurationOptions", content)
    if profile.service == "media2":
        return [_options(found.get_text("Encoding"), found) for found in answer.find_all("Options")[:16]]
    options = answer.find("Options") or Element("")
    return [
        _options(name, found)
        for name in ("JPEG", "H264", "H265")
        if (found := options.find("Extension", name) or options.find(name)) is not None
    ]


def _options(codec: str, found: Element) -> EncoderOptions:
    sizes = [
        (_count(size.get_int("Width")), _count(size.get_int("Height")))
        for size in found.find_all("ResolutionsAvailable")[:64]
    ]
    rates = _range(found.find("FrameRateRange"))
    return EncoderOptions(
        codec=printable(codec, 20).upper(),
        sizes=tuple(size for size in sizes if all(size)),
        fps=_listed_rates(found),
        fps_range=(float(rates[0]), float(rates[1])) if rates else None,
        bitrate_kbps=_range(found.find("BitrateRange")),
        gop_frames=_range(found.find("GovLengthRange"))
        or _listed(found.attributes.get("GovLengthRange", "")),
    )


def _listed_rates(found: Element) -> tuple[float, ...]:
    """Return the frame rates that Media2 lists, ascending."""
    listed = found.attributes.get("FrameRatesSupported", "").split()[:64]
    return tuple(
        sorted(float(text) for text in listed if text.replace(".", "", 1).isdigit() and len(text) < 9)
    )


def _range(found: Element | None) -> tuple[int, int] | None:
    low, high = (found.get_int("Min"), found.get_int("Max")) if found else (None, None)
    return (low, high) if low is not None and high is not None and low <= high else None


def _listed(text: str) -> tuple[int, int] | None:
    numbers = [int(part) for part in text.split()[:64] if part.isascii() and part.isdigit() and len(part) < 9]
    return (min(numbers), max(numbers)) if numbers else None


async def set_encoder(client: OnvifClient, profile: MediaProfile, wanted: Encoder) -> None:
    """Change the encoder of a profile. Settings that `wanted` omits are unchanged.

    The stream usually restarts. Raises: CommandRejectedError: the camera does not offer the value; SourceError,
    CommandError.
    """
    present = _required_encoder(profile)
    _check_options(await get_encoder_options(client, profile), wanted)
    if wanted.codec != present.codec:
        wanted = replace(wanted, profile="")  # Profiles of another codec do not apply.
    if profile.service == "media2":
        content = _media2_encoder(replace(wanted, token=present.token))
    else:
        content = await _media1_encoder(client, replace(wanted, token=present.token))
    await client.call(profile.service, "SetVideoEncoderConfiguration", content)


def _required_encoder(profile: MediaProfile) -> Encoder:
    if profile.encoder is None or not profile.encoder.token:
        raise CommandRejectedError(
            sentence("The profile “%(profile)s” has no encoder.", profile=profile.name or profile.token)
        )
    return profile.encoder


def _check_options(options: list[EncoderOptions], wanted: Encoder) -> None:
    """Raises: CommandRejectedError."""
    offered = next((each for each in options if each.codec == wanted.codec), None)
    if offered is None:
        codecs = ", ".join(each.codec for each in options)
        raise CommandRejectedError(
            sentence(
                "The camera does not offer %(codec)s. It offers: %(codecs)s.",
                codec=printable(wanted.codec, 20),
                codecs=codecs,
            )
        )
    if offered.sizes and (wanted.width_px, wanted.height_px) not in offered.sizes:
        sizes = ", ".join(f"{width}x{height}" for width, height in offered.sizes)
        raise CommandRejectedError(
            sentence(
                "The camera does not offer %(width_px)sx%(height_px)s. It offers: %(sizes)s.",
                width_px=wanted.width_px,
                height_px=wanted.height_px,
                sizes=sizes,
            )
        )
    _check_rate(offered, wanted.fps)
    for name, value, limits in (
        ("a bitrate", wanted.bitrate_kbps, offered.bitrate_kbps),
        ("a key-frame interval", wanted.gop_frames, offered.gop_frames),
    ):
        if value and limits and not limits[0] <= value <= limits[1]:
            raise CommandRejectedError(
                sentence(
                    "The camera offers %(name)s of %(low)s to %(high)s.",
                    name=name,
                    low=limits[0],
                    high=limits[1],
                )
            )


def _check_rate(offered: EncoderOptions, fps: float) -> None:
    """Raises: CommandRejectedError."""
    if offered.fps and fps not in offered.fps:
        rates = ", ".join(f"{each:g}" for each in offered.fps)
        raise CommandRejectedError(
            sentence(
                "The camera does not offer %(fps)s frames per second. It offers: %(rates)s.",
                fps=f"{fps:g}",
                rates=rates,
            )
        )
    if not offered.fps and offered.fps_range and not offered.fps_range[0] <= fps <= offered.fps_range[1]:
        low, high = offered.fps_range
        raise CommandRejectedError(
            sentence(
                "The camera offers %(low)s to %(high)s frames per second.", low=f"{low:g}", high=f"{high:g}"
            )
        )


def _media2_encoder(wanted: Encoder) -> str:
    profile = f' Profile="{escape(wanted.profile)}"' if wanted.profile else ""
    gop = f' GovLength="{wanted.gop_frames}"' if wanted.gop_frames else ""
    return (
        f'<Configuration token="{escape(wanted.token)}"{gop}{profile}><t:Name>{escape(wanted.token)}</t:Name>'
        f"<t:UseCount>0</t:UseCount><t:Encoding>{escape(wanted.codec)}</t:Encoding>{_size(wanted)}"
        f"<t:RateControl><t:FrameRateLimit>{wanted.fps:g}</t:FrameRateLimit>"
        f"<t:BitrateLimit>{wanted.bitrate_kbps}</t:BitrateLimit></t:RateControl>"
        f"<t:Quality>{wanted.quality:g}</t:Quality></Configuration>"
    )


def _size(wanted: Encoder) -> str:
    return f"<t:Resolution><t:Width>{wanted.width_px}</t:Width><t:Height>{wanted.height_px}</t:Height></t:Resolution>"


async def _media1_encoder(client: OnvifClient, wanted: Encoder) -> str:
    """Return the encoder for Media, which also requires the multicast address and the timeout. They are read and
    sent back."""
    content = f"<ConfigurationToken>{escape(wanted.token)}</ConfigurationToken>"
    answer = await client.call("media", "GetVideoEncoderConfiguration", content)
    now = answer.find("Configuration") or Element("")
    multicast = now.find("Multicast") or Element("")
    address = multicast.get_text("Address", "IPv4Address", default="0.0.0.0")  # noqa: S104 (none)
    specific = ""
    if wanted.codec in ("H264", "H265") and wanted.gop_frames:
        profile = wanted.profile or "Main"
        specific = (
            f"<t:{wanted.codec}><t:GovLength>{wanted.gop_frames}</t:GovLength>"
            f"<t:{wanted.codec}Profile>{escape(profile)}</t:{wanted.codec}Profile></t:{wanted.codec}>"
        )
    interval = now.get_int("RateControl", "EncodingInterval") or 1
    return (
        f'<Configuration token="{escape(wanted.token)}"><t:Name>{escape(now.get_text("Name"))}</t:Name>'
        f"<t:UseCount>{_count(now.get_int('UseCount'))}</t:UseCount><t:Encoding>{escape(wanted.codec)}</t:Encoding>"
        f"{_size(wanted)}<t:Quality>{wanted.quality:g}</t:Quality><t:RateControl>"
        f"<t:FrameRateLimit>{round(wanted.fps)}</t:FrameRateLimit><t:EncodingInterval>{interval}</t:EncodingInterval>"
        f"<t:BitrateLimit>{wanted.bitrate_kbps}</t:BitrateLimit></t:RateControl>{specific}"
        f"<t:Multicast><t:Address><t:Type>IPv4</t:Type><t:IPv4Address>{escape(address)}</t:IPv4Address></t:Address>"
        f"<t:Port>{_count(multicast.get_int('Port'))}</t:Port><t:TTL>{_count(multicast.get_int('TTL'))}</t:TTL>"
        f"<t:AutoStart>false</t:AutoStart></t:Multicast>"
        f"<t:SessionTimeout>{escape(now.get_text('SessionTimeout', default='PT60S'))}</t:SessionTimeout>"
        "</Configuration><ForcePersistence>true</ForcePersistence>"
    )
