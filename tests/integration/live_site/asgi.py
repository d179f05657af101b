"""A project's asgi.py, with a probe that reports the resources of this worker to tests."""

import json
import os
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.core.asgi import get_asgi_application
from django.db import connections
from django.db.backends.signals import connection_created

import ninjacam.viewers.worker
from ninjacam.asgi import get_application
from ninjacam.live.encodings import Encodings

ninjacam.viewers.worker.AWAY_GRACE_S = float(os.environ.get("LIVE_TEST_AWAY_GRACE_S", "30"))
_live = get_application(get_asgi_application())
_opened: list[Any] = []
connection_created.connect(lambda connection, **_: _opened.append(connection), weak=False)


async def application(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    if scope["type"] == "http" and scope["path"] == "/probe":
        worker = _live.worker
        body = json.dumps(
            {
                "pid": os.getpid(),
                "threads": [thread.name for thread in threading.enumerate()],
                "database_connections": sum(
                    each.connection is not None for each in {*_opened, *connections.all()}
                ),
                "viewers": len(worker.viewers),
                "feeds": len(worker.pool),
                "encodings": len(worker.shared(Encodings)),
                "sent": worker.sent + sum(viewer.sink.sent for viewer in worker.viewers),
                "dropped": worker.dropped + sum(viewer.sink.dropped for viewer in worker.viewers),
            }
        ).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
        return
    await _live(scope, receive, send)
