"""Stores the formats of streams, as detected by the engine, in the database."""

from collections.abc import Sequence

from django.db import transaction

from ninjacam.adapters.database import database
from ninjacam.core.streams import MAIN
from ninjacam.core.times import to_datetime
from ninjacam.engine.streams import SeenStream
from ninjacam.models import Camera, Stream


class DatabaseStreamLog:
    """Thread: any one at a time."""

    def put(self, seen: Sequence[SeenStream]) -> None:
        """Update only these columns, because users may save the others at the same time. Raises: NinjacamError."""
        with database(), transaction.atomic():
            for each in seen:
                values = {
                    "codec": each.codec,
                    "width_px": each.width_px,
                    "height_px": each.height_px,
                    "fps": each.fps,
                    "bitrate_bps": each.bitrate_bps,
                    "seen_at": to_datetime(each.seen_ns),
                }
                if each.name == MAIN:
                    Camera.objects.filter(slug=each.slug).update(**values)
                else:
                    Stream.objects.filter(camera__slug=each.slug, name=each.name).update(**values)
