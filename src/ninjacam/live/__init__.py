"""The ASGI media application beside Django: live video for any number of viewers of this worker.

Plain ASGI, so that a viewer holds neither a thread nor a database connection. Not here: pages and the API (`web`,
`api`), how bytes are laid out (`ninjacam.outputs`), and anything that opens a camera.
"""
