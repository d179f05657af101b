"""A USB webcam in user space for the kernel's driver: `python -m tests.harness.usb_webcam FOLDER [FAULT AFTER]`.

It connects to the kernel's virtual USB port (USB/IP, drivers/usb/usbip/vhci_*; message formats in
Documentation/usb/usbip_protocol.rst), so the driver uvcvideo finds a camera (USB Video Class 1.0, a bulk endpoint) that
offers raw video first, as most do, and MJPEG. FOLDER contains its frames by size: `640x480/000.jpg`. They are played in
a loop, from the first one at each start. Prints `streams 640x480 30` at each start.

FAULT: "unplugged" or "frozen" after AFTER frames. A frozen webcam plays again when it is restarted.
"""

import select
import socket
import struct
import sys
import time
from collections import deque
from pathlib import Path

SIZES = ((640, 480), (320, 240))
RATES_FPS = (30, 25, 15)
"""The first item of each is the default."""
NAME = "Ninjacam test webcam"
_PORT = Path("/sys/devices/platform/vhci_hcd.0/attach")
_HIGH_SPEED, _DEVICE_ID = 3, 0x10002
_SUBMIT, _UNLINK, _SUBMITTED, _UNLINKED = 1, 2, 3, 4
_STALL, _RESET = -32, -104  # -EPIPE: unknown request; -ECONNRESET: cancelled transfer
_PAYLOAD_BYTES = 32 * 512  # the maximum that uvcvideo puts into one transfer
_PICTURE_BYTES = 640 * 480 * 2
_RAW, _MJPEG = 1, 2  # formats
_UNPLUGGED_AFTER_S = 0.3  # lets the host read the data sent before


