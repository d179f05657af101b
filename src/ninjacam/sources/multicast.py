"""Sockets that receive media over UDP, and the allowed multicast groups."""

import ipaddress
import socket
import struct

from ninjacam.sources.addresses import IpAddress

RECEIVE_BUFFER_BYTES = 4 << 20
"""Requested receive buffer; the kernel grants less if net.core.rmem_max is smaller. A key frame arrives in one
burst.
"""
_CONTROL = tuple(map(ipaddress.ip_network, ("224.0.0.0/24", "ff01::/16", "ff02::/16")))
"""Multicast groups of routing and naming protocols, which cameras never use."""
_IP_ADD_SOURCE_MEMBERSHIP = 39
_IP_MULTICAST_ALL = 49
"""linux/in.h. `socket` does not define these."""


def is_media_group(address: IpAddress) -> bool:
    """Return whether the address is a multicast group that may carry media."""
    return address.is_multicast and not any(address in network for network in _CONTROL)


def open_socket(address: IpAddress) -> socket.socket:
    """Return an unbound socket of the family of `address`. Raises: OSError."""
    made = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    return made


def open_group(
    group: IpAddress, port: int, interface: str = "", scope: int = 0, source: IpAddress | None = None
) -> socket.socket:
    """Return a socket that has joined a multicast group on the interface with the IPv4 address `interface`, or for
    IPv6 with the number `scope`. By default, the routing table determines the interface.

    `source`: accept only datagrams of this sender (IPv4; for IPv6, the caller compares the sender). Raises: OSError.
    """
    receiver = open_socket(group)
    try:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.bind((str(group), port))
        if group.version == 6:
            receiver.setsockopt(
                socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group.packed + struct.pack("@I", scope)
            )
            return receiver
        # Otherwise, groups that other programs have joined are received, too.
        receiver.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        membership = group.packed + ipaddress.IPv4Address(interface or "0.0.0.0").packed  # noqa: S104 (any interface)
        if isinstance(source, ipaddress.IPv4Address):
            receiver.setsockopt(socket.IPPROTO_IP, _IP_ADD_SOURCE_MEMBERSHIP, membership + source.packed)
        else:
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    except BaseException:
        receiver.close()
        raise
    return receiver
