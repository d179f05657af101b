"""The product below a URL prefix behind nginx. One server keeps the prefix, another one removes it."""

import re
import shutil
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from ninjacam.testing.tls import make_certificate
from tests.harness.chrome import CHROMIUM, chromium
from tests.harness.http import HttpClient
from tests.harness.processes import Process, free_port, wait_until
from tests.harness.server import ADMIN, PASSWORD, Product

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (apt install nginx-light).")
CONFIGURATION = """
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_buffering off;
    server {{ listen 127.0.0.1:{keeps}; location /cam/ {{ proxy_pass http://127.0.0.1:{backend}; }} }}
    server {{ listen 127.0.0.1:{removes}; location /cam/ {{ proxy_pass http://127.0.0.1:{backend}/; }} }}
    server {{
        listen 127.0.0.1:{drops};
        location /cam/ {{ proxy_pass http://127.0.0.1:{backend}; proxy_set_header Host $http_host; }}
    }}
    server {{
        listen 127.0.0.1:{careless} ssl;
        ssl_certificate {directory}/both.pem;
        ssl_certificate_key {directory}/both.pem;
        location /cam/ {{ proxy_pass http://127.0.0.1:{backend}; proxy_set_header Host "localhost"; }}
    }}
    server {{
        listen 127.0.0.1:{forgets};
        location /cam/ {{ proxy_pass http://127.0.0.1:{backend}; proxy_set_header Host "other.example.org"; }}
    }}
}}
"""


class Scene:
    def __init__(self, product: Product, ports: dict[str, int]) -> None:
        self.product = product
        self.bases = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("nginx")
    ports = {name: free_port() for name in ("keeps", "removes", "forgets", "drops", "careless")}
    product = Product(tmp_path_factory.mktemp("data"), environment={"NINJACAM_PREFIX": "/cam"})
    (directory / "both.pem").write_bytes(b"".join(make_certificate()))
    configuration = directory / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(directory=directory, backend=product.port, **ports))
    command = [str(NGINX), "-p", str(directory), "-c", str(configuration), "-g", "daemon off;"]
    with product, Process("nginx", command) as proxy:
        product.add_camera("door", "rtsp://127.0.0.1:9/x")

        def answers() -> bool:
            try:
                return HttpClient(f"http://127.0.0.1:{ports['keeps']}").get("/cam/healthz").status == 200
            except OSError:
                return False

        wait_until(answers, 20, "nginx", processes=[product, proxy])
        yield Scene(product, ports)


def log_in(base: str) -> HttpClient:
    client = HttpClient(base)
    page = client.get("/cam/")
    assert page.url == f"{base}/cam/login/?next=/cam/", page.url
    hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert hidden
    form = {"username": ADMIN, "password": PASSWORD, "csrfmiddlewaretoken": hidden[1], "next": "/cam/"}
    answer = client.post("/cam/login/", form=form, headers={"Referer": page.url})
    assert (answer.status, answer.url) == (200, f"{base}/cam/"), answer.url
    return client


@pytest.mark.parametrize("kind", ["keeps", "removes"])
def test_pages_and_files_and_api_and_streams_and_links_work_below_the_prefix(scene: Scene, kind: str) -> None:
    base = scene.bases[kind]
    client = log_in(base)
    page = client.get("/cam/")
    links = {link for link in re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text)}
    assert links and all(link.startswith("/cam/") for link in links), links
    for link in links:
        if not link.startswith("/cam/logout"):
            assert client.get(link).status == 200, link
    assert {cookie.path for cookie in client.cookies if cookie.name.startswith("ninjacam_s")} == {"/cam/"}
    assert client.get("/cam/admin/").url == f"{base}/cam/admin/"
    told = client.get("/cam/api/v1/cameras/door").json()
    assert told["urls"]["snapshot"] == "/cam/live/door/snapshot.jpg"
    token = HttpClient(base, token=scene.product.token)
    made = token.post("/cam/api/v1/links", json_body={"camera": "door", "kind": "snapshot"}).json()["url"]
    assert made.startswith(f"{base}/cam/live/door/snapshot.jpg?")
    answer = HttpClient("").get(made)
    assert answer.status == 503 and answer.json()["code"] != "not_authenticated", answer.text
    with connect(f"ws://{base[7:]}/cam/live/ws", additional_headers=token.headers) as socket:
        socket.ping().wait(10)
    with (
        connect(f"ws://{base[7:]}/cam/live/ws") as socket,
        pytest.raises(ConnectionClosedError, match="4401"),
    ):
        socket.recv(10)


def test_the_local_address_works_with_and_without_the_prefix(scene: Scene) -> None:
    client = HttpClient(scene.product.base)
    assert client.get("/healthz").status == client.get("/cam/healthz").status == 200
    assert client.get("/cam").url == f"{scene.product.base}/cam/login/?next=/cam/"
    assert f"{scene.product.port}/cam/ (Ctrl-C" in scene.product.output


def test_doctor_reports_what_a_proxy_changes(scene: Scene) -> None:
    def said(name: str) -> list[str]:
        scene.product.environment["NINJACAM_ORIGINS"] = scene.bases[name]
        try:
            lines = scene.product.cli("doctor", check=False).splitlines()
        finally:
            del scene.product.environment["NINJACAM_ORIGINS"]
        return [line for line in lines if scene.bases[name] in line]

    assert said("keeps") == [f"OK    proxy {scene.bases['keeps']}"]
    (dropped,) = said("drops")
    assert dropped.startswith("WARN") and "does not forward WebSockets" in dropped
    (forgot,) = said("forgets")
    assert "a host name that is not allowed" in forgot


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
def test_the_page_reports_what_the_proxy_changes(scene: Scene) -> None:
    faults = "[...document.querySelectorAll('.proxy-fault')].map((each) => each.textContent)"
    with chromium("--ignore-certificate-errors") as browser:
        careless = scene.bases["careless"].replace("http:", "https:")
        with browser.tab(f"{careless}/cam/login/") as tab:
            tab.until(f"{faults}.length === 2")
            assert "X-Forwarded-Proto" in tab.js(faults)[1] and "Host header" in tab.js(faults)[0]
        for kind, expected in (("keeps", []), ("drops", ["WebSockets"])):
            with browser.tab() as tab:
                for name, value in log_in(scene.bases[kind]).cookie_pairs():
                    tab.set_cookie(name, value, f"{scene.bases[kind]}/cam/")
                tab.navigate(f"{scene.bases[kind]}/cam/")
                tab.until(
                    f"{faults}.length === 1"
                    if expected
                    else "sessionStorage.getItem('ninjacam-websocket-tested')"
                )
                assert [fault.split()[0] for fault in tab.js(faults)] == expected
