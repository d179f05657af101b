"""The camera model, and the query for the cameras that a user has a role for."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ninjacam.core.errors import ConfigError
from ninjacam.core.ready_made import READY_MADE
from ninjacam.core.redact import split_credentials
from ninjacam.core.schedule import parse_schedule
from ninjacam.core.streams import MAIN, MAX_NAME_CHARS, StreamFacts
from ninjacam.core.zones import Zone
from ninjacam.devices.http_device import split_protocol
from ninjacam.devices.onvif_device import SEARCH_SCHEME
from ninjacam.devices.patrol import PatrolPlan, PatrolStep
from ninjacam.devices.registry import ADAPTERS
from ninjacam.engine.specs import CameraSpec
from ninjacam.languages import translate
from ninjacam.models import archive
from ninjacam.models.names_in_conditions import rename_in_conditions
from ninjacam.models.roles import GRANTED_BY, permission_name
from ninjacam.models.stream_fields import StreamFields, revision_of
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.urls import carries_login, parse_url

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

AUTO = "auto"
"""The ONVIF address is searched on the usual ports of the camera's host."""
OWN_BACKEND = "ninjacam.permissions.CameraGrantBackend"
_LISTABLE_BACKENDS = {
    OWN_BACKEND,
    "django.contrib.auth.backends.ModelBackend",
    "django.contrib.auth.backends.AllowAllUsersModelBackend",
    "django.contrib.auth.backends.RemoteUserBackend",
}
"""Authentication backends whose only object permissions are our grants."""


def check_schedule(text: str) -> None:
    """Raises: ValidationError: it cannot be read."""
    try:
        parse_schedule(text)
    except ConfigError as error:
        raise ValidationError(translate(error.text), code="schedule") from error


