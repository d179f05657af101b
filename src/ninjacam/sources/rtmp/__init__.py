"""Publishers that send over RTMP: handshake, chunks, commands and media. Opens no sockets.

Sources: Adobe's RTMP specification 1.0, AMF 0, the FLV file format 10.1, and Enhanced RTMP v2 (Veovera) for H.265.
"""
