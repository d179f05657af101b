"""Publishers that are pages in browsers. A web worker relays their WebSocket to the capture process by a Unix socket.

The web worker reads nothing of what a browser sends: `messages` describes it, `publisher` reads it in the process
that has no secrets. Not here: the WebSocket and its authorization (`ninjacam.live.publish`).
"""
