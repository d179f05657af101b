"""An SMTP server on 127.0.0.1 that keeps the messages it receives (RFC 5321, without extensions)."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Mailbox:
    """`port`: of the server. `messages`: with headers, in the order of their arrival."""

    port: int
    messages: list[str] = field(default_factory=list)


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    class Session(socketserver.StreamRequestHandler):
        timeout = 60

        def handle(self) -> None:
            self.wfile.write(b"220 test\r\n")
            while line := self.rfile.readline(4096):
                command = line[:4].upper()
                if command == b"DATA":
                    self.wfile.write(b"354 go ahead\r\n")
                    text = b""
                    while not text.endswith(b"\r\n.\r\n") and (more := self.rfile.readline(4096)):
                        text += more
                    mailbox.messages.append(text.decode())
                self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
                if command == b"QUIT":
                    return

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Session) as server:
        address: Any = server.server_address
        mailbox = Mailbox(address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield mailbox
        finally:
            server.shutdown()
            thread.join()
