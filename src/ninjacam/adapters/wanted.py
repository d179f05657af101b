"""Reads the desired state from the database."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.db import DatabaseError, close_old_connections, connections
from django.db.models import OuterRef, Subquery

from ninjacam.adapters.sqlite_files import SqliteFiles
from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import ConfigError, NinjacamError
from ninjacam.core.times import to_datetime
from ninjacam.engine.specs import CameraSpec, WantedState
from ninjacam.models import (
    Camera,
    CameraZone,
    DeliveryState,
    Event,
    EventCall,
    Export,
    Profile,
    ProfileChoice,
    ProfileOverride,
    PublishKey,
    PushSubscription,
    Rule,
    Snapshot,
    Stream,
    Webhook,
    WebhookDelivery,
)
from ninjacam.models.event import PROCESSOR, Windows
from ninjacam.models.event_call import LEASE_NS
from ninjacam.models.event_call import MAX_AHEAD_NS as CALL_AHEAD_NS
from ninjacam.models.ongoing import end_ongoing
from ninjacam.models.profile import find_active
from ninjacam.models.snapshot import MAX_AHEAD_NS as SNAPSHOT_AHEAD_NS
from ninjacam.models.webhook import MAX_AHEAD_NS
from ninjacam.sources.base import SourceConfig

JOBS_LINGER_NS = 30 * 10**9
"""Nanoseconds that the jobs process continues without work, because more may follow soon."""
FIRST_CLEAN_NS = 60 * 10**9
CLEAN_EVERY_NS = 600 * 10**9
"""Nanoseconds between starts of the jobs process while exports or their files exist: it removes expired exports when
it starts."""
CONNECTION_NS = 60 * 10**9
"""Nanoseconds after which the connection is checked, and closed according to CONN_MAX_AGE. Opening SQLite each
second would cost several times as much as reading from it."""
MINUTE_NS = 60 * 10**9
"""Resolution of schedules."""
READ_AGAIN_NS = 10 * 10**9
"""Nanoseconds after which the database is read even if its files seem unchanged."""

REPORTED = frozenset({"codec", "height_px", "fps", "bitrate_bps", "seen_at"})
"""Columns that only the engine writes, and on which no specification depends."""


class DatabaseWanted:
    """Owns one database connection, and closes it when it fails. Called by one thread at a time."""

    def __init__(self, exports_dir: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        self._exports_dir = exports_dir
        self._clock = clock
        # Compile the queries once, because compiling costs more than running them.
        self._select_rows = _settings_of(Camera)
        self._select_streams = _settings_of(Stream)
        self._select_zones = _settings_of(CameraZone)
        self._select_profiles = [
            rows.values_list().query.sql_with_params()
            for rows in (
                ProfileOverride.objects.order_by("pk"),
                Profile.objects.order_by("pk"),
                ProfileChoice.objects.order_by("-pk")[:1],  # Only the latest one may be in effect.
            )
        ]
        keys = PublishKey.objects.order_by("pk").values_list("camera", "key_hash")
        self._select_keys = keys.query.sql_with_params()
        self._active_export = Export.objects.active().order_by().values_list("pk")[:1].query.sql_with_params()
        self._any_export = Export.objects.order_by().values_list("pk")[:1].query.sql_with_params()
        waiting = WebhookDelivery.objects.filter(state=DeliveryState.WAITING).order_by("next_try_ns")
        first = [
            Subquery(waiting.filter(**{name: OuterRef("pk")}).values("next_try_ns")[:1])
            for name in ("webhook", "rule", "subscription")
        ]
        webhooks = Webhook.objects.filter(enabled=True).order_by().values_list(first[0])
        rules = Rule.objects.filter(enabled=True).order_by().values_list(first[1])
        browsers = PushSubscription.objects.order_by().values_list(first[2])
        self._next_deliveries = webhooks.union(rules, browsers, all=True).query.sql_with_params()
        due = [
            model._base_manager.exclude(due_ns=None).order_by("due_ns").values_list("due_ns")[:1]
            for model in (Snapshot, EventCall)
        ]
        (snapshot, of_snapshot), (call, of_call) = (each.query.sql_with_params() for each in due)
        self._next_due = f"SELECT ({snapshot}), ({call})", (*of_snapshot, *of_call)
        self._rows: list[tuple[Any, ...]] | None = None
        """The rows from which `_specs` was built; None: it also depends on the time or on events, so it is rebuilt
        each time."""
        self._specs: tuple[CameraSpec, ...] = ()
        self._has_publishers = False
        self._is_timed = False
        """Whether the schedule of a profile may change the specifications at the next minute."""
        self._looked_ns = clock.monotonic_ns()
        self._jobs_until_ns = 0
        self._clean_ns = clock.monotonic_ns() + FIRST_CLEAN_NS
        self._files = SqliteFiles.of({Camera.objects.db, Export.objects.db}, clock)
        self._read_ns: int | None = None

    def is_current(self) -> bool:
        """See `Wanted`."""
        if self._files is None or self._rows is None or self._read_ns is None:
            return False
        now_ns = self._clock.monotonic_ns()
        may_need_jobs = now_ns < self._jobs_until_ns or now_ns >= self._clean_ns
        if may_need_jobs or (self._is_timed and self._rows[-1] != self._minute()):
            return False
        return now_ns - self._read_ns < READ_AGAIN_NS and self._files.are_unchanged()

    def read(self) -> WantedState:
        """Raises: NinjacamError: the database is unavailable."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._looked_ns >= CONNECTION_NS:
            self._looked_ns = now_ns
            close_old_connections()
        self._read_ns = None
        if self._files is not None:
            self._files.note()  # Must precede reading, so that a change in between is detected the next time.
        try:
            self._read_cameras()
            has_jobs = self._has_jobs()
        except DatabaseError as exc:
            connections.close_all()
            raise NinjacamError("The database does not respond; the cameras continue unchanged.") from exc
        self._read_ns = now_ns
        return WantedState(self._specs, has_jobs=has_jobs)

    def _minute(self) -> tuple[int]:
        return (self._clock.wall_ns() // MINUTE_NS,)

    def _read_cameras(self) -> None:
        """Rebuild the specifications if a row has changed. Comparing rows avoids creating model instances each
        second."""
        # Must precede reading the time of the profile, so that a minute that ends in between is detected.
        minute = self._minute()
        with connections[Camera.objects.db].cursor() as cursor:
            cursor.execute(*self._select_rows)
            rows = cursor.fetchall()
            for others in (self._select_streams, self._select_zones):
                cursor.execute(*others)
                rows += cursor.fetchall()
            if self._has_publishers:
                cursor.execute(*self._select_keys)
                rows += cursor.fetchall()
            for others in self._select_profiles:
                cursor.execute(*others)
                found = cursor.fetchall()
                rows += found
                if not found:
                    break  # Without overrides, no profile has an effect.
        if self._is_timed:
            rows.append(minute)
        if rows == self._rows:
            return
        # Must follow reading the rows, so that a change in between is detected the next time.
        cameras = list(Camera.objects.prefetch_related("streams", "zones"))
        self._has_publishers = any(camera.is_published for camera in cameras)
        active = find_active(to_datetime(self._clock.wall_ns()))
        if active.is_timed and not self._is_timed:
            rows.append(minute)
        self._is_timed = active.is_timed
        if active.profile is not None:
            cameras = [active.profile.apply_to(camera) for camera in cameras]
        windows = _windows(cameras)
        specs = tuple(_spec(camera, windows.get(camera.slug, ())) for camera in cameras)
        _end_events(self._specs, specs)
        self._specs = specs
        self._rows = rows if all(map(_lasts, cameras, self._specs)) else None

    def _has_jobs(self) -> bool:
        """Return whether the jobs process is needed: exports are waiting or running, or deliveries, snapshots or
        calls of processors for events are due, now or recently, or expired exports must be removed."""
        now_ns = self._clock.monotonic_ns()
        is_active = _has_row(self._active_export) or self._has_deliveries() or self._has_due_rows()
        if not is_active and now_ns >= self._clean_ns:
            self._clean_ns = now_ns + CLEAN_EVERY_NS
            is_active = _has_row(self._any_export) or _has_files(self._exports_dir)
        if is_active:
            self._jobs_until_ns = now_ns + JOBS_LINGER_NS
        return now_ns < self._jobs_until_ns

    def _has_deliveries(self) -> bool:
        """Return whether a delivery to a webhook or browser, or an action of a rule is due. One index lookup for each
        of them.
        """
        with connections[WebhookDelivery.objects.db].cursor() as cursor:
            cursor.execute(*self._next_deliveries)
            now_ns = self._clock.wall_ns()
            return any(
                next_ns is not None and (next_ns <= now_ns or next_ns > now_ns + MAX_AHEAD_NS)
                for (next_ns,) in cursor.fetchall()
            )

    def _has_due_rows(self) -> bool:
        """Return whether the snapshot of an event is due, or the call of a processor for one is due or being made. Two
        index lookups.
        """
        now_ns = self._clock.wall_ns()
        with connections[Snapshot.objects.db].cursor() as cursor:
            cursor.execute(*self._next_due)
            snapshot_ns, call_ns = cursor.fetchone()
        for due_ns, soon_ns, ahead_ns in (
            (snapshot_ns, 0, SNAPSHOT_AHEAD_NS),
            (call_ns, LEASE_NS, CALL_AHEAD_NS),
        ):
            if due_ns is not None and (due_ns <= now_ns + soon_ns or due_ns > now_ns + ahead_ns):
                return True
        return False


def _end_events(before: Iterable[CameraSpec], now: Iterable[CameraSpec]) -> None:
    """End the ongoing events of ready-made processors that a profile has switched off."""
    former = {spec.slug: spec.processors for spec in before}
    for spec in now:
        if stopped := set(former.get(spec.slug, ())) - set(spec.processors):
            end_ongoing(spec.slug, PROCESSOR, stopped)


def _has_row(query: tuple[str, tuple[Any, ...]]) -> bool:
    with connections[Export.objects.db].cursor() as cursor:
        cursor.execute(*query)
        return cursor.fetchone() is not None


def _has_files(directory: Path) -> bool:
    try:
        return bool(os.listdir(directory))
    except OSError:
        return False


def _settings_of(model: type[Camera] | type[Stream] | type[CameraZone]) -> tuple[str, tuple[Any, ...]]:
    """Return the query for the columns on which specifications depend."""
    names = [field.attname for field in model._meta.concrete_fields if field.attname not in REPORTED]
    return model._base_manager.order_by("pk").values_list(*names).query.sql_with_params()


def _lasts(camera: Camera, spec: CameraSpec) -> bool:
    """Return whether the specification depends only on the camera's row, and not on the time, events or keys."""
    return camera.record in (Camera.Record.OFF, Camera.Record.ALWAYS) and spec.error is None


def _windows(cameras: Iterable[Camera]) -> dict[str, Windows]:
    pre_post_roll_ns = {
        camera.slug: camera.pre_post_roll_ns for camera in cameras if camera.record == Camera.Record.EVENTS
    }
    return Event.objects.windows(pre_post_roll_ns, SYSTEM_CLOCK.wall_ns())


def _spec(camera: Camera, keep: Windows) -> CameraSpec:
    try:
        return camera.spec(keep)
    except ConfigError as exc:
        source = SourceConfig(camera.url)
        return CameraSpec(camera.slug, camera.pk, str(camera), source, camera.enabled, error=exc.as_dict())
