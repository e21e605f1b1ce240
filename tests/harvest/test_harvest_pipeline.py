"""The embedded world's crawl through the pipeline, and a crawl of one's own before the scrape."""

import gzip
import socket
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from crawls import response
from kedro.framework.project import pipelines as project_pipelines
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import SequentialRunner

from unclip_pipeline.datasets import FolderDataset
from unclip_pipeline.engines import EngineConfig
from unclip_pipeline.pipeline_registry import FROM_CRAWL, FROM_URLS, register_pipelines
from unclip_pipeline.pipelines.harvest import create_pipeline
from unclip_pipeline.scraping import ScrapeConfig, scrape
from unclip_pipeline.scraping.harvest import HarvestConfig
from unclip_pipeline.world.crawl import write_crawl
from unclip_pipeline.world.plan import Entry, plan_world
from unclip_pipeline.world.scenes import WorldConfig
from unclip_pipeline.world.score_data import score_harvest
from unclip_pipeline.world.truth import url_list, world_truth
from unclip_pipeline.world.website import write_website

WORLD = WorldConfig(
    images=700, side_px=32, hosts=2, shapes=4, colours=4, sizes=1, backgrounds=3, styles=1, occupations=2, groups=2,
    heldout_colour_pairs=3, heldout_background_pairs=1, heldout_combination_rows=50, heldout_seen_rows=40,
    repeated_row_share=0.02,
)  # fmt: skip


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return plan_world(WORLD, 0)


