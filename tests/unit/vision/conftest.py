import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def finders() -> Iterator[None]:
    """Loading processors adds a finder for their helpers, which must not find those of other tests."""
    before = list(sys.meta_path)
    yield
    sys.meta_path[:] = before
