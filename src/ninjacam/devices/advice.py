"""Advice about the settings of a device, in one sentence each."""

from collections.abc import Iterable
from dataclasses import dataclass

from ninjacam.core.texts import Sentence, gettext_noop, sentence
from ninjacam.devices.description import DeviceDescription
from ninjacam.onvif.media import Encoder

MAX_KEY_FRAME_INTERVAL_S = 4.0
WANTED_KEY_FRAME_INTERVAL_S = 2.0
MIN_KEY_FRAME_INTERVAL_S = 0.5
MIN_FPS = 8.0
MAX_CLOCK_OFFSET_S = 5.0
_BITS_PER_PIXEL = {"H264": (0.03, 0.08, 0.3), "H265": (0.02, 0.05, 0.2)}
"""Bits per pixel and frame: too few for movement, usual, more than visible. Rules of thumb from encoder guides.
"""


@dataclass(frozen=True, slots=True)
class Advice:
    """One recommendation. `code`: identifies it for user interfaces. `message`: the effect, and the setting to
    change."""

    code: str
    message: str


def advise_encoder(encoder: Encoder) -> list[Advice]:
    """Return advice on the settings of an encoder. Values that the camera does not report cause none."""
    return [*_advise_codec(encoder), *_advise_key_frames(encoder), *_advise_rates(encoder)]


def _advise_codec(encoder: Encoder) -> Iterable[Advice]:
    if encoder.codec == "H265":
        yield Advice(
            "h265",
            gettext_noop("Not all browsers play H.265; set H.264 if the video stays black in one of them."),
        )
    if encoder.codec == "JPEG":
        yield Advice(
            "jpeg",
            gettext_noop("Motion JPEG takes several times the bandwidth and storage of H.264; set H.264."),
        )


def _advise_key_frames(encoder: Encoder) -> Iterable[Advice]:
    if not encoder.gop_frames or not encoder.fps or encoder.codec == "JPEG":
        return
    interval_s = encoder.gop_frames / encoder.fps
    frames = round(WANTED_KEY_FRAME_INTERVAL_S * encoder.fps)
    if interval_s > MAX_KEY_FRAME_INTERVAL_S:
        yield Advice(
            "key_frames_rare",
            sentence(
                "A key frame every %(s)s s delays the first picture; set 2 s (%(frames)s frames).",
                s=f"{interval_s:.3g}",
                frames=frames,
            ),
        )
    elif interval_s < MIN_KEY_FRAME_INTERVAL_S:
        yield Advice(
            "key_frames_frequent",
            sentence(
                "A key frame every %(s)s s wastes bandwidth; set 2 s (%(frames)s frames).",
                s=f"{interval_s:.2g}",
                frames=frames,
            ),
        )


def _advise_rates(encoder: Encoder) -> Iterable[Advice]:
    if 0 < encoder.fps < MIN_FPS:
        yield Advice(
            "fps_low",
            sentence(
                "At %(fps)s frames per second, movement is jerky; set 10 to 25 frames.",
                fps=f"{encoder.fps:g}",
            ),
        )
    limits = _BITS_PER_PIXEL.get(encoder.codec)
    pixels_per_s = encoder.width_px * encoder.height_px * encoder.fps
    if limits is None or not pixels_per_s or not encoder.bitrate_kbps:
        return
    low, usual, high = limits
    bits = 1000 * encoder.bitrate_kbps / pixels_per_s
    kbps = max(64, round(usual * pixels_per_s / 1000 / 64) * 64)
    size = f"{encoder.width_px}x{encoder.height_px}"
    if bits < low:
        yield Advice(
            "bitrate_low",
            sentence(
                "%(now)s kbit/s is little for %(size)s at %(fps)s frames per second, so movement blurs; set about "
                "%(wanted)s kbit/s.",
                now=encoder.bitrate_kbps,
                size=size,
                fps=f"{encoder.fps:g}",
                wanted=kbps,
            ),
        )
    elif bits > high:
        yield Advice(
            "bitrate_high",
            sentence(
                "%(now)s kbit/s fills the disk without a better picture; %(wanted)s kbit/s are usual for %(size)s.",
                now=encoder.bitrate_kbps,
                wanted=kbps,
                size=size,
            ),
        )


def advise_device(found: DeviceDescription) -> list[Advice]:
    """Return advice on the device as a whole."""
    advice = []
    if abs(found.clock_offset_s) > MAX_CLOCK_OFFSET_S:
        duration = _duration(abs(found.clock_offset_s))
        if found.clock_offset_s > 0:
            message = sentence(
                "The camera's clock is %(duration)s ahead, so the time in its picture is wrong; set it, or enable NTP "
                "in the camera.",
                duration=duration,
            )
        else:
            message = sentence(
                "The camera's clock is %(duration)s behind, so the time in its picture is wrong; set it, or enable NTP "
                "in the camera.",
                duration=duration,
            )
        advice.append(Advice("clock", message))
    if len(found.profiles) == 1 and found.profiles[0].encoder.width_px > 1000:
        advice.append(
            Advice(
                "one_profile",
                gettext_noop(
                    "The camera has only one video profile, so small pictures use the large stream; add a profile of "
                    "about 640x360 in the camera."
                ),
            )
        )
    return advice


def _duration(seconds: float) -> Sentence:
    if seconds >= 2 * 86_400:
        return sentence("%(days)s days", days=f"{seconds / 86_400:.0f}")
    if seconds >= 2 * 3600:
        return sentence("%(hours)s hours", hours=f"{seconds / 3600:.0f}")
    if seconds >= 2 * 60:
        return sentence("%(minutes)s minutes", minutes=f"{seconds / 60:.0f}")
    return sentence("%(seconds)s seconds", seconds=f"{seconds:.0f}")
