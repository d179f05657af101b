"""The description of a device: identity, functions, clock, video profiles, and the corresponding streams."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ninjacam.core.errors import (
    AuthenticationError,
    CommandError,
    ConfigError,
    NotACameraError,
    NoVideoError,
    ProtocolError,
    SourceError,
    SourceTimeoutError,
)
from ninjacam.core.redact import redact_url
from ninjacam.core.streams import MAIN, MAX_STREAMS
from ninjacam.core.texts import sentence
from ninjacam.onvif import device, media
from ninjacam.onvif.client import OnvifClient, ServiceName
from ninjacam.onvif.media import Encoder, EncoderOptions
from ninjacam.onvif.recordings import RecordingSummary, get_recording_summary
from ninjacam.sources.urls import parse_url

MAX_PROFILES = 16
"""Maximum number of described profiles, each of which takes a request."""
TIMEOUT_S = 12.0
DETAILS_TIMEOUT_S = 3.0
"""Maximum seconds, within TIMEOUT_S, for details that a description may lack."""
MAX_SNAPSHOT_URL_CHARS = 1024
CODECS = ("H264", "H265", "JPEG")
"""The codecs of streams, as ONVIF names them."""
SUB = "sub"
_FUNCTIONS: tuple[ServiceName, ...] = ("ptz", "imaging", "events")


@dataclass(frozen=True, slots=True)
class VideoProfile:
    """A video stream of the device. `url`: at the device's host, without a login; empty: `error` contains the
    reason.

    `source`: token of the video source. A camera with several lenses has several sources. `snapshot_url`: of a JPEG
    image, at the device's host, without a login; empty: none.
    """

    token: str
    name: str
    source: str
    url: str
    error: str
    encoder: Encoder
    snapshot_url: str = ""

    @property
    def pixels(self) -> int:
        return self.encoder.width_px * self.encoder.height_px


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """The encoder of a profile, and its supported settings."""

    encoder: Encoder
    options: tuple[EncoderOptions, ...]


@dataclass(frozen=True, slots=True)
class DeviceDescription:
    """The description. `functions`: "ptz", "imaging", "events", "outputs". `clock_offset_s`: seconds by which its
    clock is ahead."""

    information: device.DeviceInformation
    functions: tuple[str, ...]
    clock_offset_s: float
    profiles: tuple[VideoProfile, ...]
    recordings: RecordingSummary | None = None
    """The recordings that the device itself keeps; None: it has no such service."""


async def describe_device(client: OnvifClient) -> DeviceDescription:
    """Return the full description of a device. Raises: SourceTimeoutError: it takes too long; SourceError,
    CommandError."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + TIMEOUT_S
    try:
        async with asyncio.timeout_at(deadline_s):
            found, videos = await _describe(client)
    except TimeoutError as exc:
        raise SourceTimeoutError(
            sentence(
                "The camera did not describe itself within %(timeout_s)s s: check its network.",
                timeout_s=f"{TIMEOUT_S:g}",
            )
        ) from exc
    return await _add_details(client, found, videos, min(deadline_s, loop.time() + DETAILS_TIMEOUT_S))


async def _describe(client: OnvifClient) -> tuple[DeviceDescription, list[media.MediaProfile]]:
    """Return the description without its details, and the profiles that it describes."""
    offset_s = await client.get_clock_offset()
    # Must come first: an invalid login fails here, and is not repeated.
    listed = await media.list_profiles(client)
    try:
        information = await device.get_information(client)
    except (CommandError, AuthenticationError):
        information = device.DeviceInformation()
    functions = [name for name in _FUNCTIONS if await client.has_service(name)]
    try:
        relays = await device.list_relays(client)
    except (CommandError, AuthenticationError):
        relays = []
    videos = [profile for profile in listed[:MAX_PROFILES] if profile.encoder is not None]
    profiles = [
        await _profile(client, profile, profile.encoder) for profile in videos if profile.encoder is not None
    ]
    found = DeviceDescription(
        information, (*functions, *(("outputs",) if relays else ())), offset_s, tuple(profiles)
    )
    return found, videos


