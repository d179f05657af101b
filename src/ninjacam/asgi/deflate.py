"""A warning for the costliest default there is: uvicorn compresses WebSocket messages, video fifty times over."""

import logging

from ninjacam.front_door.messages import Scope, Send, header

logger = logging.getLogger("ninjacam.live")

WARNING = (
    "THE SERVER COMPRESSES LIVE VIDEO (permessage-deflate), which takes about fifty times the CPU and gains nothing. "
    "Start uvicorn with --ws-per-message-deflate false; with gunicorn's UvicornWorker, use a subclass with "
    'CONFIG_KWARGS = {"ws_per_message_deflate": False}, or gunicorn\'s own worker: -k asgi.'
)


def compresses(scope: Scope, send: Send) -> bool:
    """Whether this WebSocket's messages will be compressed, as far as one can see: the client offered it, and the
    server is uvicorn and has it switched on. Other servers have no such thing."""
    if "permessage-deflate" not in header(scope, b"sec-websocket-extensions"):
        return False
    config = getattr(getattr(send, "__self__", None), "config", None)
    return bool(getattr(config, "ws_per_message_deflate", False))
