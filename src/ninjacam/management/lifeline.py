"""How the members of one family end together.

Each gets the reading end of a pipe whose writing end only the parent holds. When the parent is gone, however it went,
the pipe is at its end and the member stops.
"""

import asyncio
import os
from collections.abc import Callable

LIFELINE_VARIABLE = "NINJACAM_LIFELINE_FD"


def follow_lifeline(on_end: Callable[[], None]) -> None:
    """Call `on_end` in the running loop when the parent is gone. Nothing happens without a parent of ours."""
    given = os.environ.get(LIFELINE_VARIABLE)
    if not given:
        return
    descriptor = int(given)
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(descriptor)
        on_end()

    loop.add_reader(descriptor, ended)