async def _add_details(
    client: OnvifClient, found: DeviceDescription, videos: Sequence[media.MediaProfile], until_s: float
) -> DeviceDescription:
    """Return the description with the details that the device returns before `until_s`, of the loop's clock."""
    profiles = list(found.profiles)
    # A device that does not answer, or rejects the login, must not be asked for the rest.
    with contextlib.suppress(TimeoutError, SourceError):
        async with asyncio.timeout_at(until_s):
            for number, video in enumerate(videos):
                profiles[number] = replace(profiles[number], snapshot_url=await _snapshot_url(client, video))
            found = replace(found, recordings=await _recordings(client))
    return replace(found, profiles=tuple(profiles))


async def _snapshot_url(client: OnvifClient, profile: media.MediaProfile) -> str:
    """Return the URL of a profile's snapshot; empty: it has none that can be used. Raises: SourceError: the device
    does not answer, or rejects the login."""
    try:
        url = await media.get_snapshot_url(client, profile)
    except (CommandError, ProtocolError, NoVideoError):
        return ""
    return url if len(url) <= MAX_SNAPSHOT_URL_CHARS else ""


async def _recordings(client: OnvifClient) -> RecordingSummary | None:
    """Return the recordings of the device, if it returns them. Raises: as `_snapshot_url`."""
    try:
        return await get_recording_summary(client)
    except (CommandError, ProtocolError, NotACameraError):
        return None


async def _profile(client: OnvifClient, profile: media.MediaProfile, encoder: Encoder) -> VideoProfile:
    url, error = "", ""
    try:
        url = await media.get_stream_url(client, profile)
    except (CommandError, ProtocolError, NoVideoError) as exc:
        error = exc.message
    return VideoProfile(profile.token, profile.name, profile.source, url, error, encoder)


def name_streams(profiles: Sequence[VideoProfile], present: Mapping[str, str]) -> dict[str, str]:
    """Return the names of a camera's streams by token of their profile: existing streams, and those to add.

    `present`: the URLs of existing streams by name. The profile with the URL of `main`, or else the largest one, is
    `main`. The others of this video source are `sub`, `sub2` …, the smallest first. Profiles that share an encoder
    or a URL are one stream. Unsupported profiles have no name.
    """
    usable = [each for each in profiles if each.url and each.encoder.codec in CODECS]
    usable = [each for each in usable if each.source == usable[0].source]
    named = known_streams(usable, present)
    rest = sorted(_distinct(usable, named), key=lambda each: each.pixels)
    if rest and MAIN not in named.values():
        named[rest.pop().token] = MAIN
    room = MAX_STREAMS - len(present.keys() - {MAIN})
    free = [name for name in _sub_names() if name not in present][:room]
    return named | {each.token: name for each, name in zip(rest, free, strict=False)}


def known_streams(profiles: Sequence[VideoProfile], present: Mapping[str, str]) -> dict[str, str]:
    """Return the names of existing streams, by token of the profile with the same URL."""
    known = {_address(url): name for name, url in present.items()}
    return {each.token: known[_address(each.url)] for each in profiles if _address(each.url) in known}


def _sub_names() -> list[str]:
    return [SUB, *(f"{SUB}{number}" for number in range(2, 2 * MAX_STREAMS))]


def _distinct(usable: list[VideoProfile], named: Mapping[str, str]) -> list[VideoProfile]:
    """Return the profiles without a name that are not duplicates of another one."""
    seen = {key for each in usable if each.token in named for key in _identity(each)}
    found = []
    for each in usable:
        if each.token not in named and not seen.intersection(_identity(each)):
            found.append(each)
        seen.update(_identity(each))
    return found


def _identity(profile: VideoProfile) -> set[tuple[str, ...]]:
    encoder = {("encoder", profile.encoder.token)} if profile.encoder.token else set()
    return {("url", *_address(profile.url)), *encoder}


def _address(url: str) -> tuple[str, ...]:
    """Return a key that is equal for different spellings of one address, such as with a default port."""
    url = redact_url(url)  # Stored addresses are redacted, too.
    try:
        target = parse_url(url)
    except ConfigError:
        return (url,)
    return (target.scheme, target.host, str(target.port), target.path)
