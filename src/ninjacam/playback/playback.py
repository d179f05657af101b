"""`/rec/<slug>/...`: recordings as HLS, as files, as a clip of a span, and as a still at a given time.

Each request queries the index once. While data is sent, it occupies neither a thread nor a database connection.
"""

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from ninjacam.core.errors import DecodeError
from ninjacam.front_door.messages import Receive, Scope, Send
from ninjacam.front_door.mount import Target
from ninjacam.front_door.responses import respond
from ninjacam.outputs.mjpeg import rfc3339
from ninjacam.playback.download import Body, serve_body
from ninjacam.playback.stills import Stills
from ninjacam.playback.times import NS, parse_span, parse_time
from ninjacam.problems import Problem
from ninjacam.recordings.clip import ClipChangesError, Piece, Shift, plan_clip
from ninjacam.recordings.frame_lookup import TOLERANCE_NS, find_still
from ninjacam.recordings.library import read_known
from ninjacam.recordings.playlist import (
    Chain,
    PlaylistFile,
    encode_playlist,
    read_running_file,
    read_whole_file,
)
from ninjacam.recordings.reader import AUDIO_TRACK, VIDEO_TRACK
from ninjacam.recordings.segments import INDEX_LATE_NS
from ninjacam.viewers import auth
from ninjacam.viewers.frame_parameters import FrameParameters
from ninjacam.viewers.turns import user_of
from ninjacam.viewers.worker import Worker

if TYPE_CHECKING:
    from ninjacam.auth import Principal
    from ninjacam.models import Camera, Segment

MAX_PLAYLIST_S = 24 * 3600
MAX_CLIP_S = 3600
FINE_S = 3600
"""Playlists of a longer span use whole files (one minute) as segments, so that thousands of files need not be read.
"""
OPEN_END_S = 3600
"""Length in seconds of a playlist without an end."""
STALE_NS = 15 * NS
"""Nanoseconds without growth after which a file that is marked as being written is considered complete."""
_SHIFT = re.compile(r"(-?\d{1,15})\.(-?\d{1,15})", re.ASCII)
_RUNNING_TARGET_S, _RUNNING_WHOLE_TARGET_S = 10, 130


@dataclass(frozen=True, slots=True)
class Row:
    """A file of the index. `sign(uri, query)`: returns a link below the camera's `/rec/<slug>/`."""

    id: int
    path: Path
    start_ns: int
    end_ns: int
    is_open: bool
    sign: Callable[[str, dict[str, str]], str]

    def uri(self, ticks: Mapping[int, int] | None = None) -> str:
        """Return a URI relative to the camera's `/rec/<slug>/`. `ticks`: offset of the times of its tracks."""
        moved = ticks and ".".join(str(ticks.get(track, 0)) for track in (VIDEO_TRACK, AUDIO_TRACK))
        return self.sign(f"segment/{self.id}.mp4", {"shift": moved} if moved else {})


@dataclass(frozen=True, slots=True)
class Found:
    """The files that one request may read."""

    watching: "tuple[Principal, Camera]"
    rows: list[Row]


def find_rows(
    scope: Scope, target: Target, root: Path, start_ns: int, end_ns: int, *, takes: bool = True
) -> Found:
    """Return the files that overlap the span. Queries the database. Raises: Problem 400, 401, 403, 404.

    `takes`: whether the response contains frames, which is recorded for audit. For the files of a playlist, this
    happens when they are read.
    """
    from ninjacam.models import Segment

    watching = auth.authorise(scope, target)
    sign = partial(_sign, watching, scope["path"].rpartition("/")[0])
    rows = [
        _row(segment, root, sign) for segment in Segment.objects.overlapping([target.slug], start_ns, end_ns)
    ]
    if takes and rows:
        _record(scope, watching[0], role_of(scope, target), target.slug, start_ns, end_ns)
    return Found(watching, rows)


def role_of(scope: Scope, target: Target) -> str:
    assert target.route is not None
    return target.route.role_for(auth.query_of(scope))


def _record(scope: Scope, principal: "Principal", role: str, slug: str, start_ns: int, end_ns: int) -> None:
    from ninjacam.actions.audit import record_taken

    if scope["method"] == "GET":
        verb = "recording.export" if role == "export" else "recording.replay"
        record_taken(principal, verb, slug, start_ns, end_ns)


def find_row(scope: Scope, target: Target, root: Path) -> Found:
    """Return one file by its number. Queries the database. Raises: Problem 400, 401, 403, 404."""
    from ninjacam.models import Segment

    watching = auth.authorise(scope, target)
    segment = Segment.objects.filter(pk=int(target.key), slug=target.slug).first()
    if segment is None:
        raise Problem(404, "not_found", "No such recording, or it was deleted.")
    _record(scope, watching[0], role_of(scope, target), target.slug, segment.start_ns, segment.end_ns)
    return Found(watching, [_row(segment, root, partial(_sign, watching, ""))])


def _row(segment: "Segment", root: Path, sign: Callable[[str, dict[str, str]], str]) -> Row:
    is_open = segment.open and time.time_ns() - segment.end_ns < STALE_NS
    return Row(segment.pk, root / segment.path, segment.start_ns, segment.end_ns, is_open, sign)


def _sign(watching: "tuple[Principal, Camera]", base: str, uri: str, query: dict[str, str]) -> str:
    """Return `uri` with its query. If the request used a signed link, the result is signed too.

    `base`: the path to which `uri` is relative.
    """
    from ninjacam import signing
    from ninjacam.auth import link_for

    principal, camera = watching
    whole = dict(query)
    if principal.source == "signed" and principal.expires_at_s is not None:
        left_s = max(1, int(principal.expires_at_s - time.time()))
        link = link_for(
            principal, camera, path=f"{base}/{uri}", query=query, view="", lifetime_s=left_s, role="replay"
        )
        whole[signing.PARAMETER] = signing.sign(link)
    return f"{uri}?{urlencode(whole)}" if whole else uri


