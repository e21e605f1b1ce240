"""Serve the miniature web on loopback, one address per host, from a process of its own."""

import asyncio
import errno
import json
import mmap
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from unclip_pipeline.world.website import ROUTES

START_TIMEOUT_S = 30.0
_READY = b"ready\n"


@contextmanager
def serve(folder: Path, port: int) -> Iterator[list[str]]:
    """Serve a site while the block runs and yield its hosts; raise OSError if the port is taken.

    Raise ValueError if the site was rendered for another port, since its URLs name that one.

    The server is a process, so that it takes no time from the client's interpreter. It ends with the
    block, and with this process even if that is killed.
    """
    hosts = sorted(path.name.removesuffix(f".{ROUTES}") for path in folder.glob(f"*.{ROUTES}"))
    for host in hosts:
        rendered = json.loads((folder / f"{host}.{ROUTES}").read_text())["port"]
        if rendered != port:
            raise ValueError(
                f"world.port must be the port that the site was rendered for, got {port} and {rendered}; "
                "run render_world again, then scrape"
            )
    listeners = _listen_everywhere(hosts, port)
    descriptors = [listener.fileno() for listener in listeners]
    command = [sys.executable, "-m", __name__, str(folder), *hosts, *map(str, descriptors)]
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=descriptors, start_new_session=True
    )
    for listener in listeners:
        listener.close()
    try:
        if server.stdout.readline() != _READY:
            raise RuntimeError(
                f"the world's server ended at once with code {server.wait()}; see its error above"
            )
        yield hosts
    finally:
        server.stdin.close()
        server.stdout.close()
        server.wait(START_TIMEOUT_S)


def _listen_everywhere(hosts: list[str], port: int) -> list[socket.socket]:
    """Bind every host, or none."""
    listeners: list[socket.socket] = []
    try:
        for host in hosts:
            listeners.append(_listen(host, port))
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as fault:
        listener.close()
        if fault.errno != errno.EADDRINUSE:
            raise
        raise OSError(
            errno.EADDRINUSE,
            f"port {port} of {host} is taken by another program; stop that program, or set the parameter "
            f"world.port to a free port and run render_world again (URLs carry the port)",
        ) from fault
    listener.listen(1024)
    return listener


class Site:
    """The answers of one host, ready as bytes."""

    def __init__(self, folder: Path, host: str) -> None:
        self._answers = json.loads((folder / f"{host}.{ROUTES}").read_text())["answers"]
        with (folder / f"{host}.tar").open("rb") as archive:
            self._files = mmap.mmap(archive.fileno(), 0, access=mmap.ACCESS_READ)

    def answer(self, method: str, path: str) -> bytes:
        """Build the whole answer to a request."""
        if method not in ("GET", "HEAD"):
            return _message(405, [("Allow", "GET, HEAD")], b"")
        status, headers, offset, size = self._answers.get(path, (404, [], 0, 0))
        body = self._files[offset : offset + size] if status == 200 else b""
        message = _message(status, headers, body)
        return message[: len(message) - len(body)] if method == "HEAD" else message


def _message(status: int, headers: list[tuple[str, str]], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def _talk(site: Site, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one connection's requests until it is closed."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            method, target, version = lines[0].split(" ")
            writer.write(site.answer(method, target.partition("?")[0]))
            await writer.drain()
            if version == "HTTP/1.0" or any(line.lower() == "connection: close" for line in lines):
                break
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
        pass  # the client went away or does not speak HTTP
    except asyncio.CancelledError:
        pass  # the server ends while a client holds its connection open
    finally:
        writer.close()


async def _run(folder: Path, hosts: list[str], descriptors: list[int]) -> None:
    for host, descriptor in zip(hosts, descriptors, strict=True):
        site = Site(folder, host)
        await asyncio.start_server(
            lambda reader, writer, site=site: _talk(site, reader, writer),
            sock=socket.socket(fileno=descriptor),
        )
    sys.stdout.buffer.write(_READY)
    sys.stdout.buffer.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)  # until the parent is gone


def main(arguments: list[str]) -> None:
    """Run the server process: a folder, its hosts, and as many listening descriptors."""
    count = (len(arguments) - 1) // 2
    asyncio.run(_run(Path(arguments[0]), arguments[1 : 1 + count], list(map(int, arguments[1 + count :]))))


if __name__ == "__main__":
    main(sys.argv[1:])
