"""An HTTP camera that makes FFmpeg allocate memory: an MP4 of 400 bytes that announces a table of 800 MB."""

import contextlib
import http.server
import struct
import threading
from collections.abc import Iterator

ENTRIES = 200_000_000


class _Bomb(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.end_headers()
        self.wfile.write(memory_bomb(ENTRIES))

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def serve_memory_bomb() -> Iterator[str]:
    """Yield the camera's URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Bomb) as server:
        threading.Thread(target=server.serve_forever, name="bomb", daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/bomb.mp4"
        finally:
            server.shutdown()


def memory_bomb(entries: int) -> bytes:
    """Return an MP4 whose only track announces a table (stz2) of `entries` sizes but omits it.

    Each size takes 4 bytes in memory.
    """

    def box(kind: bytes, content: bytes, missing_bytes: int = 100) -> bytes:
        return struct.pack(">I4s", 8 + len(content) + missing_bytes, kind) + content

    sizes = box(b"stz2", struct.pack(">III", 0, 4, entries))
    handler = box(b"hdlr", bytes(8) + b"vide" + bytes(13), 0)
    media = box(b"mdhd", bytes(12) + struct.pack(">III", 25, 25, 0), 0) + handler
    track = box(b"tkhd", bytes(84), 0) + box(b"mdia", media + box(b"minf", box(b"stbl", sizes)))
    head = box(b"ftyp", b"isom\0\0\2\0isom", 0)
    return head + box(b"moov", box(b"trak", track)) + bytes(100)
