"""`/rec/<slug>/...`: recordings as HLS, as their files, as a clip of a span, and as a picture of an instant.

The index is asked once a request; while bytes flow there is neither a thread nor a database connection of it.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ninjacam.core.errors import DecodeError
from ninjacam.live import auth
from ninjacam.live.download import Body, serve_body
from ninjacam.live.messages import Receive, Scope, Send
from ninjacam.live.mount import Target
from ninjacam.live.pictures import PictureWish
from ninjacam.live.problems import Problem, respond
from ninjacam.live.times import NS, parse_span, parse_time
from ninjacam.live.worker import Worker
from ninjacam.outputs.mjpeg import rfc3339
from ninjacam.recordings.clip import ClipChangesError, Piece, plan_clip
from ninjacam.recordings.library import read_known
from ninjacam.recordings.playlist import PlaylistFile, encode_playlist, read_file, read_whole_file
from ninjacam.recordings.still import TOLERANCE_NS, find_still

if TYPE_CHECKING:
    from ninjacam.auth import Principal
    from ninjacam.models import Camera, Segment

MOST_PLAYLIST_S = 24 * 3600
MOST_CLIP_S = 3600
FINE_S = 3600
"""Playlists of a longer span have whole files for parts, a minute each: nobody reads thousands of files for them."""
OPEN_END_S = 3600
"""How long a playlist without an end goes on."""
LATE_NS = 3 * NS
"""The index may be so far behind the files."""
STALE_NS = 15 * NS
"""A file whose row says that it is being written, but that has not grown for so long, is not."""
_RUNNING_TARGET_S, _RUNNING_WHOLE_TARGET_S = 10, 130


@dataclass(frozen=True, slots=True)
class Row:
    """A file of the index. `uri`: relative to the camera's `/rec/<slug>/`."""

    id: int
    path: Path
    start_ns: int
    end_ns: int
    is_open: bool
    uri: str


@dataclass(frozen=True, slots=True)
class Found:
    """What one request may read."""

    watching: "tuple[Principal, Camera]"
    rows: list[Row]


def _authorise(scope: Scope, slug: str, role: str) -> "tuple[Principal, Camera]":
    """As `auth.authorise`; and who may see all cameras' recordings also sees those of a camera that is deleted."""
    from ninjacam.models import Camera

    auth.check_host(scope)
    principal = auth.identify(scope)
    if not Camera.objects.filter(slug=slug).exists() and principal.may_all(f"{role}_camera", role):
        return principal, Camera(slug=slug)
    return principal, auth.find_camera(principal, slug, "", role)


def find_rows(scope: Scope, slug: str, role: str, root: Path, start_ns: int, end_ns: int) -> Found:
    """The files that hold something of the span. Queries the database. Raises: Problem 400, 401, 403, 404."""
    from ninjacam.models import Segment

    watching = _authorise(scope, slug, role)
    rows = [
        _row(segment, root, _uri(watching, scope, segment.pk))
        for segment in Segment.objects.overlapping([slug], start_ns, end_ns)
    ]
    return Found(watching, rows)


def find_row(scope: Scope, slug: str, root: Path, number: int) -> Found:
    """One file by its number. Queries the database. Raises: Problem 400, 401, 403, 404."""
    from ninjacam.models import Segment

    watching = _authorise(scope, slug, "replay")
    segment = Segment.objects.filter(pk=number, slug=slug).first()
    if segment is None:
        raise Problem(404, "not_found", "There is no such recording (any more).")
    return Found(watching, [_row(segment, root, "")])


def _row(segment: "Segment", root: Path, uri: str) -> Row:
    is_open = segment.open and time.time_ns() - segment.end_ns < STALE_NS
    return Row(segment.pk, root / segment.path, segment.start_ns, segment.end_ns, is_open, uri)


def _uri(watching: "tuple[Principal, Camera]", scope: Scope, number: int) -> str:
    """Of a file; who came by a signed link goes on by one."""
    from ninjacam import signing
    from ninjacam.auth import link_for

    principal, camera = watching
    uri = f"segment/{number}.mp4"
    if principal.source != "signed" or principal.expires_at_s is None:
        return uri
    link = link_for(
        principal,
        camera,
        path=f"{scope['path'].rpartition('/')[0]}/{uri}",
        query={},
        view="",
        lifetime_s=max(1, int(principal.expires_at_s - time.time())),
        role="replay",
    )
    return f"{uri}?{signing.PARAMETER}={signing.sign(link)}"


def _nothing() -> Problem:
    return Problem(404, "no_recording", "Nothing was recorded then, or it is not kept any more.")


