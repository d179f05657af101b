"""What a viewer of MJPEG gets who takes less than there is."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ninjacam.core.packets import CameraState, Codec, Flags, Kind, Packet
from ninjacam.front_door.messages import Message
from ninjacam.hub.request import StreamRequest
from ninjacam.live.mjpeg import AllParts, MjpegViewer, Parts


def test_a_slow_viewer_gets_the_newest_frame_next() -> None:
    async def go() -> None:
        open_again = asyncio.Event()
        sent: list[bytes] = []

        async def send(message: Message) -> None:
            await open_again.wait()
            sent.append(message["body"])

        feed = SimpleNamespace(state=CameraState.LIVE, refused=None, is_off=False, last_frame=None)
        pool = SimpleNamespace(join=lambda *_: feed, leave=lambda *_: None)
        everybody = AllParts(cast(Any, SimpleNamespace(pool=pool)))
        parts = Parts((Path("door.pixels"), StreamRequest(codec=Codec.MJPEG)), everybody)
        viewer = MjpegViewer(everybody, cast(Any, SimpleNamespace(principal=None)), {}, send)
        viewer.watch(parts)
        for number in range(10):
            data = b"picture %d" % number
            parts.on_packet(Packet(Kind.VIDEO, Codec.MJPEG, data, 0, 0, flags=Flags.KEY))
        open_again.set()
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(sent) == 2 and b"picture 0" in sent[0] and b"picture 9" in sent[1]
        await viewer.close()

    asyncio.run(go())
