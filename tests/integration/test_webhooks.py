"""Webhooks and the stream of events of the product as users start it: real processes, real receivers."""

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.processes import wait_until
from tests.harness.receiver import Received, Receiver
from tests.harness.server import Product
from tests.unit.webhooks.test_signature import documented

SECRET = "whsec_0123456789abcdef"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """With a camera that cannot be reached."""
    with Product(tmp_path_factory.mktemp("data")) as running:
        running.add_camera("door", "rtsp://127.0.0.1:9/x")
        yield running


def call(product: Product, method: str, path: str, **body: Any) -> Any:
    answer = product.client.request(method, f"/api/v1/{path}", json_body=body or None)
    assert answer.status in (200, 201), answer.text
    return answer.json()


def add(product: Product, receiver: Receiver, kind: str, **fields: Any) -> int:
    made = call(
        product, "POST", "webhooks", name=kind, url=receiver.url, kinds=[kind], secret=SECRET, **fields
    )
    return int(made["id"])


def happen(product: Product, kind: str, **fields: Any) -> int:
    return int(call(product, "POST", "events", camera="door", kind=kind, **fields)["id"])


def deliveries(product: Product, webhook: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call(product, "GET", f"webhooks/{webhook}/deliveries?limit=500")["items"]
    return found


def bodies(received: list[Received]) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in received]


def test_a_receiver_gets_signed_requests_in_order(product: Product) -> None:
    with Receiver() as receiver:
        webhook = add(product, receiver, "visit", on_end=True)
        event = happen(product, "visit", ongoing=True, label="Ada")
        wait_until(lambda: receiver.received, 20, "the beginning", processes=[product])
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
        call(product, "PATCH", f"events/{event}", end=now)
        wait_until(lambda: len(receiver.received) == 2, 20, "the end", processes=[product])
    begun, ended = bodies(receiver.received)
    assert (begun["type"], ended["type"]) == ("event.begun", "event.ended")
    assert {**ended["event"], "seen_by": [], "similarity": None} == call(product, "GET", f"events/{event}")
    for each in receiver.received:
        assert documented()(each.body, each.headers["ninjacam-signature"], SECRET)
    shown = wait_until(
        lambda: [d for d in deliveries(product, webhook) if d["state"] == "delivered"], 5, "rows"
    )
    assert [each["status"] for each in shown] == [200, 200]


def test_health_events_of_the_engine_are_delivered(product: Product) -> None:
    with Receiver() as receiver:
        product.add_camera("lost", "rtsp://127.0.0.1:9/y")
        add(product, receiver, "camera_down", cameras=["lost"])
        wait_until(lambda: receiver.received, 40, "the event of the camera", processes=[product])
    assert bodies(receiver.received)[0]["event"]["camera"] == "lost"


def test_a_receiver_that_was_down_gets_everything_once_it_is_back(product: Product) -> None:
    receiver = Receiver()
    webhook = add(product, receiver, "parcel")
    events = {happen(product, "parcel", label=str(number)) for number in range(20)}

    def were_tried() -> bool:
        return all(each["attempts"] for each in deliveries(product, webhook))

    wait_until(were_tried, 30, "the first attempts", processes=[product])
    assert all("refuses connections" in each["error"] for each in deliveries(product, webhook))
    assert receiver.received == []
    with receiver:
        wait_until(lambda: len(receiver.received) >= 20, 40, "all deliveries", processes=[product])
        wait_until(lambda: not call(product, "GET", f"webhooks/{webhook}")["waiting"], 10, "the results")
    assert {each["event"]["id"] for each in bodies(receiver.received)} == events
    assert len({each.key for each in receiver.received}) == 20


def test_failures_are_shown_and_a_delivery_that_was_given_up_is_retried(product: Product) -> None:
    with Receiver() as receiver:
        receiver.status, receiver.location = 302, "http://127.0.0.1:1/"
        webhook = add(product, receiver, "door_open")
        happen(product, "door_open")
        wait_until(lambda: deliveries(product, webhook)[0]["status"] == 302, 20, "a redirect")
        receiver.status, receiver.location = 500, ""
        wait_until(lambda: deliveries(product, webhook)[0]["status"] == 500, 30, "an error")
        receiver.status = 200
        delivery = deliveries(product, webhook)[0]
        call(product, "POST", f"webhooks/{webhook}/deliveries/{delivery['id']}/retry")
        wait_until(lambda: deliveries(product, webhook)[0]["state"] == "delivered", 20, "the retry")
    assert len({each.key for each in receiver.received}) == 1