@pytest.fixture(scope="module")
def site(entries: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "site"
    write_website(entries, folder, WORLD)
    return folder


@pytest.fixture(scope="module")
def crawl(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "crawl"
    write_crawl(site, folder)
    return folder


@pytest.fixture(scope="module")
def outputs(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    inputs = {
        "crawl": crawl,
        "harvest_scratch": tmp_path_factory.mktemp("scratch"),
        "params:harvest": HarvestConfig(),
        "params:scrape": ScrapeConfig(),
        "params:harvest_engine": EngineConfig(processes=1),
    }
    names = ("harvested_url_list", "harvest_metrics", "harvest_report")
    datasets = {name: MemoryDataset(value) for name, value in inputs.items()}
    catalog = DataCatalog(datasets | {name: MemoryDataset() for name in names})
    SequentialRunner().run(create_pipeline(), catalog)
    return {name: catalog.load(name) for name in names}


def test_all_that_the_world_lists_is_read_off_its_pages_and_nothing_else(
    outputs: dict[str, Any], entries: list[Entry]
) -> None:
    scores = score_harvest(world_truth(entries, WORLD), url_list(entries), outputs["harvested_url_list"])
    shares = {name: scores[name] for name in scores if f"{name}_n" in scores}
    assert shares == dict.fromkeys(shares, 1.0) and scores["harvest_recall_n"] == len(
        {entry.uid for entry in entries}
    )
    assert scores["harvest_refusal"] == 1 and outputs["harvest_metrics"]["opted_out_rows"] > 0


def test_the_figures_add_up(outputs: dict[str, Any]) -> None:
    metrics = outputs["harvest_metrics"]
    dropped = sum(count for name, count in metrics.items() if name.startswith("dropped/"))
    assert metrics["candidates"] == metrics["rows"] + dropped and metrics["rows"] == len(
        outputs["harvested_url_list"]
    )
    assert metrics["records"] == sum(count for name, count in metrics.items() if name.startswith("record/"))
    assert metrics["record/page"] == metrics["pages"] > 10
    assert sum(count for name, count in metrics.items() if name.startswith("caption/")) == metrics["rows"]
    assert all(isinstance(value, int | float) for value in metrics.values())


def test_the_pages_differ_as_pages_do(outputs: dict[str, Any]) -> None:
    rows = outputs["harvested_url_list"]
    assert set(rows["page_language_source"]) == {"html_lang", "content_language"}
    assert rows["title_attribute"].notna().any() and rows["width_attr"].notna().any()
    assert (rows["figure_caption"] != rows["caption"]).any() and rows["page_title"].notna().all()
    assert rows["figure_caption"].str.contains("Étude n°").any() and rows["pages"].max() == 2


def test_the_page_of_a_harvest_shows_every_reason_and_escapes_what_strangers_wrote(
    outputs: dict[str, Any], tmp_path: Path
) -> None:
    metrics = outputs["harvest_metrics"]
    reasons = [name.partition("/")[2] for name in metrics if name.startswith("dropped/")]
    assert all(reason in outputs["harvest_report"] for reason in reasons)
    (tmp_path / "crawl").mkdir()
    image = "<img src=a.png alt='&lt;script&gt;'><img src='&lt;script&gt;'>"
    (tmp_path / "crawl" / "a.warc").write_bytes(response(image))
    (tmp_path / "crawl" / "b.warc").write_bytes(response(image)[:-90])
    node = create_pipeline().nodes[0].func
    broken = HarvestConfig(on_broken="count")
    _, _, page = node(
        tmp_path / "crawl", tmp_path / "scratch", broken, ScrapeConfig(), EngineConfig(processes=1)
    )
    assert "&lt;script&gt;" in page and "<script>" not in page and "breaks off after record 0" in page


def test_the_worlds_crawl_is_the_same_bytes_every_time_and_holds_what_its_server_sends(
    site: Path, crawl: Path, tmp_path: Path
) -> None:
    write_crawl(site, tmp_path / "again")
    names = sorted(file.name for file in crawl.iterdir())
    assert names == ["127.0.0.1.warc.gz", "127.0.0.2.warc.gz", "_SUCCESS"]
    assert all((crawl / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)
    content = gzip.decompress((crawl / names[0]).read_bytes())
    assert b"WARC-Target-URI: http://127.0.0.1:8765/gallery/0.html\r\n" in content
    assert (
        b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Language: en\r\nContent-Type: text/html; charset=windows-1252"
        in content
    )


def test_the_worlds_crawl_does_not_replace_files_of_ones_own(site: Path, tmp_path: Path) -> None:
    own = tmp_path / "crawl" / "mine.warc.gz"
    write_crawl(site, own.parent)
    write_crawl(site, own.parent)
    own.touch()
    with pytest.raises(FileExistsError, match=r"conf/local/catalog\.yml.*from_crawl"):
        write_crawl(site, own.parent)
    assert own.exists()


def test_a_given_folder_needs_files_and_no_mark(tmp_path: Path) -> None:
    folder = FolderDataset(filepath=str(tmp_path / "crawl"), given=True)
    (tmp_path / "crawl").mkdir()
    assert not folder.exists()
    with pytest.raises(DatasetError, match=r"put yours there.*conf/local/catalog\.yml"):
        folder.load()
    (tmp_path / "crawl" / "a.warc").touch()
    assert folder.exists() and folder.load() == tmp_path / "crawl"


def test_what_a_page_forbids_is_never_asked_for(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/a.png"
        rows = pd.DataFrame(
            {"url": [address], "caption": ["x"], "opt_out": ["meta robots: noai"], "pages": [1]}
        )
        nobody = pd.DataFrame({"kind": [], "value": [], "reason": []}, dtype=str)
        folders = (tmp_path / "shards", tmp_path / "records")
        scraped = scrape(rows, nobody, *folders, ScrapeConfig(), lambda work, shards: map(work, shards))
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert scraped.ledger[["fate", "error", "opt_out"]].values.tolist() == [
        ["scrape.opted_out", "meta robots: noai", "meta robots: noai"]
    ]


def test_a_chain_from_a_crawl_begins_with_the_harvest_and_a_chain_from_urls_has_none() -> None:
    registered = register_pipelines()
    from_crawl, from_urls = registered[FROM_CRAWL], registered[FROM_URLS]
    assert {node.name for node in from_crawl.nodes} - {node.name for node in from_urls.nodes} == {
        "harvest.collect_images"
    }
    assert "url_list" in from_urls.inputs() and "crawl" not in from_urls.inputs()
    assert {
        "url_list",
        "harvested_url_list",
    } & from_crawl.inputs() == set() and "crawl" in from_crawl.inputs()
    (fetch,) = (node for node in from_crawl.nodes if node.name == "scrape.fetch")
    assert "harvested_url_list" in fetch.inputs and fetch.tags == {"scrape"}


def test_one_pipeline_is_loaded_without_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_pipelines, "_requested_pipelines", ["harvest"], raising=False)
    assert set(register_pipelines()) == {"harvest"}
