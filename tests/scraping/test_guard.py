"""No request leaves the open internet, whatever the URL, the redirect, the name or the spelling."""

import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from fetching import fate, fetcher_of, outcome
from hostile_web import HostileWeb, hostile_web, message
from hypothesis import given
from hypothesis import strategies as st
from knocking import knock, knock_at_loopback, scraping

from unclip_pipeline.engines import EngineConfig, map_shards
from unclip_pipeline.scraping import sockets
from unclip_pipeline.scraping.addresses import is_public
from unclip_pipeline.scraping.answer import Body
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.wire import current_wire

PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 169.254.169.254
172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1
203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1
100::1 2001::1 2001:db8::1 2002:7f00:1:: 2002:a00:1::1 3fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1
fec0::1 ff02::1
""".split()
PUBLIC = """
1.1.1.1 8.8.8.8 100.128.0.1 172.32.0.1 192.0.1.1 223.255.255.254 2606:4700::1111 2a00:1450:4001::1
::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1
""".split()
# Every spelling of an address of this machine; {port} is one where a server listens.
SPELLINGS = """
http://localhost:{port}/png http://LOCALHOST:{port}/png http://localhost.:{port}/png
http://127.0.0.2:{port}/png http://127.1:{port}/png http://2130706433:{port}/png http://0x7f000001:{port}/png
http://0177.0.0.1:{port}/png http://0x7f.0.0.1:{port}/png http://0:{port}/png http://0.0.0.0:{port}/png
http://[::1]:{port}/png http://[::ffff:127.0.0.1]:{port}/png http://[::ffff:7f00:1]:{port}/png
http://[::]:{port}/png http://[64:ff9b::7f00:1]:{port}/png http://[2002:7f00:1::]:{port}/png
http://user:password@127.0.0.2:{port}/png http://①②⑦.⓪.⓪.②:{port}/png
http://169.254.169.254/latest/meta-data http://[fd00:ec2::254]/latest http://10.0.0.1/a.png
http://127.0.0.1:{other}/png
""".split()
NOT_ASKED = ("scrape.blocked_private_address", "scrape.bad_url", "scrape.host_not_found")
NO_WEB = "file:///etc/passwd data:image/png;base64,AAAA ftp://127.0.0.1/a.png gopher://127.0.0.1/ //127.0.0.1/".split()


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_told(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_told(address):
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_address_wrapped_in_another_is_as_private_as_it_is(address):
    for wrapped in (
        f"::ffff:{address}",
        f"64:ff9b::{address}",
        f"2002:{int(address) >> 16:x}:{int(address) & 65535:x}::",
    ):
        assert is_public(ip_address(wrapped)) == is_public(address)


@pytest.fixture(scope="module")
def web() -> Iterator[HostileWeb]:
    """A server on all addresses of this machine, of which one may be asked; redirects lead anywhere."""
    with hostile_web({"/png": message(200, b"secret")}, host="0.0.0.0") as web:
        targets = [url.format(port=web.port, other=web.port + 1) for url in SPELLINGS]
        for number, target in enumerate([*targets, *NO_WEB[:-1]]):
            location = target.encode().decode("latin-1")
            web.answers[f"/to/{number}"] = message(302, b"", f"Location: {location}")
        yield web


@pytest.fixture
def fetcher(web):
    return fetcher_of(web, private_hosts=[f"127.0.0.1:{web.port}"], timeout_s=2.0, total_timeout_s=4.0)


@pytest.fixture
def listens(web):
    """Count the requests that reach the server for anything but what is asked of its one open address."""
    web.hits.clear()
    return lambda: web.hits["/png"]


def test_the_host_that_is_listed_is_asked(fetcher, web):
    assert outcome(fetcher, f"http://127.0.0.1:{web.port}/png").content == b"secret"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_a_private_address_is_asked(fetcher, web, listens, spelling):
    url = spelling.format(port=web.port, other=web.port + 1)
    assert fate(fetcher, url) in NOT_ASKED and listens() == 0


@pytest.mark.parametrize("number", range(len(SPELLINGS)), ids=SPELLINGS)
def test_no_redirect_leads_to_a_private_address(fetcher, web, listens, number):
    failure = outcome(fetcher, f"http://127.0.0.1:{web.port}/to/{number}")
    assert failure.fate in NOT_ASKED and listens() == 0
    assert failure.http_status in (None, 302)


@pytest.mark.parametrize("number", range(len(NO_WEB) - 1), ids=NO_WEB[:-1])
def test_no_redirect_leaves_the_web(fetcher, web, number):
    assert fate(fetcher, f"http://127.0.0.1:{web.port}/to/{len(SPELLINGS) + number}") == "scrape.bad_url"


@pytest.mark.parametrize("url", NO_WEB)
def test_nothing_but_the_web_is_asked(fetcher, url):
    assert fate(fetcher, url) == "scrape.bad_url"


@pytest.mark.parametrize("answer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.1.2.3"])
def test_a_name_that_stands_for_a_private_address_is_blocked(fetcher, listens, web, monkeypatch, answer):
    _names_answer(monkeypatch, [answer])
    failure = outcome(fetcher, f"http://harmless.example:{web.port}/png")
    assert (
        failure.fate == "scrape.blocked_private_address"
        and str(ip_address(answer)) in failure.reason
        and listens() == 0
    )


def test_of_several_addresses_only_public_ones_are_tried(web, monkeypatch):
    _names_answer(monkeypatch, ["127.0.0.1", "192.0.1.1", "10.0.0.1"])
    tried = []
    monkeypatch.setattr(sockets, "_connected", lambda wire, address: tried.append(str(address)) or _no_way())
    assert fate(fetcher_of(web), f"http://mixed.example:{web.port}/png") == "scrape.connection_error"
    assert set(tried) == {"192.0.1.1"}


def test_a_name_that_changes_its_mind_is_checked_where_it_leads(fetcher, web, listens, monkeypatch):
    answers = iter([["192.0.1.1"], ["127.0.0.1"], ["127.0.0.1"]])
    monkeypatch.setattr(sockets, "_connected", lambda *_: _no_way())
    for _ in range(2):
        found = next(answers)
        _names_answer(monkeypatch, found)
        assert fate(fetcher, f"http://rebinding.example:{web.port}/png") != "body"
    assert listens() == 0


def test_a_host_may_be_listed_by_name(web):
    fetcher = fetcher_of(web, private_hosts=["localhost"])
    assert isinstance(outcome(fetcher, f"http://localhost:{web.port}/png"), Body)
    assert fate(fetcher, f"http://127.0.0.1:{web.port}/png") == "scrape.blocked_private_address"


def test_a_stranger_is_not_asked_without_a_contact(web, monkeypatch):
    _names_answer(monkeypatch, ["192.0.1.1"])
    assert fate(fetcher_of(web, contact=""), "http://stranger.example/a.png") == "scrape.contact_missing"


def test_proxies_of_the_environment_are_not_used(fetcher, web, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fate(fetcher, f"http://127.0.0.1:{web.port}/png") == "body"


def test_the_second_wall_stands_when_the_first_is_down(web, listens, monkeypatch):
    monkeypatch.setattr(
        sockets, "checked_addresses", lambda wire: wire.lookup(wire.host, wire.port, wire.meter)
    )
    monkeypatch.setattr("unclip_pipeline.scraping.transport.checked_addresses", lambda wire: ())
    for url in (
        f"http://127.0.0.2:{web.port}/png",
        f"http://2130706433:{web.port}/png",
        f"http://[::1]:{web.port}/png",
    ):
        assert fate(fetcher_of(web, private_hosts=[]), url) == "scrape.blocked_private_address"
    assert listens() == 0


@pytest.mark.parametrize("target", [("127.0.0.1", 80), ("localhost", 80), ("::1", 80, 0, 0), "/run/socket"])
def test_the_second_wall_sees_every_socket_of_a_scraping_thread(target):
    assert knock(target) == "scrape.blocked_private_address"


def test_the_second_wall_sees_other_libraries(web):
    with scraping(), pytest.raises(ScrapeFailure):
        urllib.request.urlopen(f"http://127.0.0.1:{web.port}/png")


def test_the_second_wall_leaves_other_threads_alone(web):
    found = []
    with scraping():
        other = threading.Thread(
            target=lambda: found.append(urllib.request.urlopen(f"http://127.0.0.1:{web.port}/png").read())
        )
        other.start()
        other.join()
    assert found == [b"secret"] and current_wire() is None
    assert urllib.request.urlopen(f"http://127.0.0.1:{web.port}/png").read() == b"secret"


@pytest.mark.parametrize("kind", ["local", "ray"])
def test_both_walls_stand_in_the_workers_of_every_engine(kind, monkeypatch):
    engine = EngineConfig(kind=kind, processes=2 if kind == "local" else 1)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    assert set(map_shards(knock_at_loopback, [1, 2], engine)) == {"scrape.blocked_private_address"}


def _names_answer(monkeypatch, addresses: list[str]) -> None:
    def answer(host, port, *_, **__):
        return [(None, None, None, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def _no_way():
    raise OSError("no way")
