import re
from pathlib import Path

from django.contrib.auth.models import User
from django.test import Client

import ninjacam
from ninjacam.api import api
from ninjacam.management.commands.ninjacam_openapi import document
from tests.unit.conftest import signed_in, with_token

SNAPSHOT = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_document_equals_the_one_in_docs() -> None:
    assert SNAPSHOT.read_text(encoding="utf-8") == document(), (
        "run `make openapi`, and look at what has changed"
    )


def test_every_operation_is_described_with_examples() -> None:
    schema = api.get_openapi_schema()
    schemas = schema["components"]["schemas"]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert operation["operationId"] and operation["summary"] and operation["description"], (
                path,
                method,
            )
            assert operation["security"], (path, method)
            bodies = [operation["requestBody"]] if "requestBody" in operation else []
            for holder in [*bodies, *operation["responses"].values()]:
                for content in holder.get("content", {}).values():
                    if "$ref" not in content["schema"]:  # images and files
                        continue
                    name = content["schema"]["$ref"].rpartition("/")[2]
                    assert schemas[name].get("examples"), f"{method} {path}: {name} has no example"


def test_operation_ids_are_unique() -> None:
    ids = [
        each["operationId"] for path in api.get_openapi_schema()["paths"].values() for each in path.values()
    ]
    assert len(ids) == len(set(ids))


def test_the_document_needs_a_session_or_token(client: Client, viewer: User) -> None:
    refused = client.get("/api/v1/openapi.json")
    assert refused.status_code == 401 and refused["Content-Type"] == "application/problem+json"
    assert signed_in(viewer).get("/api/v1/openapi.json").json()["openapi"] == "3.1.0"
    assert with_token(viewer, "view").get("/api/v1/openapi.json").status_code == 200


def test_the_docs_page_needs_a_session_and_no_other_host(client: Client, viewer: User) -> None:
    assert client.get("/api/v1/docs").status_code == 302
    client = signed_in(viewer)
    page = client.get("/api/v1/docs").content.decode()
    assert "//" not in page.replace("/api/v1", "")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-init.js", "favicon.svg"):
        path = f"/api/v1/docs/assets/{name}"
        assert path in page
        assert client.get(path).status_code == 200
    assert client.get("/api/v1/docs/assets/..%2f..%2fmain.py").status_code == 404


def test_the_document_has_every_parameter_of_streams_and_recordings() -> None:
    """The handlers are searched for parameters that are missing here."""
    stream = {"view", "stream", "width", "quality"}
    parameters = {
        "mjpeg": stream | {"fps"},
        "snapshot.jpg": stream,
        "hls.m3u8": {"start", "end"},
        "{segment_id}.mp4": {"shift"},
        "clip.mp4": {"start", "end", "download", "partial"},
        "at.jpg": {"time", "width", "nearest"},
    }
    source = (Path(ninjacam.__file__).parent / "playback" / "playback.py").read_text()
    for function, place, names in (
        ("serve_playlist", "hls.m3u8", {"start", "end"}),
        ("serve_segment", "{segment_id}.mp4", {"shift"}),
        ("serve_clip", "clip.mp4", {"start", "end", "partial"}),
        ("serve_still", "at.jpg", {"time", "nearest"}),
    ):
        body = source.partition(f"async def {function}(")[2].partition("\nasync def ")[0]
        read = {a or b for a, b in re.findall(r'\.get\("(\w+)"|parse_time\(query, "(\w+)"\)', body)}
        assert read | ({"start", "end"} if "parse_span(" in body else set()) == names <= parameters[place]
    paths = api.get_openapi_schema(path_prefix="/api/v1/")["paths"]
    for place, names in parameters.items():
        path = next(path for path in paths if re.search(rf"^/(live|rec)/.*/{re.escape(place)}$", path))
        described = {each["name"]: each.get("description") for each in paths[path]["get"]["parameters"]}
        assert names <= set(described), path
        assert all(described[name] for name in names), path
    assert any(path.endswith("/live/ws") for path in paths)


def test_the_document_is_built_once_for_each_prefix() -> None:
    first = api.get_openapi_schema(path_prefix="/one/")
    assert api.get_openapi_schema(path_prefix="/one/") is first
    assert any(path.startswith("/two/") for path in api.get_openapi_schema(path_prefix="/two/")["paths"])
