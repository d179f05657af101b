"""Publishers in browsers. A web worker relays their WebSocket to the capture process through a Unix socket.

The web worker does not parse the browser's messages, which `messages` describes. `publisher` parses them in a
process without secrets. Not here: the WebSocket and its authorization (`ninjacam.live.publish`).
"""
