"""State shared by all viewers of this worker: feeds, threads, limits, and one housekeeping task while there are
viewers."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ninjacam.conf import Settings, get_settings
from ninjacam.core.clock import SYSTEM_CLOCK, until_tick_s
from ninjacam.core.lifecycle import Stop
from ninjacam.problems import Problem, stopping
from ninjacam.throttle import network_of
from ninjacam.viewers import auth
from ninjacam.viewers.counters import Counters
from ninjacam.viewers.feeds import Pool
from ninjacam.viewers.file_threads import FileThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ninjacam.auth import Principal
    from ninjacam.models import Camera
    from ninjacam.viewers.auth import Watched

logger = logging.getLogger("ninjacam.viewers")

S = TypeVar("S")
TICK_S = 1.0
"""Seconds between two checks for slow viewers, and between two publications of the counters."""
AWAY_GRACE_S = 30.0
"""Seconds that open streams continue after a failed permission check, based on the last known result, because the
database may be restarting. After that, all streams end."""


class Sending(Protocol):
    """The sending end of a viewer, implemented by `Sink`."""

    @property
    def blocked_since(self) -> float: ...
    @property
    def dropped(self) -> int: ...
    @property
    def sent(self) -> int: ...
    @property
    def sent_bytes(self) -> int: ...


USERS_SHARE = 4
"""Reciprocal of the fraction of a worker's slots for one account, which cannot lock out others. All viewers with
links of that account get the same number in addition, so that they cannot use up the owner's slots."""
LINK_SHARE = 16
"""Reciprocal of the fraction of a worker's slots for each network address that uses one link."""

ADDRESS_SHARE = 2
"""Reciprocal of the fraction of a worker's slots for one network address; this host's own address (possibly a proxy)
may use all of them."""


class Viewer(Protocol):
    """One connection that is being served. `role`: the role that permitted it."""

    role: str
    principal: "Principal"

    @property
    def sink(self) -> Sending: ...

    def watching(self) -> "Iterable[Watched]":
        """Return what it watches, to be checked again."""

    def revoked(self, camera: "Camera") -> None:
        """End the viewing of a camera, because the permission was revoked."""

    def too_slow(self) -> None:
        """End the connection, because a send has not returned in time."""

    def stop(self) -> None:
        """End the connection, because the server is stopping."""


