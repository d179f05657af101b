"""Advice about the settings of a device, in one sentence each."""

from collections.abc import Iterable
from dataclasses import dataclass

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
            "h265", "Not all browsers play H.265; set H.264 if the video stays black in one of them."
        )
    if encoder.codec == "JPEG":
        yield Advice("jpeg", "Motion JPEG takes several times the bandwidth and storage of H.264; set H.264.")


def _advise_key_frames(encoder: Encoder) -> Iterable[Advice]:
    if not encoder.gop_frames or not encoder.fps or encoder.codec == "JPEG":
        return
    interval_s = encoder.gop_frames / encoder.fps
    frames = round(WANTED_KEY_FRAME_INTERVAL_S * encoder.fps)
    if interval_s > MAX_KEY_FRAME_INTERVAL_S:
        yield Advice(
            "key_frames_rare",
            f"A key frame every {interval_s:.3g} s delays the first picture; set 2 s ({frames} frames).",
        )
    elif interval_s < MIN_KEY_FRAME_INTERVAL_S:
        yield Advice(
            "key_frames_frequent",
            f"A key frame every {interval_s:.2g} s wastes bandwidth; set 2 s ({frames} frames).",
        )


def _advise_rates(encoder: Encoder) -> Iterable[Advice]:
    if 0 < encoder.fps < MIN_FPS:
        yield Advice(
            "fps_low", f"At {encoder.fps:g} frames per second, movement is jerky; set 10 to 25 frames."
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
            f"{encoder.bitrate_kbps} kbit/s is little for {size} at {encoder.fps:g} frames per second, so movement "
            f"blurs; set about {kbps} kbit/s.",
        )
    elif bits > high:
        yield Advice(
            "bitrate_high",
            f"{encoder.bitrate_kbps} kbit/s fills the disk without a better picture; {kbps} kbit/s are usual for "
            f"{size}.",
        )


def advise_device(found: DeviceDescription) -> list[Advice]:
    """Return advice on the device as a whole."""
    advice = []
    if abs(found.clock_offset_s) > MAX_CLOCK_OFFSET_S:
        direction = "ahead" if found.clock_offset_s > 0 else "behind"
        advice.append(
            Advice(
                "clock",
                f"The camera's clock is {_duration(abs(found.clock_offset_s))} {direction}, so the time in its picture "
                "is wrong; set it, or enable NTP in the camera.",
            )
        )
    if len(found.profiles) == 1 and found.profiles[0].encoder.width_px > 1000:
        advice.append(
            Advice(
                "one_profile",
                "The camera has only one video profile, so small pictures use the large stream; add a profile of about "
                "640x360 in the camera.",
            )
        )
    return advice


def _duration(seconds: float) -> str:
    for unit, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} seconds"
