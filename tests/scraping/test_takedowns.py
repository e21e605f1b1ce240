"""What was taken down stays untouched wherever a way leads to it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hostile_web import HostileWeb, encoded, hostile_web, message, picture
from sites import SMALL, scraped

from unclip_pipeline.corpus.shards import read_shard, shard_paths
from unclip_pipeline.scraping.takedowns import read_takedowns

ELSEWHERE = "127.0.0.2"
PATHS = ("/old", "/far", "/plain")


@pytest.fixture
def webs() -> Iterator[tuple[HostileWeb, HostileWeb]]:
    """Serve a host whose /old leads over /step to another host's /new, /far there at once, /plain nowhere."""
    image = {name: message(200, encoded(picture(n))) for n, name in enumerate(("/new", "/other", "/plain"))}
    with hostile_web(image, ELSEWHERE) as there:
        ways = {"/old": "/step", "/step": there.url("/new"), "/far": there.url("/other")}
        moved = {path: message(301, b"", f"Location: {onward}") for path, onward in ways.items()}
        with hostile_web(image | moved) as here:
            yield here, there


def _taken(kind: str, value: str) -> pd.DataFrame:
    return pd.DataFrame({"kind": [kind], "value": [value], "reason": ["its owner asked"]})


def _ledger(here: HostileWeb, folder: Path, **options: object) -> pd.DataFrame:
    urls = pd.DataFrame({"url": [here.url(path) for path in PATHS], "caption": "c"})
    config = replace(SMALL, private_hosts=["127.0.0.1", ELSEWHERE])
    ledger = scraped(here, folder, urls=urls, config=config, **options).ledger
    return ledger.set_index(ledger["url"].str.removeprefix(here.url(""))).loc[list(PATHS)]


def _asked(*webs: HostileWeb) -> list[set[str]]:
    asked = [{path for path, hits in web.hits.items() if hits} for web in webs]
    for web in webs:
        web.hits.clear()
    return asked


def _kept(folder: Path) -> set[str]:
    return {sample.uid for shard in shard_paths(folder) for sample in read_shard(shard)}


def test_a_redirect_to_a_host_that_was_taken_down_is_not_followed(webs, tmp_path):
    here, there = webs
    ledger = _ledger(here, tmp_path / "shards", takedowns=_taken("host", ELSEWHERE))
    assert ledger["fate"].tolist() == ["scrape.taken_down", "scrape.taken_down", "kept"]
    assert ledger.loc["/far", ["error", "final_url"]].tolist() == ["its owner asked", there.url("/other")]
    assert not there.hits and not there.rule_hits, "nor is it asked for its rules"


@pytest.mark.parametrize("is_first_step", [True, False])
def test_a_redirect_to_a_url_that_was_taken_down_is_not_followed(webs, tmp_path, is_first_step):
    here, there = webs
    taken = here.url("/step") if is_first_step else there.url("/new")
    ledger = _ledger(here, tmp_path / "shards", takedowns=_taken("url", taken))
    assert ledger["fate"].tolist() == ["scrape.taken_down", "kept", "kept"]
    assert _asked(here, there) == [{*PATHS, *(() if is_first_step else ("/step",))}, {"/other"}]


@pytest.mark.parametrize("kind", ["host", "url"])
def test_an_image_goes_without_a_request_when_the_address_that_gave_it_is_taken_down(webs, tmp_path, kind):
    here, there = webs
    folder = tmp_path / "shards"
    before = _ledger(here, folder)
    assert set(before["fate"]) == {"kept"} and _asked(here, there)
    takedowns = _taken(kind, ELSEWHERE if kind == "host" else there.url("/other"))
    gone = ["/far", "/old"] if kind == "host" else ["/far"]
    for _ in range(2):
        ledger = _ledger(here, folder, takedowns=takedowns)
        assert sorted(ledger.index[ledger["fate"] == "scrape.taken_down"]) == gone
        assert _kept(folder) == set(before["uid"].drop(gone)) and _asked(here, there) == [set(), set()]
    assert set(_ledger(here, folder)["fate"]) == {"kept"}, "the takedown was lifted"
    assert _kept(folder) == set(before["uid"]) and "/other" in _asked(here, there)[1]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("url", ""), ("url", "example.org/a.png"), ("uid", "http://example.org/a.png"), ("uid", "ab12"),
        ("sha256", "ab" * 16), ("sha256", "zz" * 32), ("host", "https://example.org/"), ("host", ""),
    ],
)  # fmt: skip
def test_a_takedown_that_could_take_nothing_down_is_refused(kind: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"value of a {kind} must be .*{re.escape(repr(value))}; correct it"):
        read_takedowns(_taken(kind, value))


def test_takedowns_are_read_however_they_are_spelled() -> None:
    rows = [
        ("sha256", " " + "AB" * 32),
        ("uid", "00FF" * 4),
        ("host", "*.Example.org."),
        ("url", "HTTP://a.org"),
    ]
    listed = pd.concat([_taken(*row) for row in rows])
    found = read_takedowns(listed)
    assert [*found.sha256, *found.uid, *found.host, *found.url] == [
        "ab" * 32, "00ff" * 4, "example.org", "http://a.org/",
    ]  # fmt: skip
