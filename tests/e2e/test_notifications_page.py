"""The page of notifications and the service worker in Chromium.

Chromium subscribes only at Google's push service. The subscription is therefore one of our push service, and the
debugging protocol gives what it has received to the service worker.
"""

import contextlib
import json
import re
import sqlite3
import urllib.request
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.sync.client import connect

from ninjacam.models.snapshot import PER_DIRECTORY
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.http import HttpClient
from tests.harness.processes import wait_until
from tests.harness.push_service import Phone, PushService
from tests.harness.server import ADMIN, PASSWORD, Product

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
]
API = "/api/v1/notifications"
ACTIVE = "(await navigator.serviceWorker.getRegistration())?.active?.state === 'activated'"
SHOWN = (
    "(async () => (await (await navigator.serviceWorker.ready).getNotifications()).map(each => ({title: each.title, "
    "body: each.body, tag: each.tag, image: each.image ?? '', "
    "actions: (each.actions ?? []).map(action => action.title), data: each.data})))()"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushService]:
    with PushService(tmp_path_factory.mktemp("push")) as running:
        yield running


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, service: PushService) -> Iterator[Product]:
    environment = {
        "SSL_CERT_FILE": str(service.certificate),
        "NINJACAM_PUSH_NETWORKS": "127.0.0.0/8",
        "NINJACAM_PREFIX": "/cam",
        "NINJACAM_APP_NAME": "Gate watch",
    }
    with Product(tmp_path_factory.mktemp("push-page"), workers=1, environment=environment) as product:
        product.add_camera("door", "rtsp://127.0.0.1:9/x")
        yield product


def log_in(product: Product) -> HttpClient:
    """Return a client whose paths are below the prefix."""
    client = HttpClient(product.base + "/cam")
    hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get("/login/").text)
    assert hidden
    form = {"username": ADMIN, "password": PASSWORD, "csrfmiddlewaretoken": hidden[1]}
    answer = client.post("/login/", form=form, headers={"Referer": client.base + "/login/"})
    assert answer.status == 200 and not answer.url.endswith("/login/"), answer.text
    return client


@pytest.fixture
def tab(chromium: Browser, product: Product) -> Iterator[Tab]:
    with chromium.tab() as tab:
        # Cookies are below the prefix.
        for name, value in log_in(product).cookie_pairs():
            tab.call("Network.setCookie", name=name, value=value, url=product.base + "/cam/", path="/cam/")
        tab.call("Browser.grantPermissions", origin=product.base, permissions=["notifications"])
        yield tab
        assert not [line for line in tab.log if "EXCEPTION" in line or "Content Security" in line]


def replace_push_manager(tab: Tab, phone: Phone) -> None:
    source = f"""
        const told = {json.dumps(phone.as_json())};
        const subscription = {{endpoint: told.endpoint, options: {{applicationServerKey: null}}, toJSON: () => told,
          unsubscribe: async () => {{ localStorage.removeItem('subscribed'); return true; }}}};
        PushManager.prototype.subscribe = async (options) => {{
          globalThis.serverKey = options.applicationServerKey.length;
          localStorage.setItem('subscribed', '1');
          return subscription;
        }};
        PushManager.prototype.getSubscription = async () => localStorage.getItem('subscribed') ? subscription : null;
    """
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=source)


def deliver(tab: Tab, product: Product, text: str) -> None:
    """Give a message to the service worker as the browser does when it arrives."""
    tab.call("ServiceWorker.enable")
    registration = ""
    while not registration:
        message = json.loads(tab._socket.recv(30))
        if message.get("method") == "ServiceWorker.workerRegistrationUpdated":
            found = [each for each in message["params"]["registrations"] if not each["isDeleted"]]
            registration = next(
                (each["registrationId"] for each in found if product.base in each["scopeURL"]), ""
            )
    tab.call("ServiceWorker.deliverPushMessage", origin=product.base, registrationId=registration, data=text)
    tab.call("ServiceWorker.disable")


