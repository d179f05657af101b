"""The addresses that may be searched: private networks that are attached to this host, or specified by the
administrator."""

import fcntl
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_network

from ninjacam.core.errors import ConfigError, ForbiddenAddressError
from ninjacam.sources.addresses import check_address
from ninjacam.sources.base import SourceConfig

MIN_PREFIX = 24
MAX_INTERFACES = 16
_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8")))
"""RFC 1918, and this host. Not `is_private`, which includes link-local and reserved networks."""
_SIOCGIFFLAGS, _SIOCGIFADDR, _SIOCGIFNETMASK = 0x8913, 0x8915, 0x891B
"""netdevice(7). Requests that need no privilege."""
_IFF_UP, _IFF_LOOPBACK, _IFF_POINTOPOINT, _IFF_MULTICAST = 0x1, 0x8, 0x10, 0x1000


@dataclass(frozen=True, slots=True)
class Attached:
    """An interface with its IPv4 address and network."""

    name: str
    interface: IPv4Interface

    @property
    def network(self) -> IPv4Network:
        return self.interface.network


def attached_networks() -> list[Attached]:
    """Return the private networks of this host's multicast interfaces, without loopback and point-to-point links."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for _, name in socket.if_nameindex()[: 4 * MAX_INTERFACES]:
            try:
                flags = struct.unpack_from("H", _ask(asker, _SIOCGIFFLAGS, name), 16)[0]
                address = socket.inet_ntoa(_ask(asker, _SIOCGIFADDR, name)[20:24])
                mask = socket.inet_ntoa(_ask(asker, _SIOCGIFNETMASK, name)[20:24])
            except OSError:  # It has no IPv4 address, or has just been removed.
                continue
            is_usable = flags & _IFF_UP and flags & _IFF_MULTICAST
            if is_usable and not flags & (_IFF_LOOPBACK | _IFF_POINTOPOINT):
                attached = Attached(name, IPv4Interface(f"{address}/{mask}"))
                if is_private(attached.interface.ip):
                    found.append(attached)
    return found[:MAX_INTERFACES]


def _ask(asker: socket.socket, request: int, name: str) -> bytes:
    return fcntl.ioctl(asker.fileno(), request, struct.pack("256s", name.encode()[:15]))


def is_private(address: IPv4Address) -> bool:
    return any(address in network for network in _PRIVATE)


def parse_network(text: str) -> IPv4Network:
    """Parse a network. Raises: ConfigError: malformed, not private, or of more than 256 addresses."""
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise ConfigError(f"{text[:50]!r} is not a network. Write it as 192.168.1.0/24.") from error
    if not isinstance(network, IPv4Network) or not any(network.subnet_of(each) for each in _PRIVATE):
        raise ConfigError("Only private IPv4 networks can be searched, such as 192.168.1.0/24.")
    if network.prefixlen < MIN_PREFIX:
        raise ConfigError("At most 256 addresses can be searched. Write /24 or a longer prefix.")
    return network


class Scope:
    """The addresses that one search may contact."""

    def __init__(
        self, attached: list[Attached], named: IPv4Network | None, allowed_networks: tuple[str, ...]
    ) -> None:
        self.attached = attached
        self.named = named
        self.config = SourceConfig("", allowed_networks=allowed_networks, open_timeout_s=1.0)
        self._own = {each.interface.ip for each in attached}

    def allows(self, text: str) -> bool:
        """Return whether the address is in a network of this search, and allowed for cameras. Never raises."""
        try:
            address = IPv4Address(text)
        except ValueError:
            return False
        if not is_private(address) or not self._contains(address):
            return False
        try:
            check_address(address, self.config)
        except (ForbiddenAddressError, ConfigError):
            return False
        return True

    def _contains(self, address: IPv4Address) -> bool:
        if self.named is not None and address in self.named:
            return True
        return any(
            address in each.network
            and (
                each.network.prefixlen > 30
                or address not in (each.network.network_address, each.network.broadcast_address)
            )
            for each in self.attached
        )

    def is_attached(self, address: IPv4Address) -> bool:
        return any(address in each.network for each in self.attached)

    def hosts(self) -> list[IPv4Address]:
        """Return the allowed addresses of the specified network, without this host's own addresses."""
        if self.named is None:
            return []
        hosts = list(self.named.hosts()) or [self.named.network_address]
        return [each for each in hosts if each not in self._own and self.allows(str(each))]
