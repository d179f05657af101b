"""`python -m ninjacam.processes.motion_search_job`: searches recordings for motion, for web workers and commands.

A separate process, because a decoder in C reads camera data. Reads {"files", "start_ns", "end_ns", "region",
"budget_s"} from standard input; prints a `MotionSearch` as JSON.
"""

import json
import os
import sys

from ninjacam.core.limits import confine, die_with_named_parent, keep_files_private

MEMORY_BYTES = 4 << 30
NICE = 10


def main() -> None:
    die_with_named_parent()
    keep_files_private()
    os.nice(NICE)
    question = json.load(sys.stdin)
    confine(memory_bytes=MEMORY_BYTES)
    import cv2

    from ninjacam.backtest.motion_search import search_motion
    from ninjacam.backtest.movements import Region
    from ninjacam.backtest.parts import RecordedFile
    from ninjacam.core.memory import keep_freed_frames

    cv2.setNumThreads(1)
    keep_freed_frames()
    found = search_motion(
        [RecordedFile(*each) for each in question["files"]],
        question["start_ns"],
        question["end_ns"],
        Region(*question["region"]),
        budget_s=question["budget_s"],
    )
    sys.stdout.write(json.dumps(found.as_dict()))


if __name__ == "__main__":
    main()
