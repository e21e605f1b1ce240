"""A small loopback server that says exactly the bytes it is told to, and remembers who asked."""

import io
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer

import numpy as np
from PIL import Image

Answer = (
    bytes | Callable[[socket.socket, int], None]
)  # bytes, or what to do with the connection at the n-th hit

RULES = ("/robots.txt", "/.well-known/tdmrep.json")


class HostileWeb(ThreadingTCPServer):
    """Answers by path; `hits` counts the requests, those for rules apart, `agents` holds the user agents."""

    daemon_threads = True
    request_queue_size = 256
    block_on_close = False

    def __init__(
        self, answers: dict[str, Answer], host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.answers = answers
        self.tls = tls
        self.connections = 0
        self.hits: Counter[str] = Counter()
        self.rule_hits: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.heads: list[list[str]] = []
        self.lock = threading.Lock()
        super().__init__((host, 0), _Handler)

    @property
    def port(self) -> int:
        return self.server_address[1]

    def url(self, path: str, host: str | None = None) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{host or self.server_address[0]}:{self.port}{path}"

    def get_request(self) -> tuple[socket.socket, tuple]:
        connection, address = super().get_request()
        self.connections += 1
        if self.tls is not None:  # shakes hands at the first read, in the thread of the connection
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request, client_address) -> None:
        """Clients that hang up are what this server is for."""


class _Handler(StreamRequestHandler):
    def handle(self) -> None:
        while self.answer_one():
            pass

    def answer_one(self) -> bool:
        """Answer one request; an answer that says keep-alive lets another follow."""
        head = b""
        while not head.endswith((b"\r\n\r\n", b"\n\n")):
            line = self.rfile.readline(65536)
            if not line:
                return False
            head += line
        lines = head.decode("latin-1").splitlines()
        path = lines[0].split(" ")[1]
        with self.server.lock:
            counter = self.server.rule_hits if path in RULES else self.server.hits
            counter[path] += 1
            hit = counter[path]
            self.server.heads.append(lines)
            self.server.agents |= {line[12:] for line in lines if line.lower().startswith("user-agent: ")}
        answer = self.server.answers.get(path, message(404, b"nothing here"))
        if isinstance(answer, bytes):
            self.wfile.write(answer)
        else:
            answer(self.connection, hit)
        return isinstance(answer, bytes) and b"Connection: keep-alive" in answer


@contextmanager
def hostile_web(
    answers: dict[str, Answer], host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[HostileWeb]:
    """Serve on a free port while the block runs."""
    with HostileWeb(answers, host, tls) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield web
        finally:
            web.shutdown()
            thread.join()


def message(
    status: int, body: bytes, *headers: str, length: int | None = None, keep_alive: bool = False
) -> bytes:
    """Write a whole answer; `length` lies about the body."""
    goes_on = "Connection: keep-alive" if keep_alive else "Connection: close"
    lines = [f"HTTP/1.1 {status} Because", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, *headers, goes_on, "", ""]).encode() + body


def picture(seed: int = 0, side_px: int = 24) -> Image.Image:
    """Make a picture that no other seed makes."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side_px, side_px), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Encode a picture."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def stall(connection: socket.socket, hit: int) -> None:
    """Say nothing until the client goes."""
    connection.settimeout(10)
    connection.recv(1)


def drip(connection: socket.socket, hit: int) -> None:
    """Send a body a byte at a time, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


def drip_head(connection: socket.socket, hit: int) -> None:
    """Send headers a byte at a time, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def drip_status(connection: socket.socket, hit: int) -> None:
    """Send the status line a byte at a time."""
    for byte in b"HTTP/1.1 200 " + b"O" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def drip_chunks(connection: socket.socket, hit: int) -> None:
    """Send a size of a chunk that never ends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"0")
        time.sleep(0.05)


def endless_head(connection: socket.socket, hit: int) -> None:
    """Send headers without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"A: b\r\n" * 1000)


def endless_line(connection: socket.socket, hit: int) -> None:
    """Send one header without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nA: ")
    while True:
        connection.sendall(b"b" * 65536)


def endless_continue(connection: socket.socket, hit: int) -> None:
    """Say for ever that the answer is about to come."""
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def endless_chunk_size(connection: socket.socket, hit: int) -> None:
    """Send a size of a chunk without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"0" * 65536)


def reset(connection: socket.socket, hit: int) -> None:
    """Break the connection off in the middle of a body."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nxx")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def endless(connection: socket.socket, hit: int) -> None:
    """Send a body without end and without a length."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8\xff")
    while True:
        connection.sendall(b"x" * 65536)


def in_turn(*answers: bytes) -> Answer:
    """Give one answer after the other, the last for ever."""

    def answer(connection: socket.socket, hit: int) -> None:
        connection.sendall(answers[min(hit, len(answers)) - 1])

    return answer
