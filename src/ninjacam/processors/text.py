"""The ready-made processor `text`: texts and number plates in the snapshots of events.

Needs the package rapidocr (extra `text`), which contains its networks.
"""

import json
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pydantic import BaseModel, Field, field_validator

from ninjacam import Processor, Result, processor
from ninjacam.core.errors import ConfigError
from ninjacam.core.event_calls import EventRecord, EventSnapshot
from ninjacam.processors.plain_text import clean

MAX_TEXTS = 20
MAX_TEXT_CHARS = 100
MAX_BYTES = 1800
"""Maximum size of the texts of an event as JSON. The best ones are kept."""
MAX_PATTERN_CHARS = 200
MATCH_S = 1.0
"""Seconds for the pattern and all texts of an image. Some patterns take years."""
MISSING = "The package rapidocr is not installed. Install it with: pip install 'ninjacam[text]'."


class TextOptions(BaseModel):
    crop: bool = Field(
        True, description="Read the object of the event only, with a margin; else the whole image."
    )
    min_score: float = Field(0.7, ge=0, le=1, description="Score from which a text counts.")
    pattern: str = Field(
        "",
        max_length=MAX_PATTERN_CHARS,
        description="Regular expression that a text must contain; only the matching part counts. Empty: all texts.",
    )
    kinds: list[str] = Field([], description="Kinds of events whose snapshots are read. Empty: all.")

    @field_validator("pattern")
    @classmethod
    def check_pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as exc:
            raise ValueError(f"This is not a regular expression: {exc}.") from exc
        return pattern


class FoundText(NamedTuple):
    text: str
    score: float


class TextReader:
    """RapidOCR. Raises: ConfigError: it is not installed."""

    def __init__(self) -> None:
        try:
            from rapidocr import RapidOCR  # Takes seconds, and only the process of events needs it.
        except ImportError as exc:
            raise ConfigError(MISSING) from exc
        self._engine = RapidOCR(params={"Global.log_level": "error"})

    def read(self, image: Any) -> list[FoundText]:
        """Return the texts in an image: uint8, (height, width, 3), BGR. From top to bottom."""
        found = self._engine(image)
        return [
            FoundText(str(text), float(score))
            for text, score in zip(found.txts or (), found.scores or (), strict=True)
        ]


@processor("text", when="events")
class EventTexts(Processor):
    """Texts and number plates in the snapshots of events."""

    Options = TextOptions

    def setup(self, camera: str, options: TextOptions) -> None:
        self.options = options
        self.pattern = re.compile(options.pattern)
        self.reader = TextReader()

    def process_event(self, event: EventRecord, snapshot: EventSnapshot) -> Result | None:
        if self.options.kinds and event.kind not in self.options.kinds:
            return None
        found = self.reader.read(snapshot.crop() if self.options.crop else snapshot.image)
        good = [each for each in found if each.score >= self.options.min_score]
        kept = _best(self._matching(good))
        if not kept:
            return None
        return Result(
            data={"texts": [each.text for each in kept], "scores": [round(each.score, 3) for each in kept]}
        )

    def _matching(self, found: list[FoundText]) -> list[FoundText]:
        """Return the matching parts of the texts. Raises: ConfigError: the pattern takes too long."""
        texts = [(clean(each.text)[:MAX_TEXT_CHARS], each.score) for each in found]
        if not self.options.pattern:
            return [FoundText(*each) for each in texts if each[0]]
        with _time_limit():
            matches = [(self.pattern.search(text), score) for text, score in texts]
        return [FoundText(match[0], score) for match, score in matches if match and match[0]]


def _best(found: list[FoundText]) -> list[FoundText]:
    """Return the texts with the best scores that fit into an event, in their order."""
    kept: set[FoundText] = set()
    size = 0
    for each in sorted(found, key=lambda each: -each.score):
        size += len(json.dumps(each.text)) + 10
        if len(kept) < MAX_TEXTS and size <= MAX_BYTES:
            kept.add(each)
    return [each for each in dict.fromkeys(found) if each in kept]


@contextmanager
def _time_limit() -> Iterator[None]:
    """Interrupt a regular expression, which polls for signals, after MATCH_S. In other threads than the main one, there
    is no limit but that of the call. Raises: ConfigError.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise ConfigError("The pattern takes too long. Use one without nested repetitions such as (a+)+.")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, MATCH_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
