"""Object detection with ONNX networks: models on disk, engines that run them, decoders of their outputs.

Not here: frames, cameras and processors (`vision`), and the command that installs models (`management`).
"""
