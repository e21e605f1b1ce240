"""The miniature web answers as planted, from one process, on loopback only."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from unclip_pipeline.world.opt_outs import HOST_FILES, NO_OPT_OUTS, OPT_OUTS
from unclip_pipeline.world.pictures import picture_bytes
from unclip_pipeline.world.plan import Entry
from unclip_pipeline.world.scenes import WorldConfig
from unclip_pipeline.world.server import serve
from unclip_pipeline.world.website import picture_of, write_website

SIGNALS = {name for name, _ in (*OPT_OUTS, *NO_OPT_OUTS)}


@pytest.fixture(scope="module")
def site(entries: list[Entry], small_world: WorldConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "site"
    write_website(entries, folder, small_world, workers=2)
    return folder


def _get(url: str) -> tuple[int, bytes, list[tuple[str, str]]]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read(), response.headers.items()
    except urllib.error.HTTPError as fault:
        return fault.code, b"", []


def test_every_url_answers_as_planted(site: Path, entries: list[Entry], small_world: WorldConfig) -> None:
    statuses = {
        "status_404": 404,
        "status_403": 403,
        "status_410": 410,
        "status_500": 500,
        "redirect_loop": 302,
    }
    with serve(site, small_world.port):
        for entry in entries[:400]:
            if entry.fault == "refused":
                with pytest.raises(urllib.error.URLError, match="refused"):
                    _get(entry.url)
                continue
            status, body, headers = _get(entry.url)
            assert status == statuses.get(entry.fault, 200), entry
            if status == 200:
                assert body == picture_bytes(picture_of(entry, small_world))
                assert {name for name, _ in headers} & SIGNALS <= {entry.signal[0] if entry.signal else ""}
                assert entry.signal is None or entry.signal[0] in HOST_FILES or entry.signal in headers


def test_pages_link_the_pictures_and_robots_txt_is_there(site: Path, small_world: WorldConfig) -> None:
    with serve(site, small_world.port) as hosts:
        assert hosts == ["127.0.0.1", "127.0.0.2"]
        home = f"http://127.0.0.2:{small_world.port}"
        assert b"/gallery/0.html" in _get(f"{home}/")[1]
        page = _get(f"{home}/gallery/0.html")[1].decode()
        assert page.count("<img") == 60
        assert _get(f"{home}/robots.txt")[1].startswith(b"User-agent: *")
        assert _get(f"{home}/nowhere")[0] == 404


def test_what_hosts_say_of_all_their_pictures_stands_in_their_files(
    site: Path, entries: list[Entry], small_world: WorldConfig
) -> None:
    with serve(site, small_world.port):
        for entry in {entry.url: entry for entry in entries if entry.signal}.values():
            path = urlsplit(entry.url).path
            home = entry.url.removesuffix(path)
            lines = _get(f"{home}/robots.txt")[1].decode().splitlines()
            reserved = [rule["location"] for rule in json.loads(_get(f"{home}/.well-known/tdmrep.json")[1])]
            name, value = entry.signal
            assert (value.format(path=path) in lines) == (name == "robots.txt")
            assert (path in reserved) == (name == "tdmrep.json")


def test_a_connection_is_kept_for_many_requests(
    site: Path, entries: list[Entry], small_world: WorldConfig
) -> None:
    paths = [urlsplit(e.url).path for e in entries if "//127.0.0.1:" in e.url and e.expected_fate == "kept"][
        :30
    ]
    with serve(site, small_world.port):
        connection = http.client.HTTPConnection("127.0.0.1", small_world.port, timeout=10)
        connection.connect()
        local = connection.sock.getsockname()
        for path in paths:
            connection.request("GET", path)
            assert connection.getresponse().read() or "/old/" in path
            assert connection.sock.getsockname() == local
        connection.request("HEAD", paths[0])
        answer = connection.getresponse()
        assert int(answer.headers["Content-Length"]) > 0 or "/old/" in paths[0]
        assert answer.read() == b""
        connection.request("POST", paths[0])
        assert connection.getresponse().status == 405
        connection.close()


def test_a_busy_port_is_an_error_that_names_it_and_the_way_out(site: Path, small_world: WorldConfig) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.2", small_world.port))
        other.listen()
        with (
            pytest.raises(OSError, match=rf"{small_world.port} .*taken.*world.port"),
            serve(site, small_world.port),
        ):
            pass
    with serve(site, small_world.port):  # the first listener was given back
        pass


def test_a_site_is_served_only_on_the_port_its_urls_name(site: Path, small_world: WorldConfig) -> None:
    with pytest.raises(ValueError, match=f"got 1024 and {small_world.port}"), serve(site, 1024):
        pass


def test_the_server_ends_with_the_block_and_with_a_killed_parent(
    site: Path, small_world: WorldConfig
) -> None:
    with serve(site, small_world.port):
        pass
    assert _is_free(small_world.port)
    code = (
        "import sys, time, pathlib; from unclip_pipeline.world.server import serve\n"
        "with serve(pathlib.Path(sys.argv[1]), int(sys.argv[2])): print('up', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(site), str(small_world.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"up\n"
        assert not _is_free(small_world.port)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while not _is_free(small_world.port):
        assert time.monotonic() < deadline, "the server outlived its parent"
        time.sleep(0.05)


def test_the_site_is_the_same_bytes_whatever_the_number_of_processes(
    site: Path, entries: list[Entry], small_world: WorldConfig, tmp_path: Path
) -> None:
    write_website(entries, tmp_path / "again", small_world, workers=1)
    names = sorted(path.name for path in site.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    assert all((site / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
