"""Limits the TCP connections of this worker process, under any server.

It lists the process's own file descriptors, so it also works if no Python code has access to the sockets (granian).
To close a connection, it calls shutdown(2): the server reads the end of the stream and closes it. Linux only. See
docs/design/0006-front-door.md.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import socket
import stat
import sys
import termios
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ninjacam.front_door.log_limits import log_rarely

logger = logging.getLogger("ninjacam.front_door")

IDLE_S = 10.0
"""Maximum seconds without a complete request head: before the first request, and between requests."""
DEFER_S = 1
"""Seconds after which the kernel passes on a connection that has sent nothing."""
NEW_S = 0.1
"""Seconds for which a new connection is not closed in favor of another one: the server may be about to serve its
request."""
MAX_IDLE_PER_ADDRESS = 64
"""Maximum number of connections without a request per address and worker. A browser opens six."""
MANY_CLOSED = 16
"""Minimum number of connections closed in one check that is logged as a warning. Browsers open a few in advance.
"""
TICK_S, BUSY_TICK_S = 1.0, 0.2
"""Seconds between two checks; the shorter interval applies if more than a quarter of the connections are in use."""
START_TICK_S = 0.05
"""Seconds between checks until the server listens, which it does after the application has started."""

BACKLOG = 2048
"""Backlog of a listening socket. Asyncio uses 100, which a burst exceeds immediately."""
_TCP_INFO_UNACKED = 24
"""Offset of `tcpi_unacked` in struct tcp_info (linux/tcp.h); for a listening socket, the number of connections to
accept."""

Peer = tuple[str, int]
"""The remote address and port of a socket."""

_FDS = "/proc/self/fd"


@dataclass(slots=True)
class _Socket:
    """A socket of this process. `peer` None: a listening socket, or not TCP. `waiting`: number of connections that
    are not accepted yet."""

    peer: Peer | None = None
    local_port: int = 0
    listens: bool = False
    idle_since_s: float = 0.0
    waiting: int = 0

    @property
    def is_new(self) -> bool:
        """Return whether it is a TCP socket that is neither listening nor connected yet."""
        return self.peer is None and self.local_port > 0 and not self.listens


class Connections:
    """Owner: the worker's LiveApplication; thread: the event loop.

    `max_connections`: of this worker; beyond it, the oldest idle connections of the address with the most are
    closed. `is_trusted`: whether an address belongs to a proxy, which may have any number of connections.
    """

    def __init__(
        self,
        max_connections: int,
        is_trusted: Callable[[str], bool],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cut_count = 0
        self._max = max_connections
        self._is_trusted = is_trusted
        self._monotonic = monotonic
        self._sockets: dict[int, _Socket] = {}
        self._ports: set[int] = set()
        self._requests: Counter[Peer] = Counter()
        self._bodies: Counter[Peer] = Counter()
        self._answered: set[Peer] = set()
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False
        self._waiting = 0
        self._is_settled = False
        """Whether no check is needed until a connection is announced, or a request ends."""
        self._changed: asyncio.Event | None = None

    # --- reports of the application ---

    @contextlib.contextmanager
    def request(self, peer: Peer | None) -> Iterator[None]:
        """Mark a connection as busy while one of its requests is served."""
        if peer is None:
            yield
            return
        self._requests[peer] += 1
        try:
            yield
        finally:
            _decrease(self._requests, peer)
            self._answered.add(peer)
            if self._changed is not None:
                self._changed.set()

    @contextlib.contextmanager
    def body(self, peer: Peer | None) -> Iterator[None]:
        """Mark a connection as waiting for a request body. Like an idle one, it may be closed in favor of others."""
        if peer is None:
            yield
            return
        self._bodies[peer] += 1
        try:
            yield
        finally:
            _decrease(self._bodies, peer)

    def expect_announcements(self) -> Callable[[], None]:
        """Return the function that the server calls for each connection that it accepts. Call it before `start`.

        Without idle connections, no check is needed until a connection is announced, or becomes idle.
        """
        self._changed = asyncio.Event()
        return self._changed.set

    # --- lifecycle ---

    def start(self) -> None:
        """Call once, in the event loop."""
        if self._watching is None and os.path.isdir(_FDS):
            self._watching = asyncio.get_running_loop().create_task(self._watch(), name="live-connections")

    def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def begin_stop(self) -> None:
        """Close idle connections at once from now on: gunicorn waits half a minute for them."""
        if self._watching is not None and not self._stopping:
            self._stopping = True
            self._watching.cancel()
            self._watching = asyncio.get_running_loop().create_task(self._watch(), name="live-connections")

    async def _watch(self) -> None:
        settled_looks = 0
        while True:
            if self._changed is not None:
                self._changed.clear()
            if self._stopping:
                self._cut(self._idle(self._look()))
            else:
                self.look_once()
            settled_looks = settled_looks + 1 if self._is_settled else 0
            # Not after the first check: the server may set its own backlog later.
            if self._changed is not None and settled_looks > 1:
                await self._changed.wait()
            await asyncio.sleep(self._tick_s())

    def _tick_s(self) -> float:
        if not self._ports:
            return START_TICK_S
        is_busy = len(self._sockets) >= self._max // 4 or self._waiting > 0 or self._stopping
        return BUSY_TICK_S if is_busy else TICK_S

    def look_once(self) -> None:
        """Close connections that have been idle for too long, or exceed a limit."""
        now_s = self._monotonic()
        served = self._look()
        idle = self._idle(served)
        chosen = {inode: each for inode, each in idle.items()
                  if now_s - each.idle_since_s > IDLE_S and each.peer not in self._bodies}  # fmt: skip
        chosen |= self._too_many(_without(idle, chosen))
        excess = max(0, len(served) - len(chosen) - self._max)
        chosen |= _oldest_of_the_largest(_without(idle, chosen), excess)
        older = {inode: each for inode, each in idle.items() if now_s - each.idle_since_s > NEW_S}
        room = _oldest_of_the_largest(_without(older, chosen), self._missing_places() - excess)
        count = self._cut(chosen) + self._cut(room, spare_unread=True)
        if count:
            self._log_closed(count)

    def _log_closed(self, count: int) -> None:
        is_many = count >= MANY_CLOSED
        log_rarely(
            logger,
            "many-connections-closed" if is_many else "connections-closed",
            "Closed %d %s without a request (%d since the start)",
            count,
            "connection" if count == 1 else "connections",
            self.cut_count,
            level=logging.WARNING if is_many else logging.INFO,
        )

    # --- selection ---

    def _missing_places(self) -> int:
        """Return how many connections wait in the kernel, if some also waited at the previous check.

        The server does not accept them, because its limit is lower than ours (granian), it cannot open more files,
        or it is busy.
        """
        waiting = sum(each.waiting for each in self._sockets.values())
        before, self._waiting = self._waiting, waiting
        return waiting if before else 0

    def _idle(self, served: dict[int, _Socket]) -> dict[int, _Socket]:
        return {
            inode: each
            for inode, each in served.items()
            if each.peer not in self._requests or each.peer in self._bodies
        }

    def _too_many(self, idle: dict[int, _Socket]) -> dict[int, _Socket]:
        """Return the connections above MAX_IDLE_PER_ADDRESS, oldest first."""
        by_address = _by_address(idle)
        return {
            inode: each
            for address, group in by_address.items()
            if len(group) > MAX_IDLE_PER_ADDRESS and not self._is_trusted(address)
            for inode, each in group[: len(group) - MAX_IDLE_PER_ADDRESS]
        }

    # --- the process's sockets ---

    def _list_sockets(self, now_s: float) -> dict[int, _Socket]:
        """Return the sockets of this process, by inode."""
        present: dict[int, _Socket] = {}
        for descriptor, inode in _socket_descriptors():
            known = self._sockets.get(inode)
            if known is None or known.is_new:
                known = _examine(descriptor)
                known.idle_since_s = now_s
            elif known.listens:
                known.waiting = _accept_queue(descriptor)
            present[inode] = known
        return present

    def _look(self) -> dict[int, _Socket]:
        """Return the connections that this process has accepted, by inode."""
        now_s = self._monotonic()
        self._sockets = present = self._list_sockets(now_s)
        # Keep their ports: servers close listening sockets first when they stop.
        self._ports |= {each.local_port for each in present.values() if each.listens}
        served = {
            inode: each
            for inode, each in present.items()
            if each.peer is not None and each.local_port in self._ports
        }
        has_waiting = any(each.waiting for each in present.values())
        self._is_settled = bool(self._ports) and not has_waiting and not self._idle(served)
        for each in served.values():
            if each.peer in self._requests or each.peer in self._answered:
                each.idle_since_s = now_s
        self._answered.clear()
        return served

    def _cut(self, chosen: dict[int, _Socket], *, spare_unread: bool = False) -> int:
        """Close connections, and return their number. `spare_unread`: except those with a request that a busy server
        has not read yet."""
        count = 0
        for descriptor, inode in _socket_descriptors() if chosen else ():
            each = chosen.get(inode)
            if each is not None and _shut_down(descriptor, each.peer, spare_unread=spare_unread):
                count += 1
        self.cut_count += count
        return count

    def abort(self, peer: Peer | None) -> None:
        """Close one connection at once, without waiting for its peer to read."""
        found = {
            inode: each for inode, each in self._look().items() if peer is not None and each.peer == peer
        }
        self._cut(found)


def _without(connections: dict[int, _Socket], chosen: dict[int, _Socket]) -> dict[int, _Socket]:
    return {inode: each for inode, each in connections.items() if inode not in chosen}


def _decrease(counter: Counter[Peer], peer: Peer) -> None:
    counter[peer] -= 1
    if counter[peer] <= 0:
        del counter[peer]


def _by_address(connections: dict[int, _Socket]) -> dict[str, list[tuple[int, _Socket]]]:
    """Return the connections by address, oldest first."""
    groups: dict[str, list[tuple[int, _Socket]]] = defaultdict(list)
    for inode, each in sorted(connections.items(), key=lambda item: item[1].idle_since_s):
        if each.peer is not None:
            groups[each.peer[0]].append((inode, each))
    return groups


def _oldest_of_the_largest(idle: dict[int, _Socket], count: int) -> dict[int, _Socket]:
    """Return `count` connections, each the oldest of the address that has the most at that point."""
    groups = _by_address(idle)
    chosen: dict[int, _Socket] = {}
    while groups and len(chosen) < count:
        sizes = sorted((len(group) for group in groups.values()), reverse=True)
        address = max(groups, key=lambda each: len(groups[each]))
        # Reduce the largest address to the size of the next one at once, or by one if their sizes are equal.
        step = min(count - len(chosen), max(1, sizes[0] - (sizes[1] if len(sizes) > 1 else 0)))
        chosen |= dict(groups[address][:step])
        groups[address] = groups[address][step:]
        if not groups[address]:
            del groups[address]
    return chosen


def _socket_descriptors() -> Iterable[tuple[int, int]]:
    """Return (descriptor, inode) of each socket that this process has open."""
    for name in os.listdir(_FDS):
        try:
            status = os.fstat(int(name))
        except OSError:  # Closed meanwhile, like the descriptor of the listing itself.
            continue
        if stat.S_ISSOCK(status.st_mode):
            yield int(name), status.st_ino


def _examine(descriptor: int) -> _Socket:
    found = _Socket()
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as each:
        if each.family not in (socket.AF_INET, socket.AF_INET6) or each.type != socket.SOCK_STREAM:
            return found
        found.local_port = each.getsockname()[1]
        found.listens = bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        if found.listens:
            # Accepted sockets inherit it. Otherwise Nagle's algorithm delays the body of a response by 40 ms if the
            # event loop does not know that it serves TCP (uvicorn --fd).
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A connection is accepted when it has sent something, so those that are opened and closed cost no CPU.
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_S)
        else:
            found.peer = each.getpeername()[:2]
    return found


def _accept_queue(descriptor: int) -> int:
    """Return the number of connections that wait in the accept queue, and enlarge the backlog."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as each:
        each.listen(BACKLOG)  # Repeated each time, because the server's own call may come later.
        information = each.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_UNACKED + 4)
        return int.from_bytes(information[_TCP_INFO_UNACKED:], sys.byteorder)
    return 0


def _shut_down(descriptor: int, peer: Peer | None, *, spare_unread: bool) -> bool:
    """Close a duplicate of the descriptor after comparing the peer again, because the server's threads may have
    closed the original."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as each:
        if each.getpeername()[:2] != peer or (spare_unread and _has_unread(each)):
            return False
        each.shutdown(socket.SHUT_RDWR)
        return True
    return False


def _has_unread(connection: socket.socket) -> bool:
    """Return whether the connection has unread data. Raises: OSError."""
    count = array("i", [0])
    fcntl.ioctl(connection, termios.FIONREAD, count)
    return count[0] > 0
