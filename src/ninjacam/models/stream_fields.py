"""What the camera's own stream and its others have in common: address, credentials, and the format last seen."""

from typing import Literal, Protocol

from django.db import models
from django.utils.translation import gettext_lazy as _

from ninjacam.conf import get_settings
from ninjacam.core.errors import ConfigError
from ninjacam.core.redact import redact_url, split_credentials
from ninjacam.credentials import Credentials, fingerprint, seal, unseal
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.urls import binding_of

_TRANSPORTS: dict[str, Literal["tcp", "udp", "multicast"]] = {"udp": "udp", "multicast": "multicast"}


class StreamOwner(Protocol):
    """The camera: the settings that all its streams share."""

    transport: str
    verify_tls: bool
    audio: bool
    sleeps: bool


class StreamFields(models.Model):
    """One stream: its address, and its format as it was last seen.

    `url` may be shown: it contains no user info, and secret query values are masked. `credentials` holds the secret
    parts, encrypted. `codec`, `width_px`, `height_px`, `fps`, `bitrate_bps`: empty or 0, and `seen_at` None, until the
    engine has received the stream.
    """

    url = models.CharField(_("URL"), max_length=500, help_text=_("Without user and password."))
    credentials = models.TextField(_("credentials"), blank=True, default="", editable=False)
    codec = models.CharField(_("codec"), max_length=16, blank=True, default="", db_default="", editable=False)
    width_px = models.PositiveIntegerField(_("width"), default=0, db_default=0, editable=False)
    height_px = models.PositiveIntegerField(_("height"), default=0, db_default=0, editable=False)
    fps = models.FloatField(_("frame rate"), default=0, db_default=0, editable=False)
    bitrate_bps = models.PositiveBigIntegerField(_("bitrate"), default=0, db_default=0, editable=False)
    seen_at = models.DateTimeField(_("seen at"), null=True, editable=False)

    class Meta:
        abstract = True

    @property
    def has_credentials(self) -> bool:
        return bool(self.credentials)

    @property
    def owner(self) -> StreamOwner:
        """Return the camera, which has the settings that its streams share."""
        raise NotImplementedError

    def set_source(self, url: str, username: str = "", password: str = "") -> None:
        """Split a URL and credentials into public and encrypted fields. Does not save.

        User info in the URL is used if `username` and `password` are empty. The credentials are bound to the URL's
        scheme, host and port, and to the current `verify_tls` of the camera.
        Raises: ValueError: the URL cannot be parsed.
        """
        plain, url_username, url_password = split_credentials(url.strip())
        shown = redact_url(plain)
        if shown != self.url:  # Nothing is known of the new one.
            self.codec, self.width_px, self.height_px, self.fps, self.bitrate_bps = "", 0, 0, 0.0, 0
            self.seen_at = None
        self.url = shown
        self.credentials = seal(
            Credentials(
                username=username or url_username,
                password=password or url_password,
                url=plain if plain != shown else "",
                bound_to=binding_of(plain, verify_tls=self.owner.verify_tls),
            )
        )

    def source(self) -> SourceConfig:
        """Return how to reach it, with decrypted credentials.

        Raises: ConfigError: they cannot be decrypted, or were entered for another address or another TLS
        verification.
        """
        camera, secret = self.owner, unseal(self.credentials)
        if secret.bound_to not in ("", binding_of(secret.url or self.url, verify_tls=camera.verify_tls)):
            raise ConfigError(
                "The camera's address or its TLS verification has changed since its password was entered. "
                "Enter the user and password again."
            )
        config = get_settings()
        return SourceConfig(
            url=secret.url or self.url,
            username=secret.username,
            password=secret.password,
            transport=_TRANSPORTS.get(camera.transport, "tcp"),
            verify_tls=camera.verify_tls,
            audio=camera.audio,
            sleeps=camera.sleeps,
            allowed_networks=config.allowed_networks,
            files_dir=config.files_dir,
        )


def revision_of(source: SourceConfig) -> str:
    """Return what changes whenever the capture of this source must restart."""
    return fingerprint(
        source.url,
        source.username,
        source.password,
        source.transport,
        source.verify_tls,
        source.audio,
        source.sleeps,
        source.allowed_networks,
        source.files_dir,
        source.publish_keys,
    )
