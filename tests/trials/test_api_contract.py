"""The API against its own OpenAPI document, with many random requests."""

from pathlib import Path

from tests.integration.test_api_contract import check_conformance, data, server

__all__ = ["data", "server"]  # fixtures


def test_every_response_to_random_requests_conforms(server: str, data: Path, tmp_path: Path) -> None:
    check_conformance(server, data, tmp_path, examples=50)
