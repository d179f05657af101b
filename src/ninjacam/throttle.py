"""Rate limits that all processes of this host share: failed logins, audit lines.

The state is a file of fixed size in the run directory, so an attacker cannot make it grow and failed logins do not
write to the database. Each key has a slot with one time, as the generic cell rate algorithm (GCRA) requires. Keys
are hashed with the secret key, so attackers cannot choose names that share a slot. Not here: the keys
(`ninjacam.auth`, `ninjacam.actions.sign_in`, `ninjacam.actions.audit`).
"""

import fcntl
import hashlib
import logging
import os
import struct
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

from ninjacam.conf import get_settings

logger = logging.getLogger("ninjacam.throttle")

SETS = 1 << 14
WAYS = 8
_SLOT = struct.Struct("<Qd")  # Fingerprint of the key, Unix time until which the slot is in use.
_SET_BYTES = WAYS * _SLOT.size
SIZE_BYTES = SETS * _SET_BYTES
"""2 MiB: 131,072 keys. In a full set, the slot that expires first is reused."""


class Throttle:
    """The rate limits. Safe for threads and processes. A call takes about 10 us and never raises."""

    def __init__(self, path: Path, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._secret = hashlib.blake2b(secret, person=b"ninjacam-thrott").digest()[:32]
        self._clock = clock
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._pid = 0
        self._memory: bytearray | None = None

    def take(self, key: str, *, burst: int, every_s: float) -> float:
        """Take a token from the bucket of `key`. Return 0.0 if there was one, else the seconds until there is one.

        `burst`: capacity of the bucket. `every_s`: seconds until one token is added.
        """
        now = self._clock()

        def step(until: float) -> tuple[float, float]:
            until = max(now, until)
            wait_s = until + every_s - now - burst * every_s
            return (until, wait_s) if wait_s > 1e-6 else (until + every_s, 0.0)

        return self._change(key, step)

    def give_back(self, key: str, *, every_s: float) -> None:
        """Return a token that `take` has taken."""
        self._change(key, lambda until: (until - every_s, 0.0))

    def claim(self, key: str, *, every_s: float) -> bool:
        """Return True, but only once in `every_s`."""
        return self.take(key, burst=1, every_s=every_s) == 0.0

    def mark(self, key: str, *, for_s: float) -> None:
        """Make `is_marked` return True for this time."""
        now = self._clock()
        self._change(key, lambda until: (max(until, now + for_s), 0.0))

    def is_marked(self, key: str) -> bool:
        now = self._clock()
        return self._change(key, lambda until: (until, float(until > now))) > 0

    def _change(self, key: str, step: Callable[[float], tuple[float, float]]) -> float:
        """Replace the time of `key` by the first value that `step` returns for it; return the second."""
        digest = hashlib.blake2b(
            key.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=16
        ).digest()
        fingerprint = int.from_bytes(digest[:8], "little") or 1
        offset = int.from_bytes(digest[8:], "little") % SETS * _SET_BYTES
        with self._lock:
            descriptor = self._open()
            try:
                if descriptor is not None:
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                try:
                    slots = list(_SLOT.iter_unpack(self._read(offset)))
                    way = next((n for n, slot in enumerate(slots) if slot[0] == fingerprint), -1)
                    until, answer = step(slots[way][1] if way >= 0 else 0.0)
                    if way < 0:
                        way = min(range(WAYS), key=lambda n: slots[n][1])
                    self._write(offset + way * _SLOT.size, _SLOT.pack(fingerprint, until))
                finally:
                    if descriptor is not None:
                        fcntl.flock(descriptor, fcntl.LOCK_UN)
            except OSError as error:
                self._give_up(error)
                return 0.0
        return answer

    def _open(self) -> int | None:
        """Return the file's descriptor, reopened after a fork; None if the state is in this process only."""
        if self._memory is not None:
            return None
        if self._descriptor is not None and self._pid == os.getpid():
            return self._descriptor
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            if os.fstat(descriptor).st_size != SIZE_BYTES:
                os.ftruncate(descriptor, SIZE_BYTES)
            self._descriptor, self._pid = descriptor, os.getpid()
        except OSError as error:
            self._give_up(error)
        return self._descriptor if self._memory is None else None

    def _read(self, offset: int) -> bytes:
        if self._memory is not None:
            return bytes(self._memory[offset : offset + _SET_BYTES])
        assert self._descriptor is not None
        return os.pread(self._descriptor, _SET_BYTES, offset).ljust(_SET_BYTES, b"\0")

    def _write(self, offset: int, data: bytes) -> None:
        if self._memory is not None:
            self._memory[offset : offset + len(data)] = data
            return
        assert self._descriptor is not None
        os.pwrite(self._descriptor, data, offset)

    def _give_up(self, error: OSError) -> None:
        """Limit only within this process, because the file cannot be used (permissions, a full disk)."""
        logger.warning("%s cannot be used (%s): limits are counted per process", self._path, error.strerror)
        self._memory = bytearray(SIZE_BYTES)


@lru_cache(maxsize=4)
def _throttle(path: Path, secret: str) -> Throttle:
    return Throttle(path, secret.encode())


def get_throttle() -> Throttle:
    """Return the limits of this host."""
    config = get_settings()
    return _throttle(config.run_dir / "throttle", config.secret_keys[0])


_MAX_FORWARDED_CHARS = 1000


def client_address(remote: str, forwarded: str) -> str:
    """Return the client's address, from the connection's address and the header X-Forwarded-For.

    The header is used only if the connection comes from a trusted proxy. Read from the right, it is the first
    address that does not belong to a trusted proxy.
    """
    if not is_trusted(remote):
        return remote
    for each in reversed(forwarded[-_MAX_FORWARDED_CHARS:].split(",")):
        if not is_trusted(each.strip()):
            return each.strip()
    return remote


def is_trusted(address: str) -> bool:
    """Return whether it is the address of a proxy in TRUSTED_PROXIES. Raises: ConfigError."""
    return _is_in(address, get_settings().trusted_proxies)


@lru_cache(maxsize=4096)
def _is_in(address: str, networks: tuple[str, ...]) -> bool:
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return not address  # A Unix socket, or unparsable: not one of our proxies.
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    return any(parsed in ip_network(network) for network in networks)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the key for limits: an IPv4 address, or the /64 network of an IPv6 address; "" if it does not identify
    a client.

    Loopback addresses and Unix sockets do not: all clients use them if a proxy on this host does not forward
    addresses, and one attacker must not lock out everyone.
    """
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    if parsed.is_loopback:
        return ""
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)
