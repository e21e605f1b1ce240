"""A loopback web for benchmarks, in a process of its own: `python loopback.py PICTURES KEY CHAIN` prints its ports.

Serves the same pictures over HTTP and HTTPS with connections kept alive; `/endless/N` never stops sending,
`/bomb/N` is a small PNG of 400 million pixels.
"""

import io
import socketserver
import ssl
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

SIZE = (320, 240)
SIDE = 20_000  # of the bomb


def pictures(count: int) -> list[bytes]:
    """Encode pictures of 320x240 as JPEG of quality 90, each another one."""
    found = []
    for seed in range(count):
        small = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(small).resize(SIZE, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
        found.append(stream.getvalue())
    return found


def bomb() -> bytes:
    """Write a PNG that announces far more pixels than it has bytes."""
    row = zlib.compress(b"\0" * (SIDE // 8 + 1), 9)
    header = SIDE.to_bytes(4, "big") * 2 + b"\1\0\0\0\0"
    parts = [(b"IHDR", header), (b"IDAT", row * 16), (b"IEND", b"")]
    chunks = (
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


class Handler(BaseHTTPRequestHandler):
    """Answers `/N.jpg`, `/endless/N`, `/bomb/N`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    found: list[bytes] = []
    bomb = b""

    def do_GET(self) -> None:
        if self.path.startswith("/endless/"):
            self._endless()
        elif self.path.startswith("/bomb/"):
            self._answer(200, self.bomb, "image/png")
        elif self.path.endswith(".jpg"):
            number = int(self.path[1:-4])
            self._answer(200, self.found[number % len(self.found)], "image/jpeg")
        else:
            self._answer(404, b"", "text/plain")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _endless(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"\xff\xd8\xff")
        for _ in range(200):  # megabytes
            self.wfile.write(b"x" * 2**20)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Web(ThreadingHTTPServer):
    """Serves until it is killed."""

    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may hang up."""

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # without asking for this machine's name


def main(count: int, key: str, chain: str) -> None:
    """Serve both ways and print the ports."""
    Handler.found, Handler.bomb = pictures(count), bomb()
    plain, secure = Web(("127.0.0.1", 0), Handler), Web(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    print(plain.server_address[1], secure.server_address[1], flush=True)
    secure.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
