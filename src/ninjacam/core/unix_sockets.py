"""Addresses of Unix sockets, including paths that are too long for one, and listening sockets."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ninjacam.core.errors import ConfigError

MAX_PATH_BYTES = 100
"""sockaddr_un holds 108 bytes including the final zero on Linux, 104 elsewhere."""


@contextlib.contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """Return `path` as a socket address. On Linux, it may be longer than the 108 bytes of an address.

    Raises: OSError: the directory does not exist. ConfigError: too long, and there is no /proc to shorten it.
    """
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        yield str(path)
        return
    if not os.path.isdir("/proc/self/fd"):
        raise ConfigError(
            f"The path of the run directory is too long for sockets: {path} has more than {MAX_PATH_BYTES} bytes. "
            "Set RUN_DIR to a shorter path."
        )
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen_unix(path: Path) -> socket.socket:
    """Return a listening socket of mode 0600 that atomically replaces whatever was at `path`.

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
