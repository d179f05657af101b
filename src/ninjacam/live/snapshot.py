"""`/live/<slug>/snapshot.jpg`: the current frame, or a problem that explains why there is none."""

import asyncio

from ninjacam.front_door.messages import Receive, Scope, Send
from ninjacam.front_door.mount import Target
from ninjacam.front_door.responses import respond
from ninjacam.outputs.mjpeg import rfc3339
from ninjacam.problems import problem_of_stream, stopping
from ninjacam.viewers import auth
from ninjacam.viewers.feeds import FrameWaiter
from ninjacam.viewers.frame_parameters import FrameParameters
from ninjacam.viewers.turns import Turns, user_of
from ninjacam.viewers.worker import Worker

TIMEOUT_S = 5.0
AT_ONCE = 16
AT_ONCE_OF_USER = 8
"""A camera without a frame occupies a turn for TIMEOUT_S."""
MAX_WAITING = 256
MAX_WAITING_OF_USER = 32


class SnapshotTurns(Turns):
    """The turns of a worker's users at snapshots."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(
            AT_ONCE,
            at_once_of_user=AT_ONCE_OF_USER,
            max_waiting=MAX_WAITING,
            max_waiting_of_user=MAX_WAITING_OF_USER,
        )


async def serve_snapshot(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Users take turns, so that one who asks for many does not keep others waiting. Permissions are checked again
    after a long wait. Raises: Problem."""
    parameters = FrameParameters.parse(auth.query_of(scope))
    asked = (auth.authorise_live, scope, target, parameters.stream, parameters.width_px, "thumbnail")
    loop = asyncio.get_running_loop()
    access, checked_s = await worker.database.run(*asked), loop.time()
    if scope["method"] == "HEAD":
        await respond(send, 200, b"image/jpeg", b"", head=True)
        return
    async with worker.shared(SnapshotTurns).turn(user_of(access.principal)):
        if worker.stop.is_set():
            raise stopping()
        if loop.time() - checked_s > worker.settings.reauth_s:
            access = await worker.database.run(*asked)
        await _serve_frame(worker, send, access, parameters)


async def _serve_frame(
    worker: Worker, send: Send, access: auth.LiveAccess, parameters: FrameParameters
) -> None:
    waiter = FrameWaiter()
    key = worker.pool.pixels_of(access, parameters.stream_request(worker.settings.mjpeg_quality))
    feed = worker.pool.join(*key, waiter)
    try:
        await waiter.wait(feed, timeout_s=TIMEOUT_S, live_only=True)
        packet = feed.last_frame
    finally:
        worker.pool.leave(feed, waiter)
    if feed.refused is not None:
        raise problem_of_stream(access.refusal(feed.refused))
    if packet is None or not feed.fresh:
        raise feed.no_frame(details=await worker.may_see_details(access))
    headers = [(b"x-ninjacam-state", feed.state.value.encode())]
    if packet.captured_ns:
        headers.append((b"x-ninjacam-timestamp", rfc3339(packet.captured_ns).encode()))
    await respond(send, 200, b"image/jpeg", packet.data, headers)
