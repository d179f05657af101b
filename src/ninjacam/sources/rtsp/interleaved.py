"""Packets interleaved with messages on the TCP connection (RFC 2326, section 10.12)."""

import re

from ninjacam.sources.rtsp.connection import ChannelHandler, RtspConnection
from ninjacam.sources.rtsp.delivery import OnRtcp, is_rtcp, transport_parameters
from ninjacam.sources.rtsp.tracks import RtspTrack


class Interleaved:
    """A `Delivery`. The camera may choose channels other than those offered, even the same ones for two tracks."""

    refusal = "The camera does not send RTP over TCP: set the transport of this camera to UDP."
    ordered = True

    def __init__(self, connection: RtspConnection) -> None:
        self._connection = connection
        self._tracks: list[tuple[RtspTrack, int, int]] = []  # Tracks with their RTP and RTCP channels.

    @property
    def bytes_received(self) -> int:
        return self._connection.bytes_received

    @property
    def last_bytes_ns(self) -> int:
        return self._connection.last_bytes_ns

    def offers(self, index: int) -> tuple[str, ...]:
        return (f"RTP/AVP/TCP;unicast;interleaved={2 * index}-{2 * index + 1}",)

    def accept(self, index: int, track: RtspTrack, transport: str) -> None:
        text = transport_parameters(transport).get("interleaved", "")
        found = re.match(r"(\d{1,3})(?:\s*-\s*(\d{1,3}))?", text, re.ASCII)
        rtp = int(found[1]) if found else 256
        rtcp = int(found[2]) if found and found[2] else rtp + 1
        if rtp > 255 or rtcp > 255:
            rtp, rtcp = 2 * index, 2 * index + 1
        self._tracks.append((track, rtp, rtcp))

    def listen(self, on_rtcp: OnRtcp) -> None:
        for channel in {channel for _, rtp, rtcp in self._tracks for channel in (rtp, rtcp)}:
            carried = [track for track, rtp, _ in self._tracks if rtp == channel]
            reported = [track for track, _, rtcp in self._tracks if rtcp == channel]
            if len(carried) == 1 and not reported:
                handler: ChannelHandler = carried[0].receiver.receive
            elif carried:
                handler = _shared(carried, reported or carried, on_rtcp)
            else:
                handler = _reports(reported, on_rtcp)
            self._connection.handle(channel, handler)

    async def wait_for_media(self) -> None:
        return

    def send_rtcp(self, track: RtspTrack, data: bytes) -> None:
        channel = next(rtcp for each, _, rtcp in self._tracks if each is track)
        self._connection.write_interleaved(channel, data)

    def pause(self) -> None:
        self._connection.pause()

    def resume(self) -> None:
        self._connection.resume()

    def relax(self, interval_s: float) -> None:
        self._connection.relax(interval_s)

    def close(self) -> None:
        """The session closes the connection."""


def _reports(tracks: list[RtspTrack], on_rtcp: OnRtcp) -> ChannelHandler:
    """Return a handler of reports. It also passes on media, in case the camera confuses this channel with its media
    channel and sends no media there."""
    mistaken = False

    def handle(data: memoryview, start: int, stop: int, end: int, received_ns: int) -> int:
        nonlocal mistaken
        if stop - start >= 12 and len(tracks) == 1 and not is_rtcp(data[start + 1]):
            receiver = tracks[0].receiver
            mistaken = mistaken or not receiver.reception.packets
            return receiver.receive(data, start, stop, stop, received_ns) if mistaken else stop
        packet = bytes(data[start:stop])
        for track in tracks:
            on_rtcp(track, packet, received_ns)
        return stop

    return handle


def _shared(carried: list[RtspTrack], reported: list[RtspTrack], on_rtcp: OnRtcp) -> ChannelHandler:
    """Return a handler of a channel with several streams. The payload type identifies the stream; if several share
    it, the first one."""
    by_type = {track.payload_type: track.receiver.receive for track in reversed(carried)}
    reports = _reports(reported, on_rtcp)

    def handle(data: memoryview, start: int, stop: int, end: int, received_ns: int) -> int:
        if stop - start < 2:
            return stop
        second = data[start + 1]
        receive = reports if is_rtcp(second) else by_type.get(second & 0x7F)
        # Only up to `stop`: the data after it may belong to another track.
        return receive(data, start, stop, stop, received_ns) if receive else stop

    return handle
