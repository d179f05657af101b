"""Serves the product's static files without collectstatic and without a second server.

Not for other projects, which serve static files themselves.
"""

import mimetypes
from datetime import UTC, datetime
from pathlib import Path

from django.contrib.staticfiles import finders
from django.core.exceptions import SuspiciousFileOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.http import quote_etag
from django.views.decorators.cache import cache_control
from django.views.decorators.http import condition, require_safe

_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


def _find(path: str) -> Path:
    """Return the path of a file. Serve only files that a finder returns, with safe paths. Raises: Http404."""
    try:
        found = finders.find(path)
    except (SuspiciousFileOperation, ValueError) as error:  # A path outside the directory, or a null byte.
        raise Http404 from error
    if not found or not Path(found).is_file():
        raise Http404
    return Path(found)


def _etag(request: HttpRequest, path: str) -> str:
    status = _find(path).stat()
    return quote_etag(f"{status.st_mtime_ns:x}-{status.st_size:x}")


def _modified(request: HttpRequest, path: str) -> datetime:
    return datetime.fromtimestamp(_find(path).stat().st_mtime, UTC)


@require_safe
@cache_control(no_cache=True, public=True)
@condition(etag_func=_etag, last_modified_func=_modified)
def serve_static(request: HttpRequest, path: str) -> HttpResponse:
    """Return a whole file, because Django would read a FileResponse into memory under ASGI anyway. 304 if unchanged."""
    file = _find(path)
    content_type = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return HttpResponse(file.read_bytes(), content_type=content_type)
