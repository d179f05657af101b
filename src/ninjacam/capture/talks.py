"""The sockets of a capture process for the audio that users send to its cameras. Thread: the event loop."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from ninjacam.core.errors import ConfigError
from ninjacam.sources.base import source_from
from ninjacam.sources.registry import speaks_rtsp
from ninjacam.supervision.control import Json
from ninjacam.talk.server import TalkServer

logger = logging.getLogger("ninjacam.capture")


class TalkServers:
    """One server for each RTSP camera. `on_change`: called when the report about a camera has changed."""

    def __init__(self, run_dir: Path, on_change: Callable[[], None]) -> None:
        self._run_dir = run_dir
        self._on_change = on_change
        self._servers: dict[str, tuple[Json, TalkServer]] = {}
        """Source and socket, by the camera's slug."""

    async def assign(self, cameras: Iterable[Json]) -> None:
        """Open sockets for these cameras, and close the others."""
        sources = {camera["slug"]: camera["source"] for camera in cameras}
        wanted = {slug: source for slug, source in sources.items() if speaks_rtsp(source["url"])}
        await asyncio.gather(*(self._replace(slug, wanted.get(slug)) for slug in {*wanted, *self._servers}))

    async def close(self) -> None:
        await self.assign(())

    def report(self, slug: str) -> Json:
        """Return the report about a camera: {"talk": …}, or empty."""
        found = self._servers.get(slug)
        return {"talk": found[1].report()} if found is not None else {}

    async def _replace(self, slug: str, source: Json | None) -> None:
        """Replace the socket of a camera. None: only close it."""
        present, server = self._servers.get(slug, (None, None))
        if source == present:
            return
        if server is not None:
            del self._servers[slug]
            await server.close()
        if source is None:
            return
        server = TalkServer(self._run_dir, slug, source_from(source), self._on_change)
        try:
            await server.start()
        except (OSError, ConfigError) as exc:
            logger.error("the talk socket of %s cannot be created: %s", slug, exc)  # noqa: TRY400 (a sentence for a person)
            return
        self._servers[slug] = (source, server)
