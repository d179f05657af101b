"""Warns about an expensive default: uvicorn compresses WebSocket messages, which takes fifty times the CPU for
video."""

import logging

from ninjacam.front_door.messages import Scope, Send, header

logger = logging.getLogger("ninjacam.asgi")

WARNING = (
    "THE SERVER COMPRESSES LIVE VIDEO (permessage-deflate), which takes about fifty times the CPU and gains nothing. "
    "Start uvicorn with --ws-per-message-deflate false; with gunicorn's UvicornWorker, use a subclass with "
    'CONFIG_KWARGS = {"ws_per_message_deflate": False}, or gunicorn\'s own worker: -k asgi.'
)


def compresses(scope: Scope, send: Send) -> bool:
    """Return whether this WebSocket's messages will be compressed, as far as can be determined: the client offered
    it, and uvicorn has it enabled. Other servers do not support it.
    """
    if "permessage-deflate" not in header(scope, b"sec-websocket-extensions"):
        return False
    config = getattr(getattr(send, "__self__", None), "config", None)
    return bool(getattr(config, "ws_per_message_deflate", False))
