"""Downloads from a server that breaks off, ignores ranges, redirects, or sends something else."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest

from ninjacam.core.errors import DownloadError, ModelError
from ninjacam.inference import download as download_module
from ninjacam.inference import pull as pull_module
from ninjacam.inference.catalogue import CatalogueEntry
from ninjacam.inference.download import ATTEMPTS, MAX_REDIRECTS, download
from ninjacam.inference.pull import pull
from ninjacam.inference.spec import make_spec
from tests.unit.inference.networks import ONE_OBJECT, constant_network

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """`answer`: called for each request. `ranges`: the Range headers of all requests."""

    def __init__(self) -> None:
        self.answer: Answer = whole
        self.ranges: list[str] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.ranges.append(self.headers.get("Range", ""))
                self.close_connection = True
                owner.answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/model.onnx"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: Any) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": len(body), **headers}.items():
        if value is not None:
            request.send_header(name.replace("_", "-"), str(value))
    request.end_headers()
    request.wfile.write(body)


def whole(request: BaseHTTPRequestHandler) -> None:
    """A server that supports ranges."""
    start = first_byte(request)
    if start:
        content_range = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        send(request, 206, CONTENT[start:], Content_Range=content_range)
    else:
        send(request, 200, CONTENT)


def first_byte(request: BaseHTTPRequestHandler) -> int:
    return int((request.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))


def breaks_off(request: BaseHTTPRequestHandler, after: int = 100_000) -> None:
    start = first_byte(request)
    status = 206 if start else 200
    headers = {"Content_Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"} if start else {}
    rest = CONTENT[start:]
    send(request, status, rest[:after], Content_Length=len(rest), **headers)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    yield made
    made.close()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "part"


def fetch(server: Server, part: Path, **options: Any) -> None:
    options = {"size_bytes": len(CONTENT), "sha256": SHA256, "pause": lambda seconds: None, **options}
    download(server.url, part, **options)


def test_a_file_arrives_and_its_progress_is_reported(server: Server, part: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetch(server, part, on_progress=lambda have, size: seen.append((have, size)))
    assert part.read_bytes() == CONTENT and seen[-1] == (len(CONTENT), len(CONTENT))
    assert server.ranges == [""]


def test_an_interrupted_download_continues_where_it_was(server: Server, part: Path) -> None:
    server.answer = breaks_off
    with pytest.raises(DownloadError, match=r"failed: 400000 of 512000 bytes arrived"):
        fetch(server, part)
    assert server.ranges == ["", *(f"bytes={n}00000-" for n in range(1, ATTEMPTS))]
    server.answer = whole
    fetch(server, part)
    assert part.read_bytes() == CONTENT and server.ranges[-1] == "bytes=400000-"


def test_a_complete_file_is_not_downloaded_again(server: Server, part: Path) -> None:
    fetch(server, part)
    fetch(server, part)
    assert len(server.ranges) == 1


def test_a_server_that_ignores_ranges_sends_all_again(server: Server, part: Path) -> None:
    server.answer = breaks_off
    with pytest.raises(DownloadError):
        fetch(server, part)
    server.answer = lambda request: send(request, 200, CONTENT)
    fetch(server, part)
    assert part.read_bytes() == CONTENT


def test_another_part_than_requested_is_not_used(server: Server, part: Path) -> None:
    part.parent.mkdir()
    part.write_bytes(CONTENT[:1000])

    def wrong(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("Range"):
            send(request, 206, CONTENT[5000:], Content_Range=f"bytes 5000-511999/{len(CONTENT)}")
        else:
            send(request, 200, CONTENT)

    server.answer = wrong
    fetch(server, part)
    assert part.read_bytes() == CONTENT


def test_a_wrong_file_is_deleted(server: Server, part: Path) -> None:
    server.answer = lambda request: send(request, 200, CONTENT[::-1])
    with pytest.raises(
        DownloadError, match=r"from 127.0.0.1 is not the expected one \(its SHA-256 differs\)"
    ):
        fetch(server, part)
    assert part.read_bytes() == b""
    server.answer = whole
    fetch(server, part)


@pytest.mark.parametrize("with_length", [True, False])
def test_a_larger_file_is_refused(server: Server, part: Path, with_length: bool) -> None:
    body = CONTENT + b"more"
    length = len(body) if with_length else None
    server.answer = lambda request: send(request, 200, body, Content_Length=length)
    with pytest.raises(DownloadError, match=r"sends more than the expected 512000 bytes"):
        fetch(server, part)
    assert part.stat().st_size == 0 and len(server.ranges) == 1


def test_redirects_are_followed_a_few_times(server: Server, part: Path) -> None:
    hops = iter(range(100))

    def redirect(request: BaseHTTPRequestHandler) -> None:
        if next(hops) < MAX_REDIRECTS - 1:
            send(request, 302, b"", Location=f"/{len(server.ranges)}")
        else:
            whole(request)

    server.answer = redirect
    fetch(server, part)
    server.answer = lambda request: send(request, 302, b"", Location=f"/{len(server.ranges)}")
    part.unlink()
    with pytest.raises(DownloadError, match=r"redirects too often"):
        fetch(server, part)
    assert len(server.ranges) < 20


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_redirects_to_other_schemes_are_not_followed(server: Server, part: Path, target: str) -> None:
    server.answer = lambda request: send(request, 302, b"", Location=target)
    with pytest.raises(DownloadError, match=r"cannot be downloaded|not followed"):
        fetch(server, part)
    assert part.stat().st_size == 0


def test_a_redirect_never_removes_the_encryption() -> None:
    request = Request("https://example.org/x")
    with pytest.raises(DownloadError, match=r"without encryption"):
        download_module._Redirects().redirect_request(request, None, 302, "", {}, "http://example.org/x")


def test_a_missing_file_is_not_tried_again(server: Server, part: Path) -> None:
    server.answer = lambda request: send(request, 404, b"")
    with pytest.raises(DownloadError, match=r"127.0.0.1 answered 404"):
        fetch(server, part)
    assert len(server.ranges) == 1


def test_a_server_that_is_busy_is_tried_again(server: Server, part: Path) -> None:
    server.answer = lambda request: (
        send(request, 503, b"") if len(server.ranges) < ATTEMPTS else whole(request)
    )
    fetch(server, part)
    assert part.read_bytes() == CONTENT


def test_two_downloads_of_one_file_do_not_mix(server: Server, part: Path) -> None:
    with download_module._locked(part), pytest.raises(DownloadError, match=r"Another process is downloading"):
        fetch(server, part)


def test_a_slow_server_is_given_up(server: Server, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "TOTAL_S", -1)
    with pytest.raises(DownloadError, match=r"failed: \d+ of 512000"):
        fetch(server, part)
    assert len(server.ranges) == 1


MODEL = constant_network({"output": ONE_OBJECT})


@pytest.fixture
def entry(server: Server, monkeypatch: pytest.MonkeyPatch) -> CatalogueEntry:
    sha256 = hashlib.sha256(MODEL).hexdigest()
    spec = make_spec({"decoder": "yolox", "input_size": (64, 64), "sha256": sha256, "licence": "MIT"})
    made = CatalogueEntry("tiny", "", server.url, len(MODEL), spec, is_coco=False)
    monkeypatch.setattr(CatalogueEntry, "labels", property(lambda self: ("cat", "dog")))
    monkeypatch.setattr(pull_module, "by_name", lambda name: made if name == "tiny" else None)
    server.answer = lambda request: send(request, 200, MODEL)
    return made


def test_a_model_of_the_catalogue_is_installed(
    server: Server, entry: CatalogueEntry, models_dir: Path
) -> None:
    stored = pull(models_dir, "tiny")
    assert stored.labels == ("cat", "dog") and stored.spec.source == server.url
    assert list((models_dir / ".downloads").iterdir()) == []
    assert pull(models_dir, "tiny") == stored and len(server.ranges) == 1


def test_without_a_connection_the_message_says_what_to_copy(
    server: Server, entry: CatalogueEntry, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.close()
    monkeypatch.setattr(download_module, "PAUSE_S", 0)
    with pytest.raises(DownloadError) as failure:
        pull(models_dir, "tiny")
    assert failure.value.message == (
        "The download from 127.0.0.1 failed: Connection refused. Without a connection, download "
        f"{server.url} on another computer, copy it to this one and run: ninjacam models add model.onnx"
    )


def test_a_model_that_is_not_in_the_catalogue_names_those_that_are(models_dir: Path) -> None:
    with pytest.raises(ModelError, match=r"It has yolox-nano, nanodet, yunet."):
        pull(models_dir, "yolo")