class Webcam:
    """`fault`, `after`: see the module.

    Single-threaded. `run` returns when the webcam is unplugged or the host has disconnected.
    """

    def __init__(self, pictures: dict[tuple[int, int], list[bytes]], fault: str = "", after: int = 0) -> None:
        self._all = pictures
        self._fault, self._after = fault, after
        self._wire, self._host = socket.socketpair()
        self._transfers: deque[tuple[int, int]] = deque()  # (number, bytes) requested by the host
        self._negotiated = struct.pack("<HBBI", 0, _RAW, 1, _ticks(RATES_FPS[0]))
        self._pictures: list[bytes] = []
        self._interval_s = 1.0
        self._started_s = 0.0
        self._sent = 0
        self._left = b""
        self._odd = 0

    def plug_in(self) -> None:
        """Connect to the first free port. Raises: OSError: there is none."""
        for port in range(8):
            try:
                _PORT.write_text(f"{port} {self._host.fileno()} {_DEVICE_ID} {_HIGH_SPEED}")
            except OSError:
                if port == 7:
                    raise
            else:
                break
        self._host.close()

    def run(self) -> None:
        while True:
            wait_s = max(0.0, self._due_s() - time.monotonic()) if self._transfers else None
            if select.select([self._wire], [], [], wait_s)[0]:
                try:
                    self._answer(self._receive(48))
                except ConnectionError:
                    return
            if self._fault == "unplugged" and self._sent == self._after:
                time.sleep(_UNPLUGGED_AFTER_S)
                self._wire.close()
                return
            while self._transfers and self._due_s() <= time.monotonic():
                number, size = self._transfers.popleft()
                self._reply(number, self._payload(size))

    def _due_s(self) -> float:
        if not self._pictures or (self._fault == "frozen" and self._sent == self._after):
            return time.monotonic() + 1
        return self._started_s + self._sent * self._interval_s

    def _payload(self, size: int) -> bytes:
        """Return a header (frame parity, end of frame, time) and the next part of a frame (UVC 1.0, 2.4.3.3)."""
        picture = self._left or self._pictures[self._sent % len(self._pictures)]
        part, self._left = picture[: size - 6], picture[size - 6 :]
        flags = 0x84 | self._odd | (0 if self._left else 2)
        if not self._left:
            self._odd ^= 1
            self._sent += 1
        return struct.pack("<BBI", 6, flags, time.monotonic_ns() // 1000 & 0xFFFFFFFF) + part

    # USB/IP

    def _receive(self, size: int) -> bytes:
        """Raises: ConnectionError: the host has closed the connection."""
        data = b""
        while len(data) < size:
            part = self._wire.recv(size - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def _answer(self, message: bytes) -> None:
        command, number, _, inward, endpoint = struct.unpack(">5I", message[:20])
        if command == _UNLINK:
            (given_up,) = struct.unpack(">I", message[20:24])
            waiting = [transfer for transfer in self._transfers if transfer[0] == given_up]
            for transfer in waiting:
                self._transfers.remove(transfer)
            status = _RESET if waiting else 0
            self._wire.sendall(struct.pack(">5Ii24x", _UNLINKED, number, 0, 0, 0, status))
            return
        assert command == _SUBMIT
        (size,) = struct.unpack(">I", message[24:28])
        data = b"" if inward else self._receive(size)
        if endpoint:
            self._transfers.append((number, size))
            return
        kind, request, value, index = struct.unpack("<BBHH", message[40:46])
        answer = self._control(kind, request, value, index, data)
        if answer is None:
            self._reply(number, status=_STALL)
        else:
            self._reply(number, answer[:size] if inward else b"", taken=len(data))

    def _reply(self, number: int, data: bytes = b"", *, taken: int = 0, status: int = 0) -> None:
        length = len(data) or taken
        self._wire.sendall(
            struct.pack(">5I5i8x", _SUBMITTED, number, 0, 0, 0, status, length, 0, 0, 0) + data
        )

    # USB and UVC

    def _control(self, kind: int, request: int, value: int, index: int, data: bytes) -> bytes | None:
        """Return the response to a request to the device; None: refused."""
        match kind, request, value >> 8:
            case (0x80, 0x06, descriptor):
                return _descriptor(descriptor, value & 0xFF)
            case (0x80 | 0x81 | 0x82, 0x00, _):  # GET_STATUS
                return bytes(2)
            case (0x00, 0x09, _) | (0x01, 0x0B, _):  # SET_CONFIGURATION, SET_INTERFACE
                return b""
            case (0x02, 0x01, _):  # CLEAR_FEATURE of the endpoint: uvcvideo has stopped
                self._pictures, self._left = [], b""
                return b""
            case (0x21, 0x01, 1 | 2 as control) if index == 1:  # SET_CUR of probe or commit
                self._negotiated = data[:8]
                if control == 2:
                    self._start()
                return b""
            case (0xA1, 0x81 | 0x82 | 0x83 | 0x87, 1 | 2) if index == 1:  # GET_CUR, MIN, MAX, DEF
                return self._negotiated + struct.pack("<5HII", 0, 0, 0, 0, 0, _PICTURE_BYTES, _PAYLOAD_BYTES)
        return None

    def _start(self) -> None:
        _, form, frame, ticks = struct.unpack("<HBBI", self._negotiated)
        size = SIZES[frame - 1]
        self._fault = self._fault if not self._sent else ""
        self._pictures = self._all[size] if form == _MJPEG else []
        self._interval_s = ticks / 1e7
        self._started_s, self._sent, self._left = time.monotonic(), 0, b""
        print(f"streams {size[0]}x{size[1]} {round(1e7 / ticks)}", flush=True)


def _ticks(fps: int) -> int:
    """Return the time in UVC's unit of 100 ns."""
    return 10_000_000 // fps


def _descriptor(kind: int, number: int) -> bytes | None:
    if kind == 1:
        return struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x200, 0xEF, 2, 1, 64, 0x1209, 1, 0x100, 1, 2, 0, 1)
    if kind == 2:
        return _configuration()
    if kind == 3:
        text = NAME.encode("utf-16-le") if number else b"\x09\x04"  # list of languages: English
        return bytes([2 + len(text), 3]) + text
    return None


def _configuration() -> bytes:
    """Describe a camera (terminal 1) whose video goes to the host (terminal 2): USB Video Class 1.0, 3."""
    frames = _frames(0x05), _frames(0x07)
    yuyv = b"YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
    formats = (
        _class(0x04, "BB16sBBBBBB", _RAW, len(SIZES), yuyv, 16, 1, 0, 0, 0, 0)
        + frames[0]
        + _class(0x06, "BBBBBBBB", _MJPEG, len(SIZES), 0, 1, 0, 0, 0, 0)
        + frames[1]
    )
    streaming = _class(0x01, "BHBBBBBBBBB", 2, 15 + len(formats), 0x81, 0, 2, 0, 0, 0, 1, 0, 0) + formats
    terminals = _class(0x02, "BHBBHHHB3s", 1, 0x0201, 0, 0, 0, 0, 0, 3, bytes(3)) + _class(
        0x03, "BHBBB", 2, 0x0101, 0, 1, 0
    )
    control = _class(0x01, "HHIBB", 0x100, 13 + len(terminals), 1_000_000, 1, 1) + terminals
    body = (
        struct.pack("8B", 8, 0x0B, 0, 2, 0x0E, 3, 0, 0)
        + struct.pack("9B", 9, 4, 0, 0, 0, 0x0E, 1, 0, 0)
        + control
        + struct.pack("9B", 9, 4, 1, 0, 1, 0x0E, 2, 0, 0)
        + streaming
        + struct.pack("<BBBBHB", 7, 5, 0x81, 2, 512, 0)
    )
    return struct.pack("<BBHBBBBB", 9, 2, 9 + len(body), 2, 1, 0, 0x80, 250) + body


def _frames(kind: int) -> bytes:
    intervals = [_ticks(fps) for fps in RATES_FPS]
    form = f"BBHHIIIIB{len(intervals)}I"
    return b"".join(
        _class(
            *(kind, form, number, 0, width, height, width * height * 160, width * height * 480),
            *(width * height * 2, intervals[0], len(intervals), *intervals),
        )
        for number, (width, height) in enumerate(SIZES, start=1)
    )


def _class(kind: int, form: str, *values: object) -> bytes:
    """Return a descriptor of the video class."""
    body = struct.pack("<" + form, *values)
    return bytes([3 + len(body), 0x24, kind]) + body


def main(folder: str, fault: str = "", after: str = "0") -> None:
    pictures = {
        (width, height): [
            path.read_bytes() for path in sorted(Path(folder, f"{width}x{height}").glob("*.jpg"))
        ]
        for width, height in SIZES
    }
    webcam = Webcam(pictures, fault, int(after))
    webcam.plug_in()
    webcam.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
