import io
import logging
import subprocess
import sys

from ninjacam.core.log_limit import BURST, EVERY_S, MAX_KINDS, LogLimit
from ninjacam.testing.clock import FakeClock

CHILD = """
import logging
from ninjacam.supervision.child import run_loop

async def main():
    for number in range(5000):
        logging.getLogger("ninjacam.capture").warning("%s: %s", "door", f"error {number}")
        logging.getLogger("cameras").warning("of a processor: %s", number)

run_loop(main)
"""


class Log:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stream = io.StringIO()
        handler = logging.StreamHandler(self.stream)
        self.limit = LogLimit(monotonic=lambda: self.clock.monotonic_ns() / 1e9)
        handler.addFilter(self.limit)
        self.logger = logging.Logger("ninjacam.capture")
        self.logger.addHandler(handler)

    def lines(self) -> list[str]:
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return text.splitlines()


def test_a_flood_from_one_camera_leaves_a_few_lines_and_their_number() -> None:
    log = Log()
    for number in range(1000):
        log.logger.warning("%s: %s", "door", f"error {number}")
    assert log.lines() == [f"door: error {number}" for number in range(BURST)]
    log.clock.advance(EVERY_S)
    for number in range(1000):
        log.logger.warning("%s: %s", "door", f"late {number}")
    assert log.lines() == [f"door: late 0 ({1000 - BURST} more lines like this were left out)"]


def test_other_cameras_and_messages_are_still_logged() -> None:
    log = Log()
    for _ in range(100):
        log.logger.warning("%s: %s", "door", "lost")
    log.lines()
    log.logger.warning("%s: %s", "yard", "lost")
    log.logger.error("%s: %s", "door", "an error")
    log.logger.warning("%s: live", "door")
    assert log.lines() == ["yard: lost", "door: an error", "door: live"]


def test_the_memory_for_kinds_is_bounded() -> None:
    log = Log()
    for number in range(MAX_KINDS + 50):
        log.logger.warning("%s: lost", f"camera-{number}")
    assert len(log.limit._kinds) == MAX_KINDS


def test_a_child_process_has_the_limit_but_lines_of_user_code_pass() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert sum("ninjacam.capture" in line for line in lines) == BURST
    assert sum("of a processor" in line for line in lines) == 5000