def store_snapshot(product: Product) -> int:
    """Give the newest event a snapshot, as if its camera recorded."""
    with (
        contextlib.closing(sqlite3.connect(product.data / "ninjacam.sqlite3", timeout=20)) as database,
        database,
    ):
        (event,) = database.execute("SELECT max(id) FROM ninjacam_event WHERE slug = 'door'").fetchone()
        database.execute("UPDATE ninjacam_event SET snapshot_ns = start_ns WHERE id = ?", [event])
    path = product.data / "snapshots" / str(event // PER_DIRECTORY) / f"{event}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", np.zeros((36, 64, 3), np.uint8))[1].tobytes())
    return int(event)


def in_worker(chromium: Browser, product: Product, expression: str) -> Any:
    """Return the value of an expression in the service worker."""
    with urllib.request.urlopen(f"http://127.0.0.1:{chromium._port}/json/list") as response:
        targets = json.load(response)
    (found,) = (each for each in targets if each["type"] == "service_worker" and product.base in each["url"])
    with connect(found["webSocketDebuggerUrl"]) as socket:
        return Tab(found["id"], socket).js(expression)


def test_a_user_turns_notifications_on_receives_one_and_logs_out(
    product: Product, service: PushService, chromium: Browser, tab: Tab
) -> None:
    phone = service.phone()
    replace_push_manager(tab, phone)
    tab.navigate(product.url("/cam/notifications/"))
    tab.until("document.querySelector('ninjacam-push')?.dataset.state === 'off'")
    assert tab.js("(async () => (await navigator.serviceWorker.ready).scope)()") == product.url("/cam/")
    tab.js("document.querySelector('ninjacam-push button').click()")
    tab.until("document.querySelector('ninjacam-push')?.dataset.state === 'on'")
    tab.until("document.querySelectorAll('.rows li').length === 1")

    # An event, through the real push service, to the service worker.
    product.client.post(
        "/cam/api/v1/events", json_body={"camera": "door", "kind": "person", "label": "Ada", "record": False}
    )
    wait_until(lambda: phone.received, 30, "the notification", processes=[product])
    text = phone.received[0].text
    deliver(tab, product, text)
    tab.until(f"({SHOWN}).then(found => found.length === 1)")
    (shown,) = tab.js(SHOWN)
    assert shown["title"] == "door" and shown["body"].startswith("Ada · ") and shown["tag"] == "door/person"
    assert shown["actions"] == ["View", "Mute for an hour"]
    deliver(tab, product, text)  # The same message again.
    deliver(tab, product, "not JSON")
    tab.until(f"({SHOWN}).then(found => found.length === 2)")
    assert {each["title"] for each in tab.js(SHOWN)} == {"door", "Gate watch"}

    # The image is requested with the session.
    event = store_snapshot(product)
    path = f"api/v1/events/{event}/snapshot.jpg"
    assert in_worker(chromium, product, f"image('{path}')").startswith("data:image/jpeg;base64,/9j/")
    assert in_worker(chromium, product, "image('api/v1/events/999999/snapshot.jpg')") is None

    # The buttons of a notification.
    clicked = (
        "(async () => { const [shown] = await registration.getNotifications({tag: 'door/person'});"
        "self.dispatchEvent(new NotificationEvent('notificationclick', {notification: shown, action: 'mute'})); })()"
    )
    in_worker(chromium, product, clicked)
    wait_until(
        lambda: product.client.get("/cam/api/v1/notifications").json()["muted"],
        10,
        "the mute",
        processes=[product],
    )
    tab.until(f"({SHOWN}).then(found => found.length === 1)")
    paths = ["below('cameras/door/')", "below('https://example.org/')", "below('/admin/')", "below('../x')"]
    base = product.url("/cam/")
    assert in_worker(chromium, product, f"[{', '.join(paths)}]") == [base + "cameras/door/", base, base, base]

    # The worker keeps the page without a server, and nothing of the user.
    kept = tab.js(
        "(async () => { const names = await caches.keys(); const cache = await caches.open(names[0]);"
        "return [names.length, (await cache.keys()).map(each => new URL(each.url).pathname)]; })()"
    )
    assert kept[0] == 1 and kept[1][0] == "/cam/offline/"
    assert all(path.startswith("/cam/static/ninjacam/pages/") for path in kept[1][1:])

    tab.js("document.querySelector('form.logout button').click()")
    tab.until("location.pathname === '/cam/login/' && document.readyState === 'complete'")
    assert tab.js(SHOWN) == [] and tab.js("localStorage.length") == 0
    assert in_worker(chromium, product, f"image('{path}')") is None
    happened = len(phone.received)
    product.client.post("/cam/api/v1/events", json_body={"camera": "door", "kind": "car", "record": False})
    answer = log_in(product).get("/api/v1/notifications").json()
    assert answer["browsers"] == [] and len(phone.received) == happened


def test_the_choice_is_a_form_that_needs_no_script(product: Product, tab: Tab) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.navigate(product.url("/cam/notifications/"))
    tab.js("document.querySelector('input[name=cameras]').checked = true")
    tab.js("document.querySelector('button[value=save]').click()")
    tab.until("document.querySelector('.notice') !== null")
    assert tab.js("document.querySelector('input[name=cameras]').checked")
    assert tab.js("document.querySelector('ninjacam-push').hidden")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits(product: Product, tab: Tab, width: int) -> None:
    tab.size(width, 844, phone=width < 500)
    tab.navigate(product.url("/cam/notifications/"))
    tab.until("document.querySelector('ninjacam-push')?.dataset.state !== undefined")
    assert tab.js("document.documentElement.scrollWidth") <= width
    unnamed = "[...document.querySelectorAll('input:not([type=hidden]), select')].filter(each => !each.labels.length)"
    assert tab.js(f"{unnamed}.length") == 0


def test_the_page_without_a_server_appears_and_goes_when_it_is_back(product: Product, tab: Tab) -> None:
    """The last test: it stops the server."""
    tab.navigate(product.url("/cam/"))
    tab.until(f"(async () => {ACTIVE})()")
    tab.until("navigator.serviceWorker.controller !== null")
    product.terminate()
    tab.call("Page.navigate", url=product.url("/cam/events/"))
    tab.until("document.querySelector('.offline h1')?.textContent === 'The server cannot be reached.'")
    assert tab.js("getComputedStyle(document.querySelector('.offline')).textAlign") == "center"
    assert tab.js("location.pathname") == "/cam/events/"
    tab.log.clear()  # of refused requests
    product.start()
    tab.until("document.querySelector('.offline') === null && location.pathname === '/cam/events/'", 30)
    tab.log.clear()
