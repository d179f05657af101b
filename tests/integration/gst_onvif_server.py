#!/usr/bin/python3
"""A GStreamer RTSP server with an ONVIF back channel: run it with the system's python3, which has gi.

  /usr/bin/python3 gst_onvif_server.py PORT FILE ENCODING

Serves rtsp://127.0.0.1:PORT/cam0, prints "listening", and writes the audio that it receives to FILE: 16 bits,
little-endian, mono. ENCODING: PCMU or PCMA.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

# Without the tee, a client that sets up only the back channel can end the whole pipeline, because its video is not
# linked.
VIDEO = (
    "videotestsrc is-live=true ! video/x-raw,format=I420,width=160,height=120 ! jpegenc "
    "! tee allow-not-linked=true ! rtpjpegpay name=pay0 pt=26"
)
DECODE = {"PCMU": (0, "rtppcmudepay ! mulawdec"), "PCMA": (8, "rtppcmadepay ! alawdec")}


def main() -> None:
    port, path, encoding = sys.argv[1:]
    number, decode = DECODE[encoding]
    Gst.init(None)
    server = GstRtspServer.RTSPOnvifServer.new()
    server.set_service(port)
    server.set_address("127.0.0.1")
    factory = GstRtspServer.RTSPOnvifMediaFactory.new()
    factory.set_media_gtype(GstRtspServer.RTSPOnvifMedia)
    factory.set_launch(f"( {VIDEO} )")
    caps = f"application/x-rtp,media=audio,payload={number},clock-rate=8000,encoding-name={encoding}"
    factory.set_backchannel_launch(
        f'( capsfilter caps="{caps}" name=depay_backchannel ! {decode} ! audio/x-raw,format=S16LE '
        f"! filesink location={path} buffer-mode=unbuffered async=false sync=false )"
    )
    server.get_mount_points().add_factory("/cam0", factory)
    server.attach(None)
    print("listening", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
