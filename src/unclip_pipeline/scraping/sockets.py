"""Sockets that go where they may, and whose every read is bounded by what is left of the request's time."""

import socket
import ssl
from typing import Any

from unclip_pipeline.scraping.addresses import IPAddress
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.wire import Wire, current_wire

MAX_ADDRESSES = 4  # of a host that are tried


class _Timed:
    """Mixed into a socket: status line, headers, body and what TLS wraps all come through `recv_into`."""

    def recv_into(self, *place: Any) -> int:
        wire = current_wire()
        if wire is None:
            return super().recv_into(*place)
        self.settimeout(wire.meter.wait_s())
        try:
            count = super().recv_into(*place)
        except TimeoutError:
            raise wire.meter.expired() from None
        wire.meter.took(count)
        return count

    def sendall(self, *message: Any) -> None:
        if (wire := current_wire()) is not None:
            self.settimeout(wire.meter.wait_s())
        super().sendall(*message)


class TimedSocket(_Timed, socket.socket):
    """A plain socket."""


class TimedTlsSocket(_Timed, ssl.SSLSocket):
    """A TLS socket; its handshake ends within the timeout that `connect` leaves on the plain one."""


def tls_context() -> ssl.SSLContext:
    """Make the context that all connections of a process share: reading the authorities is what costs."""
    context = ssl.create_default_context()
    context.sslsocket_class = TimedTlsSocket
    return context


def connect() -> TimedSocket:
    """Connect this thread's request to a checked address of its host; raise ScrapeFailure otherwise."""
    wire = current_wire()
    if wire is None:
        raise RuntimeError("a connection must be made within on_the_wire(...), got none; use Transport.ask")
    fault: OSError | None = None
    for address in checked_addresses(wire)[:MAX_ADDRESSES]:
        try:
            return _connected(wire, address)
        except OSError as why:
            fault = why
    fate = "scrape.timeout_total" if isinstance(fault, TimeoutError) else "scrape.connection_error"
    raise ScrapeFailure(fate, f"{wire.host} cannot be reached: {fault}", is_passing=True) from fault


def checked_addresses(wire: Wire) -> tuple[IPAddress, ...]:
    """Look the host up and leave out where it may not go; raise ScrapeFailure if that leaves nothing."""
    found = wire.lookup(wire.host, wire.port, wire.meter)
    permitted = tuple(address for address in found if wire.may_connect(address))
    if not permitted:
        raise wire.blocked(", ".join(map(str, found)) or "nowhere")
    return permitted


def _connected(wire: Wire, address: IPAddress) -> TimedSocket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connection = TimedSocket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(wire.meter.wait_s())
        connection.connect((str(address), wire.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(wire.meter.wait_s())
    except BaseException:
        connection.close()
        raise
    return connection