def _nothing() -> Problem:
    return Problem(404, "no_recording", "There are no recordings of this span.")


async def serve_playlist(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Raises: Problem."""
    start_ns, end_ns = parse_span(auth.query_of(scope), default_s=OPEN_END_S, max_s=MAX_PLAYLIST_S)
    root = worker.settings.recordings_dir
    find = partial(find_rows, takes=False)
    found = await worker.database.run(find, scope, target, root, start_ns, end_ns)
    ended = end_ns <= time.time_ns() - INDEX_LATE_NS
    if not found.rows and ended:
        raise _nothing()
    text = await worker.file_threads.run(_playlist, found.rows, start_ns, end_ns, ended)
    await respond(send, 200, b"application/vnd.apple.mpegurl", text.encode(), head=scope["method"] == "HEAD")


def _playlist(rows: list[Row], start_ns: int, end_ns: int, ended: bool) -> str:
    """Return the playlist. Blocks."""
    fine = end_ns - start_ns <= FINE_S * NS
    files: list[PlaylistFile] = []
    chain = Chain(start_ns, end_ns)
    for row in rows:
        try:
            if fine:
                is_open = row.is_open and not ended and row is rows[-1]
                if file := chain.add(row.path, row.uri, is_open=is_open):
                    files.append(file)
            elif row.is_open and ended:
                files.append(read_running_file(row.path, row.uri()))
            elif not row.is_open:
                files.append(read_whole_file(row.path, row.uri(), row.start_ns, row.end_ns))
        except DecodeError:
            continue  # A missing or damaged file is a gap.
    target_s = 1 if ended else _RUNNING_TARGET_S if fine else _RUNNING_WHOLE_TARGET_S
    return encode_playlist(files, start_ns=start_ns, ended=ended, min_target_s=target_s)


async def serve_segment(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Raises: Problem."""
    moved = auth.query_of(scope).get("shift", "")
    match = _SHIFT.fullmatch(moved)
    if moved and match is None:
        raise Problem(400, "bad_request", "The parameter 'shift' must be two numbers of ticks.")
    ticks = {VIDEO_TRACK: int(match[1]), AUDIO_TRACK: int(match[2])} if match else None
    root = worker.settings.recordings_dir
    found = await worker.database.run(find_row, scope, target, root)
    row = found.rows[0]
    pieces = await worker.file_threads.run(_file_pieces, row, ticks)
    size_bytes = sum(piece.size_bytes for piece in pieces)
    tag = f'"{row.id}-{size_bytes}-{moved}"' if moved else f'"{row.id}-{size_bytes}"'
    await serve_body(worker, scope, receive, send, Body(b"video/mp4", pieces, tag), found.watching, "replay")


def _file_pieces(row: Row, ticks: Mapping[int, int] | None) -> list[Piece]:
    """Return the parts of a file. A file that is being written ends with its last complete fragment. Blocks. Raises:
    Problem 404.
    """
    try:
        if ticks is None:
            size_bytes = read_known(row.path).size_bytes if row.is_open else row.path.stat().st_size
            return [Piece(size_bytes, row.path)]
        recording = read_known(row.path)
    except (DecodeError, OSError) as exc:
        raise _nothing() from exc
    shift = Shift(ticks)
    pieces = [Piece(recording.init_size_bytes, row.path)]
    return pieces + [
        Piece(each.size_bytes, row.path, each.offset, shift=shift) for each in recording.fragments
    ]


async def serve_clip(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Raises: Problem."""
    query = auth.query_of(scope)
    start_ns, end_ns = parse_span(query, max_s=MAX_CLIP_S)
    role = role_of(scope, target)
    take_away = role == "export"
    wants_part = query.get("partial", "") not in ("", "0")
    root = worker.settings.recordings_dir
    found = await worker.database.run(find_rows, scope, target, root, start_ns - INDEX_LATE_NS, end_ns)
    plan_it = partial(plan_clip, stop_at_change=wants_part)
    try:
        plan = await worker.file_threads.run(plan_it, [row.path for row in found.rows], start_ns, end_ns)
    except ClipChangesError as exc:
        at = rfc3339(exc.at_ns)
        raise Problem(
            409, exc.code, f"{exc.message} Request the time before {at} and the time after it separately."
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
    width_px = FrameParameters.parse(query).width_px
    root = worker.settings.recordings_dir
    nearest = query.get("nearest", "")
    if nearest not in ("", "key"):
        raise Problem(400, "bad_request", "The parameter 'nearest' must be 'key', or omitted.")
    find = partial(find_still, key_only=bool(nearest))
    since_ns = at_ns - TOLERANCE_NS - INDEX_LATE_NS
    found = await worker.database.run(find_rows, scope, target, root, since_ns, at_ns + 1)
    for row in reversed(found.rows):
        try:
            place = await worker.file_threads.run(find, row.path, at_ns)
        except DecodeError:
            continue
        if place is not None:
            break
    else:
        raise _nothing()
    if scope["method"] == "HEAD":
        await respond(send, 200, b"image/jpeg", b"", head=True)
        return
    captured_ns, jpeg = await worker.shared(Stills).take(place, width_px, user_of(found.watching[0]))
    headers = [(b"x-ninjacam-timestamp", rfc3339(captured_ns).encode())]
    await respond(send, 200, b"image/jpeg", jpeg, headers)