class Worker:
    """Created at the first request, in the event loop that serves it."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or get_settings()
        self.stop = Stop()
        self.database = auth.Database()
        self.file_threads = FileThreads()
        self.pool = Pool(self.settings.run_dir)
        self.viewers: set[Viewer] = set()
        self.cut_slow = 0
        self.cut_revoked = 0
        self.served = 0
        self.sent = 0
        self.sent_bytes = 0
        self.dropped = 0
        self.counters = Counters(self.settings.run_dir)
        self._shared: dict[Callable[[Worker], Any], Any] = {}
        self._housekeeping: asyncio.Task[None] | None = None
        self._database_away = False
        self._checking: asyncio.Task[None] | None = None
        self._checked_at = 0.0
        """Monotonic time of the last successful permission check."""

    def add(self, viewer: Viewer) -> None:
        """Add a viewer. Raises: Problem 503: the worker is full, or stopping; 429: this user has reached a limit."""
        if self.stop.is_set():
            raise stopping()
        if len(self.viewers) >= self.settings.max_viewers_per_worker:
            raise Problem(
                503,
                "limit",
                f"This worker already serves {len(self.viewers)} viewers, the limit (MAX_VIEWERS_PER_WORKER).",
                ((b"retry-after", b"10"),),
            )
        self._check_share(viewer.principal)
        self.viewers.add(viewer)
        self.served += 1
        if self._housekeeping is None:
            self._checked_at = time.monotonic()  # The database has just permitted this viewer.
            self._housekeeping = asyncio.get_running_loop().create_task(
                self._keep_house(), name="live-housekeeping"
            )

    def _check_share(self, who: "Principal") -> None:
        """Raises: Problem 429: this address, this user, or the users of this link have reached their limit."""
        places = self.settings.max_viewers_per_worker
        network = network_of(who.address)
        from_there = sum(network_of(other.principal.address) == network for other in self.viewers)
        if network and from_there >= max(1, places // ADDRESS_SHARE):
            message = (
                f"{from_there} streams are open from your network address, which is the limit. Close some."
            )
            raise Problem(429, "limit", message, ((b"retry-after", b"10"),))
        by_link = who.source == "signed"
        others = [other.principal for other in self.viewers if other.principal.user.pk == who.user.pk]
        alike = [other for other in others if (other.source == "signed") is by_link]
        same = sum((other.link_id, other.address) == (who.link_id, who.address) for other in alike)
        if len(alike) >= max(1, places // USERS_SHARE) or (by_link and same >= max(1, places // LINK_SHARE)):
            message = (
                "This link has reached its limit of viewers. Try again later."
                if by_link
                else f"You have {len(alike)} open streams here, which is the limit per account. Close some."
            )
            raise Problem(429, "limit", message, ((b"retry-after", b"10"),))

    async def may_see_details(self, access: auth.LiveAccess) -> bool:
        """Return whether full error messages of the camera may be sent. False while the database is unavailable."""
        try:
            return await self.database.run(auth.may_see_details, access.principal, access.camera)
        except Problem:
            return False

    def shared(self, make: "Callable[[Worker], S]") -> "S":
        """Return the worker's only instance of the class `make`, which is created at the first call.

        Outputs store the state there that their viewers share.
        """
        if make not in self._shared:
            self._shared[make] = make(self)
        found: S = self._shared[make]
        return found

    def remove(self, viewer: Viewer) -> None:
        """Idempotent."""
        if viewer in self.viewers:
            self.viewers.remove(viewer)
            self.dropped += viewer.sink.dropped
            self.sent_bytes += viewer.sink.sent_bytes
            self.sent += viewer.sink.sent
            self.publish()
        if not self.viewers and self._housekeeping is not None:
            self._housekeeping.cancel()
            self._housekeeping = None
            if self._checking is not None:
                self._checking.cancel()
                self._checking = None

    def publish(self) -> None:
        """Share this worker's counters with other workers."""
        sinks = [viewer.sink for viewer in self.viewers]
        self.counters.publish(
            (
                len(sinks),
                len(self.pool),
                self.served,
                self.cut_slow,
                self.cut_revoked,
                self.sent + sum(sink.sent for sink in sinks),
                self.sent_bytes + sum(sink.sent_bytes for sink in sinks),
                self.dropped + sum(sink.dropped for sink in sinks),
            )
        )

    def begin_stop(self) -> None:
        """End all streams and accept no new ones. Call it in the event loop."""
        self.stop.set()
        self.pool.stop_lingering()
        for viewer in list(self.viewers):
            viewer.stop()

    def close(self) -> None:
        self.begin_stop()
        self.pool.close()
        self.database.close()
        self.file_threads.close()
        self.publish()
        self.counters.close()

    # --- housekeeping ---

    async def _keep_house(self) -> None:
        loop = asyncio.get_running_loop()
        due = time.monotonic() + self.settings.reauth_s
        while True:
            is_checking = self._checking is not None and not self._checking.done()
            pause_s = until_tick_s(TICK_S, SYSTEM_CLOCK)
            await asyncio.sleep(pause_s if is_checking else min(pause_s, max(0.0, due - time.monotonic())))
            now = time.monotonic()
            # In a task: a database that hangs must delay neither this loop nor the end of the grace period.
            if now >= due and (self._checking is None or self._checking.done()):
                self._checking = loop.create_task(self._check_permissions(), name="live-permissions")
                due = now + self.settings.reauth_s
            try:
                self._cut_slow_viewers()
                self.publish()
                if now - self._checked_at > self.settings.reauth_s + AWAY_GRACE_S:
                    self._cut_unknown()
            except Exception:  # The boundary: a bug in one viewer must not end the housekeeping for all.
                logger.exception("housekeeping of the open streams failed")

    def _cut_unknown(self) -> None:
        """End all streams: permissions could not be checked for too long. Clients may reconnect."""
        logger.error(
            "permissions could not be checked for %d s: %d streams end", AWAY_GRACE_S, len(self.viewers)
        )
        self._checked_at = time.monotonic()
        for viewer in list(self.viewers):
            viewer.stop()

    def _cut_slow_viewers(self) -> None:
        now = time.monotonic()
        for viewer in list(self.viewers):
            since = viewer.sink.blocked_since
            if since and now - since > self.settings.send_timeout_s:
                self.cut_slow += 1
                viewer.too_slow()

    async def _check_permissions(self) -> None:
        """Check all viewers at once. While the database is unavailable, streams continue for AWAY_GRACE_S."""
        began = time.monotonic()
        asked = [(viewer, watching) for viewer in list(self.viewers) for watching in viewer.watching()]
        if not asked:
            self._checked_at = began
            return
        try:
            answers = await self.database.run(
                auth.recheck_all,
                [(principal, viewer.role, camera, view) for viewer, (principal, camera, view) in asked],
            )
        except Problem as exc:
            if not self._database_away:
                logger.warning(
                    "permissions cannot be checked, streams continue for %d s: %s", AWAY_GRACE_S, exc
                )
            self._database_away = True
            return
        except Exception:  # The boundary: a bug in a session or permission backend counts as no result.
            logger.exception("checking the open streams failed")
            return
        self._checked_at = began
        self._database_away = False
        for (viewer, (principal, camera, _)), allowed in zip(asked, answers, strict=True):
            if not allowed and viewer in self.viewers:
                self.cut_revoked += 1
                logger.info("%s may no longer view %s", principal.name, camera.slug)
                viewer.revoked(camera)
