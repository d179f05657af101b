"""The streams of a camera: what the camera's own stream and its others have in common, and the others' table."""

from dataclasses import replace
from typing import TYPE_CHECKING

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from ninjacam.conf import get_settings
from ninjacam.core.errors import ConfigError
from ninjacam.core.redact import redact_url, split_credentials
from ninjacam.core.streams import MAX_NAME_CHARS, NAME, StreamFacts, stream_key
from ninjacam.credentials import Credentials, fingerprint, seal, unseal
from ninjacam.engine.specs import StreamSpec
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.urls import binding_of

if TYPE_CHECKING:
    from ninjacam.models.camera import Camera


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
    def owner(self) -> "Camera":
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
            transport="udp" if camera.transport == "udp" else "tcp",
            verify_tls=camera.verify_tls,
            audio=camera.audio,
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
        source.allowed_networks,
        source.files_dir,
        source.publish_keys,
    )


class Stream(StreamFields):
    """Another stream of a camera, besides `main`, which is the camera's own URL."""

    camera = models.ForeignKey(
        "ninjacam.Camera", on_delete=models.CASCADE, related_name="streams", verbose_name=_("camera")
    )
    name = models.CharField(
        _("name"),
        max_length=MAX_NAME_CHARS,
        default="sub",
        validators=[
            RegexValidator(
                rf"^(?!main\Z){NAME}\Z",
                _(
                    "Use a-z, 0-9, - and _, starting with a letter or digit. “main” is the camera's own address."
                ),
            )
        ],
        help_text=_("Used in URLs: a-z, 0-9, - and _. The second stream is usually called “sub”."),
    )

    class Meta:
        verbose_name = _("stream")
        verbose_name_plural = _("streams")
        ordering = ["camera", "name"]
        constraints = [models.UniqueConstraint(fields=["camera", "name"], name="ninjacam_stream_name")]

    def __str__(self) -> str:
        return stream_key(self.camera.slug, self.name)

    @property
    def owner(self) -> "Camera":
        return self.camera

    @property
    def facts(self) -> StreamFacts:
        return StreamFacts(self.name, self.width_px)

    def source(self) -> SourceConfig:
        """As for a camera. Without a login of its own, it uses those of the camera, if they were entered for the
        same scheme, host, port and TLS verification. A password is never sent to another host.
        """
        found = super().source()
        if found.username or found.password:
            return found
        login = self._camera_login()
        return replace(found, username=login.username, password=login.password)

    def _camera_login(self) -> Credentials:
        """Raises: ConfigError: the camera's credentials cannot be decrypted."""
        camera = self.camera
        here = binding_of(self.url, verify_tls=camera.verify_tls)
        if not camera.credentials or binding_of(camera.url, verify_tls=camera.verify_tls) != here:
            return Credentials()
        login = unseal(camera.credentials)
        return login if login.bound_to in ("", here) else Credentials()

    def spec(self) -> StreamSpec:
        """Return the stream's current specification for the engine; with `error` if it cannot be used."""
        try:
            source = self.source()
        except ConfigError as error:
            return StreamSpec(
                self.name, SourceConfig(self.url), width_px=self.width_px, error=error.as_dict()
            )
        return StreamSpec(self.name, source, revision=revision_of(source), width_px=self.width_px)
