"""Measure the response time of /healthz, each time on a new connection, from a separate process.

python -m benchmarks.health_poller PORT SECONDS
"""

import json
import sys
import time

from benchmarks.loadclient import percentile
from tests.harness.attackers import RawClient

INTERVAL_S = 0.05


def main() -> None:
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    taken_s: list[float] = []
    failures = 0
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        begun_s = time.monotonic()
        try:
            with RawClient(port, timeout_s=5) as client:
                client.request("GET /healthz HTTP/1.1", "Connection: close")
                failures += client.answer()[0] != 200
        except (OSError, EOFError):
            failures += 1
        taken_s.append(time.monotonic() - begun_s)
        time.sleep(max(0.0, INTERVAL_S - taken_s[-1]))
    median, late = percentile(taken_s, 0.5), percentile(taken_s, 0.95)
    print(
        json.dumps(
            {
                "requests": len(taken_s),
                "failures": failures,
                "p50_ms": 1000 * (median or 0.0),
                "p95_ms": 1000 * (late or 0.0),
                "worst_ms": 1000 * max(taken_s),
            }
        )
    )


if __name__ == "__main__":
    main()
