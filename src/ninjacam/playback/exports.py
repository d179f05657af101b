"""`/rec/<slug>/export/<id>.mp4`: the file of a finished export, with ranges. Found by its id, never by a path."""

import uuid
from typing import TYPE_CHECKING

from ninjacam.front_door.messages import Receive, Scope, Send
from ninjacam.front_door.mount import Target
from ninjacam.outputs.mjpeg import rfc3339
from ninjacam.playback.download import Body, serve_body
from ninjacam.problems import Problem
from ninjacam.recordings.clip import Piece
from ninjacam.viewers import auth
from ninjacam.viewers.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from ninjacam.auth import Principal
    from ninjacam.models import Camera, Export

ROLE = "export"


def find_export(scope: Scope, target: Target) -> "tuple[tuple[Principal, Camera], Export]":
    """Return the viewer and the export. Queries the database. Raises: Problem 400, 401, 403, 404."""
    from django.utils import timezone

    from ninjacam.actions.audit import record_taken
    from ninjacam.models import Export

    watching = auth.authorise(scope, target)
    export = Export.objects.downloads().filter(pk=uuid.UUID(target.key), slug=target.slug).first()
    if export is None or not export.has_file(timezone.now()):
        raise _nothing()
    if scope["method"] == "GET":
        record_taken(
            watching[0], "export.download", target.slug, export.start_ns, export.end_ns, export=str(export.pk)
        )
    return watching, export


def _nothing() -> Problem:
    return Problem(404, "not_found", "No such export, it is not finished, or its file has expired.")


async def serve_export(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Raises: Problem."""
    watching, export = await worker.database.run(find_export, scope, target)
    path = export.path(worker.settings.exports_dir)
    size_bytes = await worker.file_threads.run(_size_bytes, path)
    if size_bytes != export.size_bytes:  # The file is missing, or was replaced.
        raise _nothing()
    name = f"{target.slug}-{rfc3339(export.start_ns)[:19].replace(':', '')}-{export.kind}.mp4"
    headers = [(b"content-disposition", f'attachment; filename="{name}"'.encode())]
    body = Body(b"video/mp4", [Piece(size_bytes, path)], f'"{export.sha256[:32]}"', headers)
    await serve_body(worker, scope, receive, send, body, watching, ROLE)


def _size_bytes(path: "Path") -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
