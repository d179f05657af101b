"""One-shot DNS-SD queries by multicast DNS. Sources: RFC 1035 (messages), RFC 6762 (6.7), RFC 6763.

The query is sent from an ephemeral port, so responders answer by unicast ("legacy unicast"), and the port is not
shared with another responder on this host.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from ninjacam.core.errors import ProtocolError
from ninjacam.discovery.devices import Evidence
from ninjacam.discovery.makers import maker_of
from ninjacam.discovery.text import clean, clean_bytes

GROUP = ("224.0.0.251", 5353)
MAX_MESSAGE_BYTES = 9_000
"""RFC 6762, section 17."""
MAX_RECORDS = 128
MAX_LABELS = 32
_MAX_NAME_BYTES = 255
_A, _PTR, _TXT, _SRV = 1, 12, 16, 33
_IN = 1
_HEAD = struct.Struct(">6H")
_RECORD = struct.Struct(">HHIH")
SERVICES = ("_rtsp._tcp", "_onvif._tcp", "_axis-video._tcp", "_psia._tcp", "_hap._tcp")
_HOMEKIT_CAMERAS = ("ci=17", "ci=18")
"""HomeKit Accessory Protocol, accessory categories: IP camera, video doorbell."""

Name = tuple[bytes, ...]


def format_query() -> bytes:
    """Return one message that queries the instances of all `SERVICES`."""
    message = _HEAD.pack(0, 0, len(SERVICES), 0, 0, 0)
    for service in SERVICES:
        labels = [*service.encode().split(b"."), b"local"]
        name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
        message += name + struct.pack(">HH", _PTR, _IN)
    return message


@dataclass(frozen=True, slots=True)
class Record:
    """`data`: (name) of PTR, (port, name) of SRV, strings of TXT, IPv4 address of A."""

    name: Name
    kind: int
    data: tuple[bytes, ...] | IPv4Address
    port: int = 0


def parse_records(data: bytes) -> list[Record]:
    """Return the PTR, SRV, TXT and A records of a response, at most MAX_RECORDS. Raises: ProtocolError: malformed."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError("The DNS message is too long.")
    try:
        _, flags, questions, *counts = _HEAD.unpack_from(data)
        if not flags & 0x8000:
            return []
        at = _HEAD.size
        for _ in range(min(questions, MAX_RECORDS)):
            _, at = _read_name(data, at)
            at += 4
        found: list[Record] = []
        for _ in range(min(sum(counts), MAX_RECORDS)):
            name, at = _read_name(data, at)
            kind, _, _, length = _RECORD.unpack_from(data, at)
            at += _RECORD.size
            if at + length > len(data):
                raise ProtocolError("A DNS record is longer than its message.")
            record = _read_record(data, at, at + length, name, kind)
            if record is not None:
                found.append(record)
            at += length
    except (struct.error, IndexError) as exc:
        raise ProtocolError("The DNS message ends too early.") from exc
    return found


def _read_record(data: bytes, at: int, end: int, name: Name, kind: int) -> Record | None:
    if kind == _PTR:
        return Record(name, kind, _read_name(data, at)[0])
    if kind == _SRV:
        return Record(name, kind, _read_name(data, at + 6)[0], struct.unpack_from(">H", data, at + 4)[0])
    if kind == _A and end - at == 4:
        return Record(name, kind, IPv4Address(data[at:end]))
    if kind == _TXT:
        texts: list[bytes] = []
        while at < end and len(texts) < MAX_LABELS:
            size = data[at]
            texts.append(data[at + 1 : min(end, at + 1 + size)])
            at += 1 + size
        return Record(name, kind, tuple(texts))
    return None


def _read_name(data: bytes, at: int) -> tuple[Name, int]:
    """Return (labels, position after the name). Pointers must lead backwards, so they cannot loop.

    Raises: ProtocolError, IndexError.
    """
    labels: list[bytes] = []
    size, after = 0, -1
    while length := data[at]:
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | data[at + 1]
            after = at + 2 if after < 0 else after
            if target >= at:
                raise ProtocolError("A DNS name refers to itself.")
            at = target
            continue
        if length > 63:
            raise ProtocolError("A DNS name has a label of an unknown type.")
        label = data[at + 1 : at + 1 + length]
        size += 1 + len(label)
        if len(label) < length or size > _MAX_NAME_BYTES or len(labels) >= MAX_LABELS:
            raise ProtocolError("A DNS name is too long.")
        labels.append(label)
        at += 1 + length
    return tuple(labels), at + 1 if after < 0 else after


def _key(name: Name) -> Name:
    """Return the key of a name: names are compared without case."""
    return tuple(label.lower() for label in name)


class _Records:
    """The records of one message, by name and type."""

    def __init__(self, records: list[Record]) -> None:
        self.pointers = [each for each in records if each.kind == _PTR and len(each.name) >= 2]
        self._by_name = {(each.kind, _key(each.name)): each for each in records}

    def texts(self, name: Name) -> tuple[bytes, ...]:
        record = self._by_name.get((_TXT, _key(name)))
        return record.data if record is not None and isinstance(record.data, tuple) else ()

    def host(self, name: Name) -> tuple[Name, int]:
        """Return (name of the host, port) of a service."""
        record = self._by_name.get((_SRV, _key(name)))
        if record is None or not isinstance(record.data, tuple):
            return (), 0
        return record.data, record.port

    def address(self, host: Name) -> str:
        record = self._by_name.get((_A, _key(host)))
        return "" if record is None else str(record.data)


def parse_answer(data: bytes, sender: str) -> list[Evidence]:
    """Return the evidence about the sender, or the hosts in its response. The caller checks their addresses.

    Raises: ProtocolError.
    """
    records = _Records(parse_records(data))
    found = (_evidence(records, pointer, sender) for pointer in records.pointers)
    return [each for each in found if each is not None]


def _evidence(records: _Records, pointer: Record, sender: str) -> Evidence | None:
    """Return the evidence of a service instance; None: not a camera."""
    assert isinstance(pointer.data, tuple)
    service = b".".join(pointer.name[:2]).decode("ascii", "replace").lower()
    if service not in SERVICES:
        return None
    if service == "_hap._tcp" and not any(
        text.decode("ascii", "replace") in _HOMEKIT_CAMERAS for text in records.texts(pointer.data)
    ):
        return None
    host, port = records.host(pointer.data)
    name = clean_bytes(pointer.data[0]) if pointer.data else ""
    return Evidence(
        records.address(host) or sender,
        "mdns",
        "mdns_service",
        kind="camera",
        maker="Axis" if service == "_axis-video._tcp" else maker_of(name),
        name=name,
        hostname=clean(b".".join(host).decode("utf-8", "replace")),
        port=port if service == "_rtsp._tcp" else 0,
    )
