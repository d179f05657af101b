"""What can be wrong with a fake RTSP camera. Every field may be changed while it runs, from any thread."""

from dataclasses import dataclass


@dataclass(slots=True)
class Faults:
    """The defaults are a healthy camera. One object per stream."""

    freeze: bool = False
    """Send no media, keep the connections, and continue to respond."""
    loss: float = 0.0
    """Share of RTP packets that are never sent (their sequence numbers are missing)."""
    reorder: float = 0.0
    """Share of RTP packets that change places with the next one."""
    garbage: float = 0.0
    """Share of RTP packets whose payload is random bytes. `FakeRtspCamera.inject` breaks the framing as well."""
    hang: tuple[str, ...] = ()
    """Methods that are never answered; "*": all."""
    answer_delay_s: float = 0.0
    trickle_s: float = 0.0
    """Answers are sent one byte at a time, with this pause between them."""
    web_page: bool = False
    """Answer everything with an HTML page over HTTP, and close."""
    redirect_to: str = ""
    """DESCRIBE is answered 302 with this URL."""
    describe_status: int = 0
    """DESCRIBE is answered with this status."""
    no_video: bool = False
    """The session description has no video."""
    codec_name: str = ""
    """The session description claims the video to be this, such as "VP8"."""
    declared_fps: float = 0.0
    """The session description declares this frame rate; 0: that of the clip."""
    sdp_parameter_sets: bool = True
    in_band_parameter_sets: bool = True
    refuse_tcp: bool = False
    refuse_udp: bool = False
    session_timeout_s: int = 60
    """Announced, and enforced: a session that is not kept alive is cut."""
    rtcp_keeps_alive: bool = True
    """False: only requests keep a session alive."""
    sender_reports: bool = True
    sender_report_interval_s: float = 5.0
    wall_offset_s: float = 0.0
    """Error of the camera's clock in the sender reports."""
    back_channel: tuple[str, ...] = ()
    """Formats that the camera's loudspeaker takes, such as "PCMU/8000"; empty: it has none."""
    require_status: int = 551
    """Without a loudspeaker: the answer to a DESCRIBE that requires one; 0: the description without it."""
    back_channel_status: int = 0
    """SETUP of the loudspeaker is answered with this status."""
    back_channel_record_only: bool = False
    """PLAY of a session with the loudspeaker alone is refused; RECORD is accepted."""
    back_channel_packets: int = 0
    """The camera closes the connection after this many packets of audio; 0: never."""
