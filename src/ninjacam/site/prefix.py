"""NINJACAM_PREFIX: the product below a path of its own, behind proxies that remove the path and those that do not."""

from ninjacam.front_door.messages import Application, Receive, Scope, Send


def below_prefix(inner: Application, prefix: str) -> Application:
    """`inner`, for which each path begins with `prefix`. Signed links and Django's reversed URLs rely on it.

    Requests without the prefix are answered too: proxies that remove it send these, and so do local health checks.
    """
    if not prefix:
        return inner

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            path = str(scope["path"])
            if path == prefix:
                scope = {**scope, "path": f"{prefix}/"}
            elif not path.startswith(f"{prefix}/"):
                scope = {**scope, "path": prefix + path}
        await inner(scope, receive, send)

    return application
