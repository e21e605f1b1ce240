"""The same bytes behind many URLs are no picture of anything."""

from dataclasses import replace

import pandas as pd
import pytest
from hostile_web import encoded, hostile_web, message, picture
from sites import IN_TWO_PROCESSES, SMALL, scraped

from unclip_pipeline.corpus.shards import read_shard, shard_paths
from unclip_pipeline.scraping.ledger import placeholders


def _found(urls: list[str], sha256: list[str], fate: str = "kept", **thresholds: int) -> list[bool]:
    results = pd.DataFrame({"sha256": sha256, "fate": fate})
    reasons = placeholders(pd.Series(urls), results, **{"urls": 4, "hosts": 3, **thresholds})
    return reasons.notna().tolist()


def test_as_many_urls_as_the_threshold_make_a_placeholder_and_one_less_does_not():
    urls = [f"http://a.org/{n}" for n in range(7)]
    assert _found(urls, ["x"] * 4 + ["y"] * 3) == [True] * 4 + [False] * 3


def test_fewer_urls_are_enough_where_they_lie_on_many_hosts():
    assert _found([f"http://{host}.org/1" for host in "abc"], ["x"] * 3) == [True] * 3
    assert _found([f"http://{host}.org/1" for host in "aab"], ["x"] * 3) == [False] * 3


def test_one_url_under_many_captions_or_spellings_counts_once():
    assert not any(_found(["http://a.org/1", "HTTP://A.org:80/1#x"] * 10, ["x"] * 20))


def test_what_was_not_kept_makes_no_placeholder():
    assert not any(_found([f"http://a.org/{n}" for n in range(9)], ["x"] * 9, fate="scrape.too_small"))


@pytest.fixture(scope="module")
def site():
    same = message(200, encoded(picture(0)))
    answers = {f"/{n}": same if n < 6 else message(200, encoded(picture(n))) for n in range(12)}
    with hostile_web(answers) as web:
        yield web, pd.DataFrame({"url": [web.url(path) for path in answers], "caption": list(answers)})


def test_placeholders_lose_their_fate_and_keep_their_place_in_the_shard(site, tmp_path):
    web, urls = site
    config = replace(SMALL, placeholder_urls=6)
    ledger = scraped(web, tmp_path / "shards", IN_TWO_PROCESSES, config, urls=urls).ledger
    fates = ledger.set_index("caption")["fate"]
    assert set(fates[[f"/{n}" for n in range(6)]]) == {"scrape.placeholder"}
    assert set(fates[[f"/{n}" for n in range(6, 12)]]) == {"kept"}
    reasons = ledger.loc[ledger["fate"] != "kept", "error"]
    assert set(reasons) == {"the same bytes behind 6 URLs of 1 hosts"}
    stored = {sample.uid for shard in shard_paths(tmp_path / "shards") for sample in read_shard(shard)}
    assert stored == set(ledger["uid"])


def test_another_threshold_is_another_ledger_without_a_request(site, tmp_path):
    web, urls = site
    scraped(web, tmp_path / "shards", urls=urls)
    hits = web.hits.total()
    config = replace(SMALL, placeholder_urls=6)
    assert (scraped(web, tmp_path / "shards", config=config, urls=urls).ledger["fate"] == "kept").sum() == 6
    assert web.hits.total() == hits
