"""NINJACAM_PREFIX: serve the product below a path, behind proxies that remove the path and those that do not."""

from ninjacam.front_door.messages import Application, Receive, Scope, Send


def below_prefix(inner: Application, prefix: str) -> Application:
    """Return `inner` with `prefix` prepended to each path, as signed links and Django's reversed URLs require.

    Requests without the prefix are served too: proxies that remove it send them, as do local health checks.
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