async def serve_playlist(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Raises: Problem."""
    start_ns, end_ns = parse_span(auth.query_of(scope), default_s=OPEN_END_S, most_s=MOST_PLAYLIST_S)
    root = worker.settings.recordings_dir
    found = await worker.database.run(find_rows, scope, target.slug, "replay", root, start_ns, end_ns)
    ended = end_ns <= time.time_ns() - LATE_NS
    if not found.rows and ended:
        raise _nothing()
    text = await worker.files.run(_playlist, found.rows, start_ns, end_ns, ended)
    await respond(send, 200, b"application/vnd.apple.mpegurl", text.encode(), head=scope["method"] == "HEAD")


def _playlist(rows: list[Row], start_ns: int, end_ns: int, ended: bool) -> str:
    """Blocks."""
    fine = end_ns - start_ns <= FINE_S * NS
    files: list[PlaylistFile] = []
    for row in rows:
        try:
            if fine or (ended and row.is_open):
                is_open = row.is_open and not ended
                files.append(read_file(row.path, row.uri, start_ns, end_ns, is_open=is_open))
            elif not row.is_open:
                files.append(read_whole_file(row.path, row.uri, row.start_ns, row.end_ns))
        except DecodeError:
            continue  # gone or broken: a gap
    target_s = 1 if ended else _RUNNING_TARGET_S if fine else _RUNNING_WHOLE_TARGET_S
    return encode_playlist(files, start_ns=start_ns, ended=ended, least_target_s=target_s)


async def serve_segment(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Raises: Problem."""
    root = worker.settings.recordings_dir
    found = await worker.database.run(find_row, scope, target.slug, root, target.number)
    row = found.rows[0]
    size_bytes = await worker.files.run(_size_bytes, row)
    body = Body(b"video/mp4", (Piece(size_bytes, row.path),), f'"{row.id}-{size_bytes}"')
    await serve_body(worker, scope, receive, send, body, found.watching, "replay")


def _size_bytes(row: Row) -> int:
    """Of a file that is being written: up to its last whole fragment. Blocks. Raises: Problem 404."""
    try:
        return read_known(row.path).size_bytes if row.is_open else row.path.stat().st_size
    except (DecodeError, OSError) as exc:
        raise _nothing() from exc


async def serve_clip(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Raises: Problem."""
    query = auth.query_of(scope)
    start_ns, end_ns = parse_span(query, most_s=MOST_CLIP_S)
    take_away = query.get("download", "") not in ("", "0")
    role = "export" if take_away else "replay"
    root = worker.settings.recordings_dir
    found = await worker.database.run(find_rows, scope, target.slug, role, root, start_ns - LATE_NS, end_ns)
    try:
        plan = await worker.files.run(plan_clip, [row.path for row in found.rows], start_ns, end_ns)
    except ClipChangesError as exc:
        at = rfc3339(exc.at_ns)
        raise Problem(
            409, exc.code, f"{exc.message} Ask for the time before {at} and from then on apart."
        ) from exc
    if plan is None:
        raise _nothing()
    digest = hashlib.sha256()
    for piece in plan.pieces:
        digest.update(piece.data or f"{piece.path}:{piece.offset}+{piece.size_bytes};".encode())
    name = f"{target.slug}-{rfc3339(plan.start_ns)[:19].replace(':', '')}.mp4"
    headers = [
        (b"x-ninjacam-start", rfc3339(plan.start_ns).encode()),
        (b"x-ninjacam-end", rfc3339(plan.end_ns).encode()),
        (
            b"content-disposition",
            f'{"attachment" if take_away else "inline"}; filename="{name}"'.encode(),
        ),
    ]
    body = Body(b"video/mp4", plan.pieces, f'"{digest.hexdigest()[:24]}"', headers)
    await serve_body(worker, scope, receive, send, body, found.watching, role)


async def serve_still(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Raises: Problem."""
    query = auth.query_of(scope)
    at_ns = parse_time(query, "time")
    width_px = PictureWish.parse(query).width_px
    root = worker.settings.recordings_dir
    since_ns = at_ns - TOLERANCE_NS - LATE_NS
    found = await worker.database.run(find_rows, scope, target.slug, "replay", root, since_ns, at_ns + 1)
    for row in reversed(found.rows):
        try:
            place = await worker.files.run(find_still, row.path, at_ns)
        except DecodeError:
            continue
        if place is not None:
            break
    else:
        raise _nothing()
    if scope["method"] == "HEAD":
        await respond(send, 200, b"image/jpeg", b"", head=True)
        return
    captured_ns, jpeg = await worker.stills.take(place, width_px)
    headers = [(b"x-ninjacam-timestamp", rfc3339(captured_ns).encode())]
    await respond(send, 200, b"image/jpeg", jpeg, headers)


Serve = Callable[[Worker, Scope, Receive, Send, Target], Awaitable[None]]
PLAYBACK: dict[str, Serve] = {
    "hls.m3u8": serve_playlist,
    "segment": serve_segment,
    "clip.mp4": serve_clip,
    "at.jpg": serve_still,
}
