"""The product on PostgreSQL: accounts, cameras, recordings and their index, four web workers."""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.postgres import Postgres, postgres_missing
from tests.harness.processes import python, wait_until
from tests.harness.server import Product
from tests.harness.warm_cli import run_command

pytestmark = pytest.mark.skipif(bool(postgres_missing()), reason=postgres_missing())
SMALL = ("--size", "320x240", "--bitrate", "300000", "--gop", "25", "--gop-at-once")


def run_on_postgres(code: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    """Run Python code with the tables of the product in an empty database."""
    with Postgres() as postgres:
        environment = {
            "DATABASE_URL": postgres.url,
            "NINJACAM_DATA": str(directory / "data"),
            "DJANGO_SETTINGS_MODULE": "ninjacam.site.settings",
        }
        run_command(["list", "--data", str(directory / "data")], environment)  # Creates the tables.
        return subprocess.run(
            python("-c", code), env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
        )


def seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def test_restarting_the_database_server_loses_no_frame_and_no_row(tmp_path: Path) -> None:
    with Postgres() as postgres, FakeCamera(*SMALL) as camera:
        environment = {"DATABASE_URL": postgres.url}
        with Product(tmp_path / "data", workers=4, environment=environment) as product:
            product.add_camera("door", camera.url(), "--record", "always")
            product.wait_for_state("door")

            def listed_until(at_s: float) -> bool:
                answer = product.client.get("/api/v1/timeline?camera=door")
                spans = answer.json()["cameras"][0]["spans"] if answer.status == 200 else []
                assert len(spans) < 2, "a gap"
                return bool(spans) and seconds(spans[-1]["end"]) > at_s

            begun_s = time.time()
            wait_until(lambda: listed_until(begun_s + 2), 30, "the index", processes=[product])
            postgres.kill()
            wait_until(lambda: product.status()["recordings"]["error"], 20, "the engine notices")
            assert product.client.get("/healthz").status == 200
            assert product.client.get("/api/v1/timeline?camera=door").status == 503
            postgres.start()
            back_s = time.time()
            wait_until(lambda: listed_until(back_s), 30, "the index again", processes=[product])
            assert camera.state()["connects"] == 1
            product.client.request("PATCH", "/api/v1/cameras/door", json_body={"record": "off"})

            def does() -> str:
                return str(product.status()["cameras"]["door"]["recording"]["state"])

            wait_until(lambda: does() == "off", 20, "what is wanted is read again", processes=[product])

            def told_of_ended_files() -> Any:
                """Retried, because rows may be added between the two requests."""
                files = product.client.get("/api/v1/recordings?camera=door").json()["items"]
                (told,) = product.client.get("/api/v1/timeline?camera=door&buckets=1").json()["cameras"]
                same = told["spans"] == [{"start": files[-1]["start"], "end": files[0]["end"]}]
                return (told, files) if same and not any(file["open"] for file in files) else None

            told, files = wait_until(
                told_of_ended_files, 20, "a span of all files, to their end", processes=[product]
            )
            length_s = sum(seconds(file["end"]) - seconds(file["start"]) for file in files)
            mean_bps = sum(file["size_bytes"] for file in files) * 8 / length_s
            assert told["activity"]["bitrate_bps"][0] == pytest.approx(mean_bps, rel=0.001)
            assert product.terminate(10) < 5
            assert "Traceback" not in product.output, product.output
            product.cli("index", "--rebuild")
            assert "match the index" in product.cli("fsck")


def test_concurrent_requests_do_not_exceed_the_limit_on_exports_of_a_user(tmp_path: Path) -> None:
    limit = 5  # ACTIVE_EXPORTS_PER_USER
    with (
        Postgres() as postgres,
        FakeCamera(*SMALL) as camera,
        Product(tmp_path / "data", workers=4, environment={"DATABASE_URL": postgres.url}) as product,
    ):
        product.add_camera("door", camera.url(), "--record", "always")
        wait_until(
            lambda: product.client.get("/api/v1/recordings?camera=door").json()["items"],
            30,
            "a recording",
            processes=[product],
        )
        (file, *_) = product.client.get("/api/v1/recordings?camera=door").json()["items"]
        fields = {"camera": "door", "start": file["start"], "end": file["end"]}
        engine = product.engine_pid()
        os.kill(engine, signal.SIGSTOP)  # The engine starts no jobs while it is stopped, so no export ends.
        try:
            with ThreadPoolExecutor(4 * limit) as pool:
                requests = [
                    pool.submit(product.client.post, "/api/v1/exports", json_body=fields)
                    for _ in range(4 * limit)
                ]
                answers = [request.result() for request in requests]
        finally:
            os.kill(engine, signal.SIGCONT)
        created = sum(answer.status == 201 for answer in answers)
        assert created == limit, [answer.text for answer in answers]


LIMIT = """
import threading
import django
django.setup()
from django.db import connections, transaction
from ninjacam.actions.events import EventInput, create_event
from ninjacam.auth import LocalOperator
from ninjacam.models import Camera, Rule, WebhookDelivery

operator = LocalOperator()
Camera.objects.create(slug="door", name="Door", url="rtsp://192.0.2.1/")
Rule.objects.create(name="Night", notify=True, max_per_hour=1)
Rule.objects.create(name="Noon", notify=True, max_per_hour=1)


def create():
    create_event(operator, "door", EventInput("person"))
    connections.close_all()


with transaction.atomic():
    create_event(operator, "door", EventInput("person"))
    other = threading.Thread(target=create, daemon=True)
    other.start()
    other.join(1)
    create_event(operator, "door", EventInput("car"))
other.join(20)
for state in ("waiting", "dead"):
    print(state, WebhookDelivery.objects.filter(state=state).count())
"""


def test_two_processes_do_not_exceed_the_e_mails_of_a_rule(tmp_path: Path) -> None:
    done = run_on_postgres(LIMIT, tmp_path)
    assert done.stdout.splitlines() == ["waiting 2", "dead 4"], done.stderr


SNAPSHOT = """
import threading
import django
django.setup()
from django.db import connections, transaction
from ninjacam.actions import event_calls
from ninjacam.models import Camera, Event, EventCall
from ninjacam.queries.status import Status

processor = {"name": "plates", "cameras": ["*"], "when": "events"}
status = Status(engine_running=True, is_code_known=True, processors=(processor,))
event_calls.read_status = lambda: status
Camera.objects.create(slug="door", name="Door", url="rtsp://192.0.2.1/")
event = Event.objects.create(slug="door", kind="person", start_ns=1, end_ns=2, snapshot_ns=1)
event_calls.request_event_calls(event, 1)


class Process:
    def call(self, question, on_wait):
        return {"result": {"texts": ["old"]}}


def call():
    event_calls.EventCaller(start=Process).tick()
    connections.close_all()


with transaction.atomic():
    Event.objects.filter(pk=event.pk).update(snapshot_ns=2)
    other = threading.Thread(target=call, daemon=True)
    other.start()
    other.join(2)
    event_calls.request_event_calls(event, 1)
other.join(20)
print(EventCall.objects.get().state, Event.objects.get().data)
"""


def test_a_better_snapshot_and_the_result_of_the_one_before_do_not_deadlock(tmp_path: Path) -> None:
    done = run_on_postgres(SNAPSHOT, tmp_path)
    assert done.stdout == "waiting {}\n" and "deadlock" not in done.stderr, done.stderr


FAILURE = """
import django
django.setup()
from ninjacam.core.errors import ProcessorError
from ninjacam.models import Export

error = ProcessorError("A\\0\\ud800", traceback="\\0\\udfff").as_dict()
Export.objects.create(slug="door", start_ns=0, end_ns=1, kind="backtest", error=error)
print(ascii(Export.objects.get().error["message"]))
"""


def test_any_text_of_an_exception_of_user_code_is_stored(tmp_path: Path) -> None:
    done = run_on_postgres(FAILURE, tmp_path)
    assert done.stdout == "'A\\ufffd\\ufffd'\n", done.stderr


RACE = """
import sys, threading
import django
django.setup()
from django.db import connections, transaction
from ninjacam.actions.cameras import delete_camera
from ninjacam.actions.events import EventInput, create_event
from ninjacam.actions.webhooks import delete_webhook
from ninjacam.auth import LocalOperator
from ninjacam.models import Camera, Event, ProcessorState, Webhook, WebhookDelivery, outbox
from ninjacam import processor_writer

operator = LocalOperator()
Camera.objects.create(slug="door", name="Door", url="rtsp://192.0.2.1/")


def delete(action, row):
    def run():
        action(operator, row)
        connections.close_all()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(1)
    return thread


def delete_before(module, name, action, row):
    original = getattr(module, name)

    def wrapped(*arguments):
        found = original(*arguments)
        delete(action, row)
        setattr(module, name, original)
        return found

    setattr(module, name, wrapped)


def show():
    print(*(model.objects.count() for model in (Camera, Event, ProcessorState, Webhook, WebhookDelivery)))


webhook = Webhook.objects.create(name="shop", url="https://192.0.2.2/")
with transaction.atomic():
    create_event(operator, "door", EventInput("person"))
    deleting = delete(delete_webhook, webhook)
deleting.join(20)
show()

webhook = Webhook.objects.create(name="shop", url="https://192.0.2.2/")
delete_before(outbox, "_deliveries", delete_webhook, webhook)
create_event(operator, "door", EventInput("car"))
show()

writer = processor_writer.ProcessorWriter(save_every_s=0.05)
delete_before(processor_writer, "_write_state", delete_camera, Camera.objects.get(slug="door"))
writer.save("door", "people", {"count": 1})
while Camera.objects.exists():
    pass
Camera.objects.create(slug="gate", name="Gate", url="rtsp://192.0.2.1/")
writer.save("gate", "people", {"count": 2})
writer.put("gate", EventInput("person"))
writer.close(20)
show()
"""


def test_rows_that_are_deleted_meanwhile_cost_no_event_and_no_state(tmp_path: Path) -> None:
    done = run_on_postgres(RACE, tmp_path)
    deleted_before_the_commit, deleted_before_the_delivery, deleted_with_its_state = done.stdout.splitlines()
    assert deleted_before_the_commit == "1 1 0 0 0", done.stderr
    assert deleted_before_the_delivery == "1 2 0 0 0", done.stderr
    assert deleted_with_its_state == "1 3 1 0 0", done.stderr
