"""From packets to views, in the threads of the pipeline: which picture is whose."""

import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ninjacam import Frame, Text
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.packets import CameraState, Codec, Packet, StreamInfo
from ninjacam.core.processors import FunctionProcessor, Registration
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import Channel
from ninjacam.supervision.crash_record import RunningFile
from ninjacam.testing import stamp
from ninjacam.vision.context import Shared, Variant, ViewContext
from ninjacam.vision.pipeline import Pipeline
from tests.harness.processes import wait_until
from tests.harness.recordings import encode_stamped

PICTURES = 40


def number_of(frame: Frame) -> list[Text]:
    return [Text(0, 0, str(stamp.read(frame.gray)))]


@pytest.mark.parametrize("bframes", [0, 2])
def test_annotations_have_the_time_of_their_frame(tmp_path: Path, bframes: int) -> None:
    info = StreamInfo("door", state=CameraState.LIVE)
    published: list[Packet] = []
    shared = Shared(variants=(Variant(StreamRequest("numbers", Codec.ANNOTATIONS), Channel(info)),))
    numbers = Registration("numbers", partial(FunctionProcessor, number_of), ("*",), "cameras")
    code = SimpleNamespace(current={"numbers": numbers})
    pipeline = Pipeline(
        ViewContext(
            camera="door",
            code=cast(Any, code),
            shared=shared,
            running=RunningFile(tmp_path / "running"),
            publish=lambda pairs: published.extend(packet for _, packet in pairs),
            on_health=lambda: None,
            clock=SYSTEM_CLOCK,
        )
    )
    packets = [
        each._replace(received_ns=time.monotonic_ns() + 10**11)  # none is late, however slow this machine is
        for each in encode_stamped(PICTURES, bframes=bframes)
    ]
    times = {each.captured_ns // 1000 for each in packets}
    pipeline.put_info(replace(info))
    try:
        for number, packet in enumerate(packets):
            pipeline.put(packet)
            wait_until(lambda number=number: len(published) >= number - 4, 10, "what was seen")  # type: ignore[misc]
    finally:
        pipeline.stop()
    first_us = min(times)
    assert len(published) > PICTURES - 6
    for seen in published:
        told = json.loads(seen.data)
        number = int(told["annotations"][0]["label"])
        assert told["captured_us"] == seen.captured_ns // 1000
        assert told["captured_us"] == pytest.approx(first_us + number * 40_000, abs=1)
