#!/usr/bin/python3
"""A GStreamer RTSP server of launch lines, one per stream. Run it with the system's python3, which has gi.

  /usr/bin/python3 gst_server.py PORT [--user U --password P [--digest]] [--address A] [--multicast INTERFACE] LAUNCH
    [LAUNCH ...]

Serves rtsp://127.0.0.1:PORT/cam0, /cam1 ... and prints "listening" when it is ready.
"""

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port")
    parser.add_argument("launch", nargs="+")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--digest", action="store_true")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--multicast", default="", help="send to 239.255.77.20 only, on this interface")
    arguments = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_service(arguments.port)
    server.set_address(arguments.address)
    permissions = None
    if arguments.user:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        if arguments.digest:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(arguments.user, arguments.password, token)
        else:
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(arguments.user, arguments.password), token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    for index, launch in enumerate(arguments.launch):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {launch} )")
        factory.set_shared(True)
        if arguments.multicast:
            addresses = GstRtspServer.RTSPAddressPool()
            addresses.add_range("239.255.77.20", "239.255.77.20", 45000, 45010, 1)
            factory.set_address_pool(addresses)
            factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP_MCAST)
            factory.set_multicast_iface(arguments.multicast)
        if permissions is not None:
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(f"/cam{index}", factory)
    server.attach(None)
    print("listening", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
