"""HTTPS is checked, kept alive and as bounded as HTTP."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trustme
from fetching import fate, fetcher_of, outcome
from hostile_web import HostileWeb, drip, drip_head, endless, hostile_web, message, stall

from unclip_pipeline.scraping import sockets

ANSWERS = {
    **{f"/{n}": message(200, b"x" * 50_000, keep_alive=True) for n in range(10)},
    "/gone": message(404, b"no", keep_alive=True),
    "/moved": message(301, b"on", "Location: /1", keep_alive=True),
    "/drip": drip,
    "/drip-head": drip_head,
    "/endless": endless,
    "/stall": stall,
}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _server(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def web(authority) -> Iterator[HostileWeb]:
    with hostile_web(ANSWERS, tls=_server(authority, "127.0.0.1", "localhost")) as web:
        yield web


@pytest.fixture(autouse=True)
def trusted(authority, tmp_path, monkeypatch) -> None:
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


def test_one_connection_serves_many_urls(web):
    web.connections = 0
    fetcher = fetcher_of(web)
    paths = [*(f"/{n}" for n in range(10)), "/gone", "/moved", "/2"]
    fates = [fate(fetcher, web.url(path)) for path in paths]
    assert fates == ["body"] * 10 + ["scrape.http_404", "body", "body"]
    assert web.connections <= 3  # two are for files of rules, which this server closes


def test_one_context_serves_all_connections(web, monkeypatch):
    made = []
    make = sockets.tls_context
    monkeypatch.setattr("unclip_pipeline.scraping.transport.tls_context", lambda: made.append(1) or make())
    fetcher = fetcher_of(web)
    assert {fate(fetcher, web.url(f"/{n}")) for n in range(5)} == {"body"} and made == [1]


@pytest.mark.parametrize("path", ["/drip", "/drip-head", "/stall"])
def test_a_drip_within_tls_is_bounded_too(web, path):
    fetcher = fetcher_of(web)
    fate(fetcher, web.url("/0"))  # from here on the rules of the host are known
    began_s = time.monotonic()
    assert fate(fetcher, web.url(path)) == "scrape.timeout_total"
    assert time.monotonic() - began_s < 1.6


def test_an_endless_body_within_tls_is_too_large(web):
    assert fate(fetcher_of(web), web.url("/endless")) == "scrape.too_large"


def test_a_certificate_for_another_name_is_refused(authority):
    with hostile_web(ANSWERS, tls=_server(authority, "example.org")) as web:
        failure = outcome(fetcher_of(web), web.url("/0"))
    assert failure.fate == "scrape.tls_error" and web.hits["/0"] == 0


def test_a_certificate_of_nobody_we_know_is_refused():
    with hostile_web(ANSWERS, tls=_server(trustme.CA(), "127.0.0.1")) as web:
        assert fate(fetcher_of(web), web.url("/0")) == "scrape.tls_error"


def test_the_name_is_what_is_verified_though_the_address_is_what_is_connected_to(web):
    fetcher = fetcher_of(web, private_hosts=["localhost"])
    assert fate(fetcher, web.url("/0", host="localhost")) == "body"


def test_plain_http_on_a_tls_port_is_no_answer(web):
    url = web.url("/0").replace("https", "http")
    assert fate(fetcher_of(web), url) == "scrape.connection_error"


def test_tls_on_a_plain_port_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as plain, hostile_web({}) as web:
        threading.Thread(target=_say_no, args=(plain,), daemon=True).start()
        url = f"https://127.0.0.1:{plain.getsockname()[1]}/0"
        assert fate(fetcher_of(web, private_hosts=["127.0.0.1"]), url) == "scrape.tls_error"


def _say_no(plain: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = plain.accept()
            connection.sendall(b"HTTP/1.1 400 Speak plainly\r\n\r\n")
