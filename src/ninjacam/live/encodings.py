"""A feed in the WebSocket's format, produced once for all its viewers: each gets the same bytes object."""

import json
import logging
from typing import Any, Literal

from django.utils.translation import get_language, override

from ninjacam.codecs.bitstream import ParameterSets, parameter_sets, parse_sps
from ninjacam.core.errors import NinjacamError
from ninjacam.core.packets import MJPEG, VIDEO, Codec, Flags, Kind, Packet
from ninjacam.core.streams import split_key
from ninjacam.front_door.messages import Message
from ninjacam.live.sink import Sink
from ninjacam.outputs.fmp4 import encode_fragment, encode_init
from ninjacam.outputs.frames import encode_frame
from ninjacam.viewers.feeds import Feed
from ninjacam.viewers.worker import Worker

logger = logging.getLogger("ninjacam.live")

Format = Literal["annexb", "fmp4"]


def text_message(**fields: Any) -> Message:
    return {"type": "websocket.send", "text": json.dumps(fields, separators=(",", ":"))}


class Subscriber:
    """One subscription of one socket, as seen by its encoding. `codecs`: what the client can decode. `details`: the
    client may configure the camera, and receives full error messages. Its language is that of the task that creates it.

    `wants`: 0: every packet; 1: nothing before the next key frame; 2: the next key frame with the configuration.
    """

    __slots__ = ("codecs", "details", "id", "language", "sink", "state_sent", "wants")

    def __init__(self, number: int, sink: Sink, codecs: frozenset[str], *, details: bool = False) -> None:
        self.id = number
        self.details = details
        self.language = get_language()
        self.sink = sink
        self.codecs = codecs
        self.wants = 2
        self.state_sent: tuple[Any, ...] = ()

    def unplayable(self) -> None:
        """Called when the stream changes to a codec that the client cannot decode. May leave the encoding."""

    def refused(self, error: dict[str, Any]) -> None:
        """Called when the stream does not exist. May leave the encoding."""

    def send_message(self, **fields: Any) -> None:
        self.sink.put(text_message(id=self.id, **fields))

    def send_state(self, feed: Feed) -> None:
        """Send the state of the stream, if it is known and has changed."""
        with override(self.language):  # The task is that of the feed, which has viewers in several languages.
            state = (feed.state.value, feed.message(details=self.details), feed.view_error)
        if feed.has_state and state != self.state_sent:
            self.state_sent = state
            self.send_message(op="state", state=state[0], message=state[1], view_error=state[2])


