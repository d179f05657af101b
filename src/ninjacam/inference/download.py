"""Downloads a file of known size and hash: continues where it was interrupted, and accepts nothing else.

Not here: what is downloaded (`catalogue`), and where it is installed (`stored`).
"""

import fcntl
import hashlib
import http.client
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from ninjacam import __version__
from ninjacam.core.errors import DownloadError

ATTEMPTS = 4
PAUSE_S = 1.0
"""Seconds between two attempts."""
SOCKET_S = 20.0
"""Longest wait for the server's next bytes."""
TOTAL_S = 1800.0
MAX_REDIRECTS = 5
_CHUNK_BYTES = 1 << 16
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})\Z")

Progress = Callable[[int, int], None]
"""Called with the bytes that are there, and all bytes."""


class _InterruptedError(Exception):
    """The connection ended too early, or was not established. The message is the reason."""


class _Redirects(HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS
    max_repeats = MAX_REDIRECTS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise DownloadError(
                f"{req.host} redirects to an address without encryption, which is not followed."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(
    url: str,
    part: Path,
    *,
    size_bytes: int,
    sha256: str,
    on_progress: Progress = lambda have, size: None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Download `url` into the file `part`, and continue it if it is there. Blocks for at most half an hour.

    An incomplete file stays for the next call; a wrong one is removed. Raises: DownloadError.
    """
    with _locked(part) as file:
        deadline_s = time.monotonic() + TOTAL_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _fetch(url, file, size_bytes, deadline_s, on_progress)
                break
            except _InterruptedError as exc:
                if attempt == ATTEMPTS or time.monotonic() > deadline_s:
                    raise DownloadError(f"The download from {_host(url)} failed: {exc}.") from exc
                pause(PAUSE_S)
        if _sha256(file) != sha256:
            file.truncate(0)
            raise DownloadError(
                f"The file from {_host(url)} is not the expected one (its SHA-256 differs), so it was deleted."
            )


@contextmanager
def _locked(part: Path) -> Iterator[BufferedRandom]:
    """Open the file for one process. Raises: DownloadError."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
    except BlockingIOError as exc:
        raise DownloadError("Another process is downloading this model. Wait for it.") from exc
    except OSError as exc:
        raise DownloadError(f"{part.parent} cannot be written: {exc.strerror or exc}.") from exc


def _fetch(url: str, file: BufferedRandom, size_bytes: int, deadline_s: float, on_progress: Progress) -> None:
    """Append what is missing. Raises: DownloadError, _InterruptedError."""
    have = file.seek(0, 2)
    if have > size_bytes:
        have = file.truncate(0)
    if have == size_bytes:
        return
    with _open(url, have) as answer:
        if answer.status == 206 and not _continues(answer, have, size_bytes):
            file.truncate(0)
            raise _InterruptedError("the server sent another part of the file")
        if answer.status != 206:
            have = file.truncate(0)  # The server does not support ranges: it sends the file from its start.
        length = answer.headers.get("Content-Length") or ""
        if length.isdecimal() and have + int(length[:18]) > size_bytes:
            raise _too_large(url, size_bytes)
        while have < size_bytes:
            chunk = _read(answer)
            if have + len(chunk) > size_bytes:
                file.truncate(0)
                raise _too_large(url, size_bytes)
            file.write(chunk)
            have += len(chunk)
            on_progress(have, size_bytes)
            if not chunk or time.monotonic() > deadline_s:
                file.flush()
                raise _InterruptedError(f"{have} of {size_bytes} bytes arrived")
        if _read(answer):
            file.truncate(0)
            raise _too_large(url, size_bytes)
    file.flush()


def _open(url: str, have: int) -> http.client.HTTPResponse:
    """Raises: DownloadError, _InterruptedError."""
    headers = {"User-Agent": f"ninjacam/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    opener = OpenerDirector()  # Without file:, ftp: and data:, which a redirect could name.
    for handler in (
        ProxyHandler(), HTTPHandler(), HTTPSHandler(), _Redirects(),
        HTTPDefaultErrorHandler(), HTTPErrorProcessor(),
    ):  # fmt: skip
        opener.add_handler(handler)
    try:
        answer = opener.open(Request(url, headers=headers), timeout=SOCKET_S)  # noqa: S310 (http only)
    except HTTPError as exc:
        exc.close()
        if exc.code in (429, 500, 502, 503, 504):
            raise _InterruptedError(f"the server answered {exc.code}") from exc
        text = "redirects too often" if 300 <= exc.code < 400 else f"answered {exc.code}"
        raise DownloadError(f"{_host(url)} {text}, so the model cannot be downloaded.") from exc
    except (OSError, http.client.HTTPException) as exc:
        raise _InterruptedError(_reason(exc)) from exc
    if answer is None:
        raise DownloadError(f"{_host(url)} redirects to an address that is not followed.")
    assert isinstance(answer, http.client.HTTPResponse)
    return answer


def _read(answer: http.client.HTTPResponse) -> bytes:
    """Raises: _InterruptedError."""
    try:
        return answer.read1(_CHUNK_BYTES)  # What has arrived, so that the deadline is checked.
    except (OSError, http.client.HTTPException) as exc:
        raise _InterruptedError(_reason(exc)) from exc


def _continues(answer: http.client.HTTPResponse, have: int, size_bytes: int) -> bool:
    found = _RANGE.match(answer.headers.get("Content-Range") or "")
    return found is not None and (int(found[1]), int(found[2])) == (have, size_bytes)


def _too_large(url: str, size_bytes: int) -> DownloadError:
    return DownloadError(f"{_host(url)} sends more than the expected {size_bytes} bytes, so it was not kept.")


def _reason(exc: Exception) -> str:
    reason = getattr(exc, "reason", None) or exc
    return str(getattr(reason, "strerror", None) or reason or type(exc).__name__)


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _sha256(file: BufferedRandom) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
