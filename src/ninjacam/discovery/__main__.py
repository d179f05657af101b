"""`python -m ninjacam.discovery`: one search, as a separate process.

Reads {"network", "timeout_s", "allowed_networks"} as JSON from the first line of standard input, and prints one JSON
object per line: {"event": "progress" | "device" | "done" | "error", ...}. Ends when standard input is closed, so
that no search outlives the process that started it.
"""

import asyncio
import json
import os
import sys
from typing import Any

from ninjacam.core.errors import NinjacamError
from ninjacam.core.limits import confine, keep_files_private
from ninjacam.discovery.search import Search, SearchConfig

MEMORY_BYTES = 1 << 30
MAX_FILES = 256


def _write(event: str, contents: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"event": event, **contents}) + "\n")
    sys.stdout.flush()


async def _run(config: SearchConfig) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: _read_end(ended))
    search = asyncio.ensure_future(Search(config, _write).run())
    end = asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait((search, end), return_when=asyncio.FIRST_COMPLETED)
        if search.done():
            _write("done", search.result())
    finally:
        loop.remove_reader(sys.stdin.fileno())
        search.cancel()
        end.cancel()
        await asyncio.gather(search, end, return_exceptions=True)


def _read_end(ended: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        ended.set()


def main() -> None:
    keep_files_private()
    confine(memory_bytes=MEMORY_BYTES, files=MAX_FILES)
    values = json.loads(sys.stdin.readline())
    try:
        config = SearchConfig(
            str(values.get("network", "")),
            float(values["timeout_s"]),
            tuple(values.get("allowed_networks", ())),
        )
        asyncio.run(_run(config))
    except NinjacamError as exc:
        _write("error", exc.as_dict())
    except BrokenPipeError:
        sys.exit(1)  # The reader of the results has ended.


if __name__ == "__main__":
    main()
