"""The product on PostgreSQL: accounts, cameras, recordings and their index, four web workers."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.postgres import Postgres, postgres_missing
from tests.harness.processes import wait_until
from tests.harness.server import Product

pytestmark = pytest.mark.skipif(bool(postgres_missing()), reason=postgres_missing())
SMALL = ("--size", "320x240", "--bitrate", "300000", "--gop", "25", "--gop-at-once")


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