class Encoding:
    """One feed in one format, with one stream number. Created and ended by Encodings."""

    def __init__(self, number: int, key: "Key", encodings: "Encodings") -> None:
        self.number = number
        self.key = key
        self.members: tuple[Subscriber, ...] = ()
        self._encodings = encodings
        self._sets: ParameterSets | None = None
        self._codec = Codec.NONE
        self._size = (0, 0)
        self._init = b""
        self._described: dict[str, Any] | None = None
        self.feed: Feed = encodings.pool.join(key[0], key[1], self)
        for packet in self.feed.gop:
            if packet.is_key and packet.kind is Kind.VIDEO:
                self._configure(packet)

    # --- callbacks of the feed ---

    def on_packet(self, packet: Packet) -> None:
        if packet.kind is not VIDEO:
            return
        if packet.is_key and self._configure(packet):
            for member in self.members:
                if packet.codec.label in member.codecs:
                    member.wants = 2
                    self._describe(member)
                else:
                    member.unplayable()
        if self._described is None:
            return
        size = len(packet.data)
        slot = self if packet.codec is MJPEG else None
        message: Message | None = None
        for member in self.members:
            if member.wants:
                if not packet.is_key:
                    continue
                if member.wants == 2:
                    member.wants = 0
                    member.sink.put(self._encode(packet, configure=True), size, slot)
                    continue
                member.wants = 0
            if message is None:
                message = self._encode(packet)
            member.sink.put(message, size, slot)

    def on_state(self) -> None:
        for member in self.members:
            member.send_state(self.feed)

    def on_refused(self, error: dict[str, Any]) -> None:
        for member in self.members:
            member.refused(error)

    # --- members ---

    def add(self, member: Subscriber) -> None:
        """Add a member: send it the state, and the frames since the last key frame."""
        member.wants = 2
        self.members = (*self.members, member)
        member.send_state(self.feed)
        if self._described is None:
            return
        self._describe(member)
        slot = self if self._codec is Codec.MJPEG else None
        for packet in self.feed.gop:
            if packet.kind is Kind.VIDEO and (not member.wants or packet.is_key):
                message = self._encode(packet, configure=bool(member.wants))
                member.wants = 0
                member.sink.put(message, len(packet.data), slot)

    def remove(self, member: Subscriber) -> None:
        """Idempotent."""
        self.members = tuple(other for other in self.members if other is not member)
        if not self.members:
            self._encodings.end(self)

    def _describe(self, member: Subscriber) -> None:
        if self._described is not None:
            member.send_message(op="stream", **self._described)

    # --- bytes ---

    def _configure(self, packet: Packet) -> bool:
        """Return whether the clients' decoders must be reconfigured at this key frame."""
        try:
            if packet.codec is Codec.MJPEG:
                sets, size = None, (packet.width_px, packet.height_px)
                if self._described is not None and (self._codec, self._size) == (packet.codec, size):
                    return False
                init, codec, form = b"", "mjpeg", "jpeg"
            else:
                sets = parameter_sets(packet.codec, packet.data)
                if not sets or (sets == self._sets and self._codec is packet.codec):
                    return False
                info = parse_sps(packet.codec, sets.sps[0])
                size, codec, form = (info.width_px, info.height_px), info.codec_string, self.key[2]
                init = b""
                if form == "fmp4":
                    init = encode_init(packet.codec, sets, info, time_base_hz=packet.time_base_hz)
        except NinjacamError as exc:
            logger.info("%s: a key frame cannot be described: %s", self.key[0].name, exc)
            return False
        self._codec, self._sets, self._size, self._init = packet.codec, sets, size, init
        self._described = {
            "stream": self.number, "source": self._source(), "codec": codec, "width": size[0],
            "height": size[1], "format": form,
        }  # fmt: skip
        return True

    def _source(self) -> str:
        """Return the name of the camera's stream that the frames come from."""
        named = self.feed.info.extra.get("stream") if self.feed.info is not None else None
        return str(named or split_key(self.feed.path.stem)[1])

    def _encode(self, packet: Packet, *, configure: bool = False) -> Message:
        flags = packet.flags | Flags.CONFIG if configure else packet.flags & ~Flags.CONFIG
        payload = packet.data
        if self.key[2] == "fmp4" and packet.codec is not MJPEG:
            payload = encode_fragment(packet)
            if configure:
                payload = self._init + payload
        return {
            "type": "websocket.send",
            "bytes": encode_frame(packet, payload, stream=self.number, flags=flags),
        }


Key = tuple[Any, Any, Format, int]
"""Path and request of the feed, format, and lane. The binary header identifies the stream, not the subscription, so
two subscriptions of one socket never share one.
"""


class Encodings:
    """The encodings of this worker by their key. Stream numbers have 16 bits and are unique among current encodings."""

    def __init__(self, worker: Worker) -> None:
        self.pool = worker.pool
        self._by_key: dict[Key, Encoding] = {}
        self._numbers: set[int] = set()
        self._last = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, path: Any, request: Any, form: Format, *, taken: set[Encoding]) -> Encoding:
        """Return a number that is not in `taken`."""
        lane = 0
        while (encoding := self._by_key.get((path, request, form, lane))) in taken:
            lane += 1
        if encoding is None or encoding.feed.refused is not None:
            key: Key = (path, request, form, lane)
            encoding = self._by_key[key] = Encoding(self._number(), key, self)
        return encoding

    def _number(self) -> int:
        while True:
            self._last = self._last % 0xFFFF + 1
            if self._last not in self._numbers:
                self._numbers.add(self._last)
                return self._last

    def end(self, encoding: Encoding) -> None:
        self.pool.leave(encoding.feed, encoding)
        self._numbers.discard(encoding.number)
        if self._by_key.get(encoding.key) is encoding:
            del self._by_key[encoding.key]
