"""Addresses of Unix sockets, also where a path is too long for one, and sockets that listen there."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ninjacam.core.errors import ConfigError

MAX_PATH_BYTES = 100
"""sockaddr_un holds 108 bytes with the final zero on Linux, 104 elsewhere."""


@contextlib.contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """`path` as a socket address, which holds 108 bytes; on Linux also where it is longer.

    Raises: OSError: the directory is not there. ConfigError: too long, and no /proc to shorten it.
    """
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        yield str(path)
        return
    if not os.path.isdir("/proc/self/fd"):
        raise ConfigError(
            f"The run directory's path is too long for sockets: {path} has more than {MAX_PATH_BYTES} bytes. "
            "Set RUN_DIR to a shorter one."
        )
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen_unix(path: Path) -> socket.socket:
    """A listening socket of mode 0600 that takes the place of whatever was at `path`, without a moment of neither.

    Raises: OSError.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        listener.setblocking(False)
        fresh.unlink(missing_ok=True)
        with unix_address(fresh) as address:
            listener.bind(address)
        fresh.chmod(0o600)
        listener.listen(128)
        fresh.rename(path)
    except OSError:
        listener.close()
        raise
    return listener
