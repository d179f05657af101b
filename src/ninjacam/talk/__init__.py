"""Talk: the audio of one user to a camera's loudspeaker, from a web worker to the camera's RTSP back channel.

docs/design/0012-talk.md explains it. Not here: RTSP (`ninjacam.sources.rtsp.back_channel`), and permissions.
"""
