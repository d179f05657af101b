"""Notifications of the product as users start it: real processes, and a push service that decrypts what it receives."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.http import HttpClient
from tests.harness.processes import wait_until
from tests.harness.push_service import Phone, PushService
from tests.harness.server import Product

API = "/api/v1/notifications"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushService]:
    with PushService(tmp_path_factory.mktemp("push")) as running:
        yield running


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, service: PushService) -> Iterator[Product]:
    environment = {"SSL_CERT_FILE": str(service.certificate), "NINJACAM_PUSH_NETWORKS": "127.0.0.0/8"}
    with Product(tmp_path_factory.mktemp("data"), workers=1, environment=environment) as running:
        running.add_camera("door", "rtsp://127.0.0.1:9/x")
        yield running


@pytest.fixture(scope="module")
def browser(product: Product) -> HttpClient:
    browser = product.login()
    # The engine reports the camera, which cannot be reached.
    assert write(browser, "PATCH", API, {"kinds": ["person"]}).status == 200
    return browser


def write(browser: HttpClient, method: str, path: str, body: Any = None) -> Any:
    headers = {"X-CSRFToken": browser.cookie("ninjacam_csrf"), "Referer": browser.base + "/"}
    return browser.request(method, path, json_body=body if body is not None else {}, headers=headers)


def subscribe(browser: HttpClient, phone: Phone) -> int:
    answer = write(browser, "POST", f"{API}/browsers", phone.as_json())
    assert answer.status == 201, answer.text
    return int(answer.json()["id"])


def happen(product: Product, **fields: Any) -> int:
    body = {"camera": "door", "kind": "person", "record": False, **fields}
    return int(product.client.post("/api/v1/events", json_body=body).json()["id"])


def test_an_event_arrives_encrypted_and_a_lost_subscription_is_removed(
    product: Product, service: PushService, browser: HttpClient
) -> None:
    phone = service.phone()
    subscribe(browser, phone)
    happen(product, label="Ada")
    wait_until(lambda: phone.received, 30, "the notification", processes=[product])
    (pushed,) = phone.received
    assert pushed.message["title"] == "door" and pushed.message["body"].startswith("Ada · ")
    assert pushed.claims["aud"] == f"https://127.0.0.1:{service.port}"
    assert pushed.headers["content-encoding"] == "aes128gcm" and "door" not in str(pushed.headers)
    phone.status = 410
    happen(product)
    wait_until(lambda: not browser.get(API).json()["browsers"], 20, "no subscription", processes=[product])
    assert "push" not in str(product.status()) and phone.auth not in product.tail()


def test_a_killed_process_loses_nothing_and_repeats_only_the_same_id(
    product: Product, service: PushService, browser: HttpClient
) -> None:
    phone = service.phone(delay_s=3600)  # It has received the request, and the result is not stored.
    subscribe(browser, phone)
    happen(product, label="First")
    wait_until(lambda: phone.received, 30, "the request", processes=[product])
    phone.delay_s = 0
    os.kill(product.pids("jobs")[0], signal.SIGKILL)
    happen(product, label="Second")
    wait_until(lambda: len(phone.received) >= 3, 60, "both events", processes=[product])
    ids = {each.message["body"].partition(" ")[0]: each.message["id"] for each in phone.received}
    assert set(ids) == {"First", "Second"}
    assert [each.message["id"] for each in phone.received].count(ids["First"]) == 2


def test_a_push_service_in_a_private_network_is_refused_unless_it_is_allowed(
    product: Product, browser: HttpClient
) -> None:
    write(
        browser, "POST", "/api/v1/notifications/browsers", Phone(endpoint="https://10.255.255.1/p").as_json()
    )
    happen(product)
    failed = wait_until(
        lambda: [each for each in browser.get(API).json()["browsers"] if each["has_failed"]],
        30,
        "a failure",
        processes=[product],
    )
    assert len(failed) == 1
