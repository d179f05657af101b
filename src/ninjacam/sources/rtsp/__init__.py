"""Ninjacam's RTSP client, over TCP and UDP: from bytes to access units, with the standard library only.

RFC 2326 and 7826 (RTSP), 3550 (RTP, RTCP), 6184 (H.264), 7798 (H.265), 2435 (JPEG), 3640 (AAC), 3551 (G.711). Not
here: retrying and the repair of time (`ninjacam.capture`).
"""
