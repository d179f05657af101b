"""Ninjacam's settings: the one dict `NINJACAM` of Django's settings, as a typed value with defaults.

    NINJACAM = {"DATA_DIR": BASE_DIR / "data", "CAMERAS_PER_CAPTURE": 32}

`get_settings()` is cached and follows `override_settings`. A key that is not in the table below is an error.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

from ninjacam.core.decode_devices import DECODE_DEVICES, SOFTWARE
from ninjacam.core.errors import ConfigError
from ninjacam.engine.retention import RetentionRules
from ninjacam.sources.publish import PublishPorts

OWN_CERTIFICATE = "tls.pem"
"""Name of the file in the data directory with the self-signed certificate and its private key."""


def _default_workers() -> int:
    return min(4, os.cpu_count() or 2)


@dataclass(frozen=True, slots=True)
class Settings:
    """The keys of `NINJACAM` (upper case in the setting).

    `data_dir`: default `BASE_DIR/ninjacam_data`. `run_dir`: sockets, locks and status.json; default
    `<data_dir>/run`. `recordings_dir`: default `<data_dir>/recordings`. `exports_dir`: default
    `<data_dir>/exports`.

    `retention`: a dict of "bytes" (all recordings), "bytes_per_camera" and "days", each 0 for no limit, and
    "free_bytes", the space to keep free on the disk.

    `secret_keys`: keys that encrypt the camera credentials; the first one encrypts, all of them decrypt.
    Default: Django's SECRET_KEY and SECRET_KEY_FALLBACKS.

    `processors_module`: name of the module in each app that contains processors. `reload`: import it again when
    it is saved; default DEBUG. `vision_workers`: number of processes that run user code. `cameras_per_capture`:
    number of cameras in one capture process. `decode`: the device that decodes video: "software", "cuda", "vaapi",
    "qsv", or "auto" for the first of these that works.

    `allowed_networks`: CIDR networks of cameras; empty allows all but link-local addresses.
    `files_dir`: the directory of `file:` cameras; if empty, none can be added.

    `export_bytes_per_user`, `exports_per_user`, `active_exports_per_user`: limits on the size of one user's
    exports, their number, and the number that are queued or running. `events_per_minute`: maximum number of
    events of one camera that a user or token may create, in each web worker. `events_per_camera`: maximum number of
    stored events. `audit_days`, `audit_entries`: maximum age and number of the entries of the audit log.
    `snapshot_bytes`: maximum size of the snapshots of all events together; 0: none are stored.

    `push_networks`: CIDR networks that push services may be in, besides public addresses. `app_name`: the name of
    the application that browsers install.

    `max_viewers_per_worker`, `send_timeout_s`, `reauth_s` (how often the permission of an open stream is
    checked again) and `mjpeg_quality` (1 to 100) apply to live streams. `max_connections_per_worker`: TCP
    connections of an ASGI worker; above it, the connections that have been idle longest are closed.
    `trusted_proxies`: CIDR networks of the proxies whose X-Forwarded-For header is trusted; default: this host.

    `rtmp_port`, `rtsp_port`: the ports on which cameras with the URL `push:` publish; 0: closed, the default.
    `bind_host`: the address of these ports; default: all. `tls_certificate`, `tls_key`: PEM files for
    encrypted publishing on the same ports (rtmps, rtsps); loaded again when they are replaced. `tls`: `ninjacam_serve`
    uses https with that certificate or, without one, with a self-signed certificate in the data directory.
    """

    data_dir: Path
    run_dir: Path
    recordings_dir: Path
    exports_dir: Path
    secret_keys: tuple[str, ...] = field(repr=False)
    retention: RetentionRules = field(default_factory=RetentionRules)
    processors_module: str = "cameras"
    reload: bool = False
    vision_workers: int = field(default_factory=_default_workers)
    cameras_per_capture: int = 16
    decode: str = SOFTWARE
    allowed_networks: tuple[str, ...] = ()
    files_dir: str = ""
    push_networks: tuple[str, ...] = ()
    app_name: str = "Ninjacam"
    export_bytes_per_user: int = 20 << 30
    exports_per_user: int = 100
    active_exports_per_user: int = 5
    events_per_minute: int = 120
    events_per_camera: int = 100_000
    audit_days: int = 365
    audit_entries: int = 100_000
    snapshot_bytes: int = 1 << 30
    max_viewers_per_worker: int = 500
    send_timeout_s: float = 10.0
    reauth_s: float = 5.0
    mjpeg_quality: int = 80
    max_connections_per_worker: int = 2048
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    bind_host: str = ""
    rtmp_port: int = 0
    rtsp_port: int = 0
    tls_certificate: str = ""
    tls_key: str = ""
    tls: bool = False

    @property
    def has_own_certificate(self) -> bool:
        """Return whether the certificate is the self-signed one in the data directory."""
        return self.tls and not self.tls_certificate

    @property
    def certificate(self) -> str:
        """Return the path of the certificate, or ""."""
        return str(self.data_dir / OWN_CERTIFICATE) if self.has_own_certificate else self.tls_certificate

    @property
    def publish_ports(self) -> PublishPorts:
        return PublishPorts(self.bind_host, self.rtmp_port, self.rtsp_port, self.certificate, self.tls_key)

    @property
    def models_dir(self) -> Path:
        return self.data_dir / "models"

    @property
    def snapshots_dir(self) -> Path:
        return self.data_dir / "snapshots"

    @property
    def status_path(self) -> Path:
        return self.run_dir / "status.json"


def _path(value: Any) -> Path:
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise TypeError("a path")
    return Path(value).absolute()


def _text(value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise TypeError("a string")
    return str(value)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 45 or not value.isprintable():
        raise ValueError("a name of 1 to 45 characters")
    return value.strip()


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(item, str) and item for item in value):
        raise TypeError("a list of strings")
    return tuple(value)


def _networks(value: Any) -> tuple[str, ...]:
    return tuple(str(ip_network(item)) for item in _texts(value))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("True or False")
    return value


def _count(least: int, most: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"an integer from {least} to {most}")
        return value

    return parse


def _one_of(names: tuple[str, ...]) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return str(value)

    return parse


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise ValueError("a number of seconds greater than 0")
    return float(value)


def _retention(value: Any) -> RetentionRules:
    names = {item.name for item in fields(RetentionRules)}
    if not isinstance(value, Mapping) or not set(value) <= names:
        raise TypeError(f"a dict of {', '.join(sorted(names))}")
    for name, limit in value.items():
        kinds = (int, float) if name == "days" else int
        if not isinstance(limit, kinds) or isinstance(limit, bool) or not limit >= 0:
            raise ValueError(f"a dict of numbers of 0 or more, including {name!r}")
    return RetentionRules(**value)


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "data_dir": _path,
    "run_dir": _path,
    "recordings_dir": _path,
    "exports_dir": _path,
    "retention": _retention,
    "secret_keys": _texts,
    "processors_module": _text,
    "reload": _flag,
    "vision_workers": _count(1, 64),
    "cameras_per_capture": _count(1, 256),
    "decode": _one_of(DECODE_DEVICES),
    "allowed_networks": _networks,
    "files_dir": _text,
    "push_networks": _networks,
    "app_name": _name,
    "export_bytes_per_user": _count(1, 1 << 60),
    "exports_per_user": _count(1, 100_000),
    "active_exports_per_user": _count(1, 1000),
    "events_per_minute": _count(1, 100_000),
    "events_per_camera": _count(1, 100_000_000),
    "audit_days": _count(1, 36_500),
    "audit_entries": _count(100, 100_000_000),
    "snapshot_bytes": _count(0, 1 << 60),
    "max_viewers_per_worker": _count(1, 100_000),
    "send_timeout_s": _seconds,
    "reauth_s": _seconds,
    "mjpeg_quality": _count(1, 100),
    "max_connections_per_worker": _count(16, 1_000_000),
    "trusted_proxies": _networks,
    "bind_host": _text,
    "rtmp_port": _count(0, 65_535),
    "rtsp_port": _count(0, 65_535),
    "tls_certificate": _text,
    "tls_key": _text,
    "tls": _flag,
}


FROM_ENVIRONMENT = ("DECODE", "RTMP_PORT", "RTSP_PORT", "TLS", "TLS_CERTIFICATE", "TLS_KEY")
"""Keys that `NINJACAM_<key>` in the environment overrides: `serve` passes its options to its processes this way.
"""


def parse_settings(given: Mapping[str, Any]) -> Settings:
    """Return the settings. Raises: ConfigError: a key is unknown, or a value is invalid."""
    known = {item.name.upper(): item.name for item in fields(Settings)}
    unknown = sorted(str(key) for key in given if key not in known)
    if unknown:
        raise ConfigError(
            f"Unknown key in the setting NINJACAM: {', '.join(unknown)}. Known keys are: {', '.join(sorted(known))}."
        )
    values: dict[str, Any] = {"reload": bool(settings.DEBUG)}
    for key, value in given.items():
        name = known[key]
        try:
            values[name] = _PARSERS[name](value)
        except (TypeError, ValueError) as error:
            shown = "" if name == "secret_keys" else f", not {value!r}"
            raise ConfigError(f"NINJACAM[{key!r}] must be {error}{shown}.") from error
    base = Path(getattr(settings, "BASE_DIR", "") or Path.cwd()).absolute()
    values.setdefault("data_dir", base / "ninjacam_data")
    values.setdefault("run_dir", values["data_dir"] / "run")
    values.setdefault("recordings_dir", values["data_dir"] / "recordings")
    values.setdefault("exports_dir", values["data_dir"] / "exports")
    if not values.get("secret_keys"):
        values["secret_keys"] = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return Settings(**values)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings. Raises: ConfigError: the setting NINJACAM is invalid."""
    given = getattr(settings, "NINJACAM", {})
    if not isinstance(given, Mapping):
        raise ConfigError("The setting NINJACAM must be a dict.")
    return parse_settings({**given, **_overrides(os.environ)})


def chosen_keys() -> set[str]:
    """Return the keys that the project or the environment sets."""
    return {*getattr(settings, "NINJACAM", {}), *_overrides(os.environ)}


def _overrides(environ: Mapping[str, str]) -> dict[str, Any]:
    """Raises: ConfigError."""
    found: dict[str, Any] = {}
    for key in FROM_ENVIRONMENT:
        text = environ.get(f"NINJACAM_{key}", "")
        if key.endswith("_PORT") and text:
            if not text.isdecimal():
                raise ConfigError(f"The environment variable NINJACAM_{key} must be a port, not {text!r}.")
            found[key] = int(text)
        elif key == "TLS":
            if text not in ("", "0", "1"):
                raise ConfigError(f"The environment variable NINJACAM_TLS must be 0 or 1, not {text!r}.")
            found |= {key: text == "1"} if text else {}
        elif text:
            found[key] = text
    return found


@receiver(setting_changed, dispatch_uid="ninjacam.conf")
def _forget(*, setting: str, **_: Any) -> None:
    if setting in {"NINJACAM", "SECRET_KEY", "SECRET_KEY_FALLBACKS", "DEBUG", "BASE_DIR"}:
        get_settings.cache_clear()
