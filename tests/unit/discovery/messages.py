"""Valid messages, as devices send them, which the tests break."""

import socket
import struct

SENDER = "192.168.1.20"
PROBE_MATCHES = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:d="d" xmlns:a="a"><e:Body>',
    b"<d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:1</a:Address></a:EndpointReference>",
    b"<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>",
    b"<d:Scopes>onvif://www.onvif.org/name/HIKVISION%20DS-2CD2042 onvif://www.onvif.org/hardware/DS-2CD2042 "
    b"onvif://www.onvif.org/type/video_encoder</d:Scopes>",
    b"<d:XAddrs>http://10.0.0.1/onvif http://192.168.1.20:8000/onvif/device_service</d:XAddrs>",
    b"</d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>",
)
DESCRIPTION = (
    b"<?xml version='1.0'?><root xmlns='urn:schemas-upnp-org:device-1-0'><device>",
    b"<deviceType>urn:schemas-upnp-org:device:Basic:1</deviceType><friendlyName>Yard</friendlyName>",
    b"<manufacturer>AXIS</manufacturer><modelName>AXIS M3045 Network Camera</modelName></device></root>",
)
SSDP = (
    b"HTTP/1.1 200 OK\r\n",
    b"CACHE-CONTROL: max-age=1800\r\n",
    b"LOCATION: http://192.168.1.20:49152/rootdesc.xml\r\n",
    b"ST: upnp:rootdevice\r\n\r\n",
)
PAGE = (
    b"HTTP/1.1 401 Unauthorized\r\n",
    b"Server: App-webs/\r\n",
    b'WWW-Authenticate: Digest realm="IP Camera(C2189)", nonce="1"\r\n\r\n',
    b"<html><title>Login</title>",
)
ARP = (
    b"IP address       HW type     Flags       HW address            Mask     Device\n",
    b"192.168.1.20     0x1         0x2         44:19:b6:01:02:03     *        eth0\n",
    b"192.168.1.21     0x1         0x0         00:00:00:00:00:00     *        eth0\n",
)


def name(*labels: bytes) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def record(owner: bytes, kind: int, data: bytes) -> bytes:
    return owner + struct.pack(">HHIH", kind, 1, 10, len(data)) + data


RTSP = (b"_rtsp", b"_tcp", b"local")
HEAD = struct.pack(">6H", 0, 0x8400, 0, 1, 0, 2)
MDNS = (
    HEAD,
    record(name(*RTSP), 12, name(b"Garden Cam", *RTSP)),
    record(name(b"Garden Cam", *RTSP), 33, struct.pack(">3H", 0, 0, 8554) + name(b"cam", b"local")),
    record(name(b"cam", b"local"), 1, socket.inet_aton("192.168.1.22")),
)
