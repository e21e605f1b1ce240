"""The pipeline: from a list to a page."""

import pandas as pd
import pytest
from hostile_web import hostile_web
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from sites import NOBODY, PICTURES, answers, listed

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.engines import EngineConfig
from unclip_pipeline.pipelines.scrape import create_pipeline
from unclip_pipeline.pipelines.scrape.report import scrape_page
from unclip_pipeline.pipelines.scrape.tables import cases, classes, fates, hosts, permissions
from unclip_pipeline.scraping import ScrapeConfig


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> dict:
    with hostile_web(answers()) as web:
        urls = pd.concat(
            [listed(web), pd.DataFrame({"url": ["javascript:<script>"], "caption": ["<b>bold"]})]
        )
        inputs = {
            "url_list": urls,
            "takedown_list": NOBODY,
            "raw_shards_target": tmp_path_factory.mktemp("pipeline") / "shards",
            "scrape_records_target": tmp_path_factory.mktemp("records"),
            "params:scrape": ScrapeConfig(threads=4, shard_size=20, retries=0, private_hosts=["127.0.0.1"]),
            "params:engine": EngineConfig(processes=1),
        }
        names = (
            "scrape_metrics", "scrape_report", "scrape_ledger", "scrape_requests", "scrape_evidence",
            "raw_shards",
        )  # fmt: skip
        datasets = {name: MemoryDataset(value) for name, value in inputs.items()}
        catalog = DataCatalog(datasets | {name: MemoryDataset() for name in names})
        for node in create_pipeline().nodes:  # one by one, or the runner forgets what lies between
            SequentialRunner().run(create_pipeline().only_nodes(node.name), catalog)
    return {name: catalog.load(name) for name in names}


def test_the_figures_add_up(outputs):
    metrics = outputs["scrape_metrics"]
    by_fate = {name: count for name, count in metrics.items() if name.startswith("fate/")}
    assert sum(by_fate.values()) == metrics["urls"] == metrics["rows"] == PICTURES + 1
    assert metrics["kept"] == by_fate["fate/kept"] == PICTURES - 3
    assert metrics["images_per_second"] > 0 and metrics["success_share_low"] < metrics["success_share"]
    assert by_fate["fate/scrape.http_404"] == by_fate["fate/scrape.bad_url"] == 1


def test_the_page_shows_every_fate_and_escapes_what_strangers_wrote(outputs):
    page = outputs["scrape_report"]
    assert all(fate in page for fate in outputs["scrape_ledger"]["fate"])
    assert "<script>" not in page and "&lt;script&gt;" in page and page.count('class="grid small"') == 2


def test_the_tables_of_the_page_count_every_row(outputs):
    ledger = outputs["scrape_ledger"]
    assert fates(ledger)["pairs"].sum() == hosts(ledger)["pairs"].sum() == len(ledger)
    assert (
        classes(ledger)["pairs"].sum() == permissions(ledger)[["kept", "not kept"]].sum().sum() == len(ledger)
    )
    assert set(cases(ledger)["fate"]) == set(ledger["fate"]) - {KEPT}


def test_a_scrape_that_kept_nothing_has_a_page_too(outputs, tmp_path):
    nothing = outputs["scrape_ledger"].assign(fate="scrape.empty")
    records = [outputs["scrape_requests"].head(0), outputs["scrape_evidence"].head(0)]
    assert "there are none." in scrape_page(tmp_path, nothing, *records)
    assert "Scrape" in scrape_page(tmp_path, nothing.head(0), *records)