def check_ready_made(names: object) -> None:
    """Raises: ValidationError: it is not a list of names of ready-made processors."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValidationError(_("Enter a list of names."), code="processors")
    for name in names:
        if name not in READY_MADE:
            raise ValidationError(
                _("Unknown processor “%(name)s”. Use: %(known)s."),
                params={"name": name[:50], "known": ", ".join(READY_MADE)},
                code="processors",
            )


def check_onvif_url(text: str) -> None:
    """Raises: ValidationError: it is not "auto" and not an HTTP URL without a login."""
    if text in ("", AUTO):
        return
    try:
        name, url = split_protocol(text)
        plain = split_credentials(url)[0]
        scheme = parse_url(url).scheme if not name or name in ADAPTERS else ""
    except (ConfigError, ValueError) as error:
        raise ValidationError(_("This is not a valid URL. Check its host and port."), code="url") from error
    if plain != url:
        raise ValidationError(
            _("Omit the user and password: those of the camera are used, if it is the same host."),
            code="login",
        )
    if scheme not in ("http", "https"):
        raise ValidationError(
            _("The address must start with http: or https:, or with %(kinds)s, or be “auto”.")
            % {"kinds": ", ".join(f"{name}+http:" for name in sorted(ADAPTERS))},
            code="scheme",
        )


class CameraQuerySet(models.QuerySet["Camera"]):
    def visible_to(self, user: "AbstractBaseUser | AnonymousUser", role: str = "view") -> "CameraQuerySet":
        """Return the cameras for which `user` has `role`: by a grant, by a permission for all cameras, or as a
        superuser.

        If the project has other permission backends (guardian, rules), they are asked camera by camera.
        """
        if isinstance(user, AnonymousUser) or not user.is_active:
            return self.none()
        has_perm = getattr(user, "has_perm", None)
        roles = GRANTED_BY[role]
        if has_perm and any(has_perm(permission_name(each)) for each in roles):
            return self
        holder = Q(grants__user_id=user.pk)
        if hasattr(user, "groups"):
            holder |= Q(grants__group__in=user.groups.all())
        granted = Camera._base_manager.filter(holder, grants__role__in=roles).values("pk")
        if has_perm and not set(settings.AUTHENTICATION_BACKENDS) <= _LISTABLE_BACKENDS:
            others = [
                camera.pk
                for camera in self.exclude(pk__in=granted)
                if any(has_perm(permission_name(each), camera) for each in roles)
            ]
            return self.filter(Q(pk__in=granted) | Q(pk__in=others))
        return self.filter(pk__in=granted)

    def bulk_create(self, objs: Iterable["Camera"], *args: Any, **options: Any) -> list["Camera"]:
        """As `Camera.save`: new cameras inherit nothing. Raises: ValueError: it would rename cameras."""
        _refuse_new_slugs(options.get("update_fields") or ())
        cameras = list(objs)
        with transaction.atomic():
            slugs = {camera.slug for camera in cameras}
            present = self.model._base_manager.filter(slug__in=slugs).values_list("slug", flat=True)
            for slug in sorted(slugs - set(present)):
                archive.set_aside(slug, _is_taken)
            return super().bulk_create(cameras, *args, **options)

    def update(self, **values: Any) -> int:
        """Raises: ValueError: recordings would stay under the old name."""
        _refuse_new_slugs(values)
        return super().update(**values)


def _is_taken(slug: str) -> bool:
    return Camera.objects.filter(slug=slug).exists()


def _refuse_new_slugs(names: Collection[str]) -> None:
    if "slug" in names:
        raise ValueError(
            "Queries cannot rename cameras, because recordings have to follow. Set `slug` and call `save()`."
        )


def _override(label: Any) -> Any:
    return models.CharField(label, max_length=MAX_NAME_CHARS, blank=True, default="", db_default="")


class Camera(StreamFields):
    """A camera, and its main stream. Others are rows of `Stream`. `set_source` splits the input; `spec` reassembles it.

    `record_stream`, `live_stream`, `detect_stream`, `thumbnail_stream`: the name of the stream for that role; empty:
    chosen by the rules of `core.streams`. `processors`: names of the ready-made ones that it uses.
    `processor_options`: processor -> option -> the value that a user has set, in its JSON form; None: none.
    `guest_view`: the only view of users who may only view the camera (`auth.shown_view`); empty: its own video.
    """

    class Transport(models.TextChoices):
        TCP = "tcp", "TCP"
        UDP = "udp", "UDP"
        MULTICAST = "multicast", _("multicast")

    class Record(models.TextChoices):
        OFF = "off", _("off")
        ALWAYS = "always", _("always")
        EVENTS = "events", _("on events")
        SCHEDULE = "schedule", _("on a schedule")

    slug = models.CharField(
        _("short name"),
        max_length=50,
        unique=True,
        validators=[
            RegexValidator(
                r"^(?!probe\Z)[a-z0-9][a-z0-9_-]{0,49}\Z",
                _("Use a-z, 0-9, - and _, starting with a letter or digit. “probe” is reserved."),
            )
        ],
        help_text=_("Used in URLs and file names: a-z, 0-9, - and _."),
    )
    name = models.CharField(_("name"), max_length=100, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    transport = models.CharField(
        _("transport"), max_length=9, choices=Transport.choices, default=Transport.TCP
    )
    audio = models.BooleanField(_("audio"), default=True)
    verify_tls = models.BooleanField(
        _("verify the TLS certificate"), default=True, help_text=_("Switch off for self-signed certificates.")
    )
    sleeps = models.BooleanField(
        _("sleeps"),
        default=False,
        db_default=False,
        help_text=_(
            "A battery camera: it is connected only while it is watched or recorded, and may be asleep."
        ),
    )
    record = models.CharField(
        _("record"),
        max_length=8,
        choices=Record.choices,
        default=Record.OFF,
        db_default=Record.OFF,
        help_text=_("Recordings are kept until the oldest ones are deleted to make room."),
    )
    record_before_s = models.PositiveSmallIntegerField(
        _("seconds before an event"), default=5, db_default=5, validators=[MaxValueValidator(60)]
    )
    record_after_s = models.PositiveSmallIntegerField(
        _("seconds after an event"), default=10, db_default=10, validators=[MaxValueValidator(600)]
    )
    record_schedule = models.CharField(
        _("schedule"),
        max_length=500,
        blank=True,
        default="",
        db_default="",
        validators=[check_schedule],
        help_text=_(
            "For example: mon-fri 07:00-19:00; sat,sun 10:00-14:00. “22:00-06:00” continues past midnight."
        ),
    )
    onvif_url = models.CharField(
        _("ONVIF address"),
        max_length=500,
        blank=True,
        default="",
        db_default="",
        validators=[check_onvif_url],
        help_text=_(
            "To move the camera. “auto” searches the usual ports of its address; or for example "
            "http://192.168.1.20/onvif/device_service. Empty if the camera takes no commands."
        ),
    )
    record_stream = _override(_("stream to record"))
    live_stream = _override(_("stream for live video"))
    detect_stream = _override(_("stream for processors"))
    thumbnail_stream = _override(_("stream for thumbnails"))
    patrol_steps = models.JSONField(_("steps of the patrol"), null=True, blank=True, editable=False)
    patrol_started_at = models.DateTimeField(_("patrol started at"), null=True, blank=True, editable=False)
    patrol_ended_by = models.CharField(
        _("patrol ended by"), max_length=200, blank=True, default="", db_default="", editable=False
    )
    processors = models.JSONField(
        _("ready-made processors"), null=True, blank=True, validators=[check_ready_made]
    )
    processor_options = models.JSONField(_("options of processors"), null=True, blank=True, editable=False)
    guest_view = models.CharField(
        _("view for guests"),
        max_length=50,
        blank=True,
        default="",
        db_default="",
        validators=[
            RegexValidator(
                r"^(?!raw\Z)[a-z][a-z0-9_-]{0,49}\Z",
                _("Enter the name of a processor, such as “privacy”, or nothing."),
            )
        ],
        help_text=_(
            "A processor whose view replaces the camera's own video for users who may only view. Empty: they see the "
            "camera's own video."
        ),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = CameraQuerySet.as_manager()

    processors_off: tuple[str, ...] = ()
    """Names of processors that do not run for it while a profile is active (`models.profile`). Not stored here."""

    class Meta:
        verbose_name = _("camera")
        verbose_name_plural = _("cameras")
        ordering = ["slug"]
        permissions = [
            ("replay_camera", "Can replay recordings of all cameras"),
            ("export_camera", "Can export recordings of all cameras"),
            ("control_camera", "Can control all cameras"),
            ("configure_camera", "Can configure all cameras"),
        ]

    def __str__(self) -> str:
        return self.name or self.slug

    def save(self, **options: Any) -> None:
        """Recordings, events and exports follow a new short name. A new camera inherits none of an earlier one.
        Ongoing events end with the processor that created them.

        What counts as the old name is what the database has now: this object may have been loaded long ago.
        """
        only = options.get("update_fields")
        if only is not None and not {"slug", "enabled", "processors"} & set(only):
            super().save(**options)
            return
        with transaction.atomic():
            stored = Camera._base_manager.select_for_update().filter(pk=self.pk).first()
            before = "" if stored is None else stored.slug
            # Without its name among the fields, this object may have an old one.
            is_moved = before != self.slug and (only is None or "slug" in only)
            if is_moved:
                archive.set_aside(self.slug, _is_taken)
            super().save(**options)
            if is_moved and before:
                archive.move(before, self.slug)
                rename_in_conditions("cameras", before, self.slug)
            elif stored is not None:
                self._end_events_of(stored)

    def _end_events_of(self, before: "Camera") -> None:
        """End the ongoing events of processors that the camera has no longer. `before`: as it was in the database."""
        from ninjacam.models.event import PROCESSOR
        from ninjacam.models.ongoing import end_ongoing

        now = Camera._base_manager.only("enabled", "processors").get(pk=self.pk)
        if before.enabled and not now.enabled:
            end_ongoing(before.slug, PROCESSOR)
        elif removed := set(before.processors or ()) - set(now.processors or ()):
            end_ongoing(before.slug, PROCESSOR, removed)

    def clean(self) -> None:
        if self.record == self.Record.SCHEDULE and not self.record_schedule:
            raise ValidationError(
                {"record_schedule": _("Enter the times to record, such as mon-fri 07:00-19:00.")}
            )

    @property
    def owner(self) -> "Camera":
        return self

    def source(self) -> SourceConfig:
        """As for every stream, with the keys of its publishers."""
        return replace(super().source(), publish_keys=self._publish_keys())

    def stream_facts(self) -> tuple[StreamFacts, ...]:
        """Return the facts of all its streams, `main` first. Reads the streams, unless they are prefetched."""
        others = self.streams.all() if self.pk else ()
        return (StreamFacts(MAIN, self.width_px), *(stream.facts for stream in others))

    def drawn_zones(self) -> tuple[Zone, ...]:
        """Return its zones, lines and masks, by name. Reads them, unless they are prefetched.

        Rows that cannot be used are left out: they were written by other means than our actions.
        """
        found = (each.find_zone() for each in (self.zones.all() if self.pk else ()))
        return tuple(zone for zone in found if zone is not None)

    def device(self, source: SourceConfig) -> SourceConfig | None:
        """Return how to send commands to the camera; None: it takes none.

        It gets the login of `source` if it is the same host, and never in clear text if the video is encrypted.
        """
        try:
            video = parse_url(source.url)
        except ConfigError:  # A file or a USB camera.
            video = None
        if self.onvif_url == AUTO:
            if video is None:
                return None
            host = f"[{video.host}]" if ":" in video.host else video.host
            return replace(source, url=f"{SEARCH_SCHEME}://{host}/")
        if not self.onvif_url:
            return None
        if video is not None and carries_login(video, parse_url(split_protocol(self.onvif_url)[1])):
            return replace(source, url=self.onvif_url)
        return replace(source, url=self.onvif_url, username="", password="")

    @property
    def is_published(self) -> bool:
        """Return whether devices connect to us and publish, instead of being connected to."""
        return self.url.startswith("push:")

    def _publish_keys(self) -> tuple[str, ...]:
        """Return the hashes of the keys of its publishers."""
        if not self.is_published or self.pk is None:
            return ()
        return tuple(self.publish_keys.values_list("key_hash", flat=True))

    @property
    def patrol(self) -> PatrolPlan | None:
        """Return the patrol that should run."""
        if self.patrol_started_at is None or not self.patrol_steps:
            return None
        steps = tuple(PatrolStep(step["preset"], step["dwell_s"]) for step in self.patrol_steps)
        return PatrolPlan(steps, self.patrol_started_at.isoformat())

    @property
    def pre_post_roll_ns(self) -> tuple[int, int]:
        """Nanoseconds to record before an event's start and after its end."""
        return self.record_before_s * 10**9, self.record_after_s * 10**9

    def record_at(self, local: datetime) -> Literal["off", "always", "events"]:
        """Return whether to record at this local time. Raises: ConfigError: unreadable schedule."""
        if self.record == self.Record.SCHEDULE:
            return "always" if parse_schedule(self.record_schedule).is_on(local) else "off"
        return (
            "events" if self.record == self.Record.EVENTS else "always" if self.record == "always" else "off"
        )

    def spec(self, keep: tuple[tuple[int, int], ...] = ()) -> CameraSpec:
        """Return the camera's current specification for the engine. `keep`: the windows of its events.

        Raises: ConfigError: the credentials cannot be decrypted, or the schedule cannot be read.
        """
        source = self.source()
        record = self.record_at(timezone.localtime(timezone.now(), timezone.get_default_timezone()))
        streams = tuple(stream.spec() for stream in self.streams.all())
        usable = {stream.name for stream in streams if stream.error is None}
        return CameraSpec(
            slug=self.slug,
            camera_id=self.pk,
            name=str(self),
            source=source,
            enabled=self.enabled,
            record=record,
            record_before_s=self.record_before_s if record == "events" else 0,
            keep=keep if record == "events" else (),
            device=self.device(source),
            patrol=self.patrol,
            revision=revision_of(source),
            width_px=self.width_px,
            streams=streams,
            # If the stream cannot be opened, recording `main` is better than recording nothing.
            record_stream=self.record_stream if self.record_stream in usable else MAIN,
            detect_stream=self.detect_stream,
            processors=tuple(self.processors or ()),
            processors_off=self.processors_off,
            guest_view=self.guest_view,
            options=self.processor_options or {},
            zones=self.drawn_zones(),
        )
