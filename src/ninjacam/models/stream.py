"""The other streams of a camera, besides its own."""

from dataclasses import replace

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from ninjacam.core.errors import ConfigError
from ninjacam.core.streams import MAX_NAME_CHARS, NAME, StreamFacts, stream_key
from ninjacam.credentials import Credentials, unseal
from ninjacam.engine.specs import StreamSpec
from ninjacam.models.camera import Camera
from ninjacam.models.stream_fields import StreamFields, revision_of
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.urls import binding_of


class Stream(StreamFields):
    """Another stream of a camera, besides `main`, which is the camera's own URL."""

    camera = models.ForeignKey(
        Camera, on_delete=models.CASCADE, related_name="streams", verbose_name=_("camera")
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
    def owner(self) -> Camera:
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
