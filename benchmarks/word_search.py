"""Measure the search of events by words: the comparison of vectors in the database.

  python -m benchmarks.word_search [--cameras 16] [--events 10000] [--dimensions 512]

`events`: of each camera. Times of the comparison of one camera's events, and of all, on SQLite and, if it is installed,
on PostgreSQL; with pgvector, if that is installed, its exact comparison and its index. The vectors are random.
`new_words`: the time to map words to a vector, which is done once for each text.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stage import Figures
from tests.harness.postgres import Postgres, postgres_missing
from tests.harness.processes import python, run

ROUNDS = 10
BATCH = 2000
START_NS = 1_790_000_000 * 10**9
EVERY_NS = 60 * 10**9
MODEL = "benchmark"
LIMIT = 48


def fill(cameras: int, events: int, dimensions: int) -> None:
    """Create events with vectors, those of all cameras in turns, as they happen."""
    from ninjacam.models import Event, EventEmbedding

    chance = np.random.default_rng(1)
    rows = [
        Event(slug=f"cam-{number % cameras:02d}", kind="person", start_ns=START_NS + number * EVERY_NS, source="x",
              end_ns=START_NS + number * EVERY_NS + 10**9, data={}, zones=" gate ")
        for number in range(cameras * events)
    ]  # fmt: skip
    for at in range(0, len(rows), BATCH):
        made = Event.objects.bulk_create(rows[at : at + BATCH])
        vectors = chance.standard_normal((len(made), dimensions)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        EventEmbedding.objects.bulk_create(
            EventEmbedding(event=event, model=MODEL, vector=vector.astype("<f2").tobytes())
            for event, vector in zip(made, vectors, strict=True)
        )


def measure(ask: Callable[[], Any], rounds: int = ROUNDS) -> Figures:
    ask()
    took_ms = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        ask()
        took_ms.append((time.perf_counter() - began_s) * 1000)
    return {"p50_ms": round(statistics.median(took_ms), 1), "worst_ms": round(max(took_ms), 1)}


def measure_database(cameras: int, events: int, dimensions: int) -> Figures:
    """Measure in the database of DATABASE_URL, which must be empty; by default in SQLite."""
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    call_command("migrate", verbosity=0)
    fill(cameras, events, dimensions)
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)" if is_sqlite else "VACUUM ANALYZE")

    from ninjacam.models import Event
    from ninjacam.queries.similarity import find_similar

    vector = np.random.default_rng(2).standard_normal(dimensions).astype(np.float32)
    vector /= np.linalg.norm(vector)
    end_ns = START_NS + cameras * events * EVERY_NS

    def ask(slugs: list[str] | None) -> None:
        found = Event.objects.overlapping(slugs, 0, end_ns)
        assert len(find_similar(found, MODEL, vector, LIMIT)) == min(LIMIT, events)

    figures: Figures = {
        "one_camera": measure(lambda: ask(["cam-00"])),
        "all_cameras": measure(lambda: ask(None), 3),
    }
    if not is_sqlite:
        figures |= measure_pgvector(vector, dimensions)
    connection.close()
    return figures


def measure_pgvector(vector: Any, dimensions: int) -> Figures:
    """Copy the vectors into a table of pgvector, and ask it the same questions."""
    from django.db import DatabaseError, connection

    from ninjacam.models import EventEmbedding

    text = "[" + ",".join(f"{value:.5f}" for value in vector) + "]"
    with connection.cursor() as cursor:
        try:
            cursor.execute("CREATE EXTENSION vector")
        except DatabaseError:
            return {}
        cursor.execute(f"CREATE TABLE v (event_id bigint primary key, vector vector({dimensions}))")
        rows = EventEmbedding.objects.values_list("event_id", "vector")
        for pk, data in rows.iterator():
            values = ",".join(f"{value:.4f}" for value in np.frombuffer(data, "<f2"))
            cursor.execute("INSERT INTO v VALUES (%s, %s)", [pk, f"[{values}]"])
        cursor.execute("VACUUM ANALYZE v")
        of_camera = (
            "SELECT e.id, 1 - (v.vector <=> %s) FROM v JOIN ninjacam_event e ON e.id = v.event_id "
            "WHERE e.slug = 'cam-00' ORDER BY v.vector <=> %s LIMIT 48"
        )
        of_all = of_camera.replace("e.slug = 'cam-00'", "true")

        def ask(query: str) -> int:
            cursor.execute(query, [text, text])
            return len(cursor.fetchall())

        figures: Figures = {
            "pgvector_one_camera": measure(lambda: ask(of_camera)),
            "pgvector_all_cameras": measure(lambda: ask(of_all), 3),
        }
        began_s = time.perf_counter()
        cursor.execute("CREATE INDEX ON v USING hnsw (vector vector_cosine_ops)")
        figures["pgvector_index_s"] = round(time.perf_counter() - began_s, 1)
        figures["pgvector_indexed_all_cameras"] = measure(lambda: ask(of_all))
        figures["pgvector_indexed_one_camera"] = measure(lambda: ask(of_camera))
        figures["pgvector_indexed_one_camera_found"] = ask(of_camera)
    return figures


def measure_text() -> Figures:
    """Return the seconds until words are a vector: in a process that loads a network as large as that of CLIP ViT-B/32
    (63 million random weights), and ends."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from ninjacam.actions.child_processes import run_module
    from ninjacam.inference.search_models import describe_search_model, install_search_model
    from tests.harness import color_words

    chance = np.random.default_rng(3)

    def weights(name: str, *shape: int) -> Any:
        return numpy_helper.from_array(chance.standard_normal(shape).astype(np.float32) * 0.02, name)

    constants = [weights("table", 49_408, 512), numpy_helper.from_array(np.array([1]), "axis")]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["x0"])]
    for layer in range(12):
        constants += [weights(f"a{layer}", 512, 3072), weights(f"b{layer}", 3072, 512)]
        nodes += [
            helper.make_node("MatMul", [f"x{layer}", f"a{layer}"], [f"y{layer}"]),
            helper.make_node("MatMul", [f"y{layer}", f"b{layer}"], [f"x{layer + 1}"]),
        ]
    nodes.append(helper.make_node("ReduceMean", ["x12"], ["text_embeds"], axes=[1], keepdims=0))
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "tokens"])
    vector = helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["n", 512])
    graph = helper.make_graph(nodes, "large", [ids], [vector], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with tempfile.TemporaryDirectory(prefix="ninjacam-words-") as name:
        files = color_words.write_files(Path(name) / "files")
        onnx.save(model, str(files[1]))
        spec = describe_search_model(*files, "clip")
        tried = {"dimensions": 512, "engine": "x"}
        made = install_search_model(Path(name) / "models", files, "large", spec, lambda made: tried)
        question = json.dumps({"model": made.as_dict(), "text": "red car at the gate"}).encode()

        def ask() -> None:
            printed = run_module("ninjacam.inference.search_child", question, 60, bare=True)
            assert (printed or b"").startswith(b'{"vector"'), printed

        return measure(ask, 5)


def _run(arguments: argparse.Namespace, environment: dict[str, str]) -> Figures:
    given = [f"--{name}={getattr(arguments, name)}" for name in ("cameras", "events", "dimensions")]
    command = python("-m", "benchmarks.word_search", "--here", *given)
    answer: Figures = json.loads(run(command, environment=environment, timeout_s=3000))
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--here", action="store_true", help="in the database of DATABASE_URL, or SQLite")
    arguments = parser.parse_args()
    if not arguments.here:
        figures = {"sqlite": _run(arguments, {})}
        if not postgres_missing():
            with Postgres() as postgres:
                figures["postgresql"] = _run(arguments, {"DATABASE_URL": postgres.url})
        figures["new_words"] = measure_text()
        print(json.dumps(figures, indent=2))
        return
    with tempfile.TemporaryDirectory(prefix="ninjacam-words-") as directory:
        os.environ |= {"NINJACAM_DATA": directory, "DJANGO_SETTINGS_MODULE": "ninjacam.site.settings"}
        print(json.dumps(measure_database(arguments.cameras, arguments.events, arguments.dimensions)))


if __name__ == "__main__":
    main()