def test_a_silent_receiver_does_not_delay_others(product: Product) -> None:
    with Receiver() as silent, Receiver() as quick:
        silent.silent = True
        add(product, silent, "knock")
        add(product, quick, "knock")
        for _ in range(10):
            happen(product, "knock")
        wait_until(lambda: silent.received, 20, "an attempt", processes=[product])
        wait_until(lambda: len(quick.received) == 10, 8, "the other receiver", processes=[product])
        assert len(silent.received) <= 8


def test_a_killed_process_loses_nothing_and_repeats_only_the_same_key(product: Product) -> None:
    with Receiver() as receiver:
        receiver.delay_s = 3600  # It has received the request, and the result is not stored.
        webhook = add(product, receiver, "alarm", on_end=True)
        happen(product, "alarm")
        wait_until(lambda: receiver.received, 20, "the request", processes=[product])
        receiver.delay_s = 0
        os.kill(product.pids("jobs")[0], signal.SIGKILL)
        wait_until(lambda: len(receiver.received) == 3, 60, "another attempt", processes=[product])
        wait_until(lambda: not call(product, "GET", f"webhooks/{webhook}")["waiting"], 10, "the results")
    first, again, ended = receiver.received
    assert (first.key, first.body) == (again.key, again.body) and ended.key != first.key
    assert [each["type"] for each in bodies(receiver.received)] == ["event.begun"] * 2 + ["event.ended"]


# --- the stream ---


class Stream:
    """A connection to the stream of events."""

    def __init__(self, product: Product, query: str = "", *, token: str = "", last_id: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=20)
        headers = {"Authorization": f"Bearer {token or product.token}"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        self._connection.request("GET", f"/api/v1/events/stream{query}", headers=headers)
        self.response = self._connection.getresponse()

    def next(self) -> tuple[str, str, Any]:
        """Return (event, id, data) of the next message."""
        fields: dict[str, str] = {}
        while True:
            line = self.response.readline().decode().rstrip("\n")
            if not line and "data" in fields:
                return fields["event"], fields["id"], json.loads(fields["data"])
            name, _, value = line.partition(": ")
            fields[name] = value
            assert line or "data" not in fields

    def close(self) -> None:
        self.response.close()
        self._connection.close()


def test_events_are_streamed_from_every_worker_and_continue_at_the_last_one(product: Product) -> None:
    streams = [Stream(product, "?kind=tram") for _ in range(4)]
    assert {stream.response.status for stream in streams} == {200}
    assert streams[0].response.headers["Content-Type"] == "text/event-stream"
    assert [stream.next()[0] for stream in streams] == ["ready"] * 4
    event = happen(product, "tram", ongoing=True)
    for stream in streams:
        kind, _, data = stream.next()
        assert (kind, data["id"]) == ("begun", event)
    call(product, "PATCH", f"events/{event}", label="Line 7")
    kind, last_id, data = streams[0].next()
    assert (kind, data["label"]) == ("changed", "Line 7")
    for stream in streams:
        stream.close()
    missed = [happen(product, "tram"), happen(product, "tram")]
    again = Stream(product, "?kind=tram", last_id=last_id)
    received = [again.next() for _ in range(4)]
    assert [(kind, data["id"]) for kind, _, data in received] == [
        (kind, each) for each in missed for kind in ("begun", "ended")
    ]
    again.close()
    lost = Stream(product, last_id="987654321")
    assert lost.next()[0] == "reset"
    lost.close()


def test_the_stream_has_only_events_of_cameras_that_one_may_replay(product: Product) -> None:
    product.add_camera("vault", "rtsp://127.0.0.1:9/z")
    product.cli("createuser", "guard", "--password-stdin", stdin="a long passphrase\n")
    token = product.make_token("t", "*", user="guard")
    refused = Stream(product, token=token)
    assert refused.response.status == 403
    refused.close()
    for query in ("?camera=door", "?camera=nowhere"):
        hidden = Stream(product, query, token=token)
        assert hidden.response.status == 404
        hidden.close()
    grant = call(product, "POST", "cameras/door/grants", role="replay", user="guard")
    stream = Stream(product, token=token)
    assert stream.next()[0] == "ready"
    call(product, "POST", "events", camera="vault", kind="gold")
    event = happen(product, "ring")
    assert stream.next()[2]["id"] == event
    product.client.request("DELETE", f"/api/v1/grants/{grant['id']}")
    while stream.response.readline():
        pass  # The stream ends when the permission is checked again.
    stream.close()
