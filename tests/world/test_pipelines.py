"""The two pipelines of the embedded world run as Kedro runs them."""

from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from unclip_pipeline.pipelines import render_world, scorecard
from unclip_pipeline.pipelines.scorecard.nodes import write_scorecard
from unclip_pipeline.world.scenes import WorldConfig


def test_render_world_writes_the_site_and_its_tables(small_world: WorldConfig, tmp_path: Path) -> None:
    targets = {"world_site_target": tmp_path / "site", "crawl_target": tmp_path / "crawl"}
    inputs = {**targets, "params:world": small_world, "params:seed": 0}
    names = ("world_site", "crawl", "url_list", "world_truth", "render_world_metrics")
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in inputs.items()})
    for name in names:
        catalog[name] = MemoryDataset()
    SequentialRunner().run(render_world.create_pipeline(), catalog)
    urls, truth, metrics = (catalog.load(name) for name in names[2:])
    assert catalog.load("world_site") == tmp_path / "site"
    assert (tmp_path / "site" / "_SUCCESS").is_file()
    assert {file.name for file in (tmp_path / "crawl").iterdir()} == {
        "127.0.0.1.warc.gz",
        "127.0.0.2.warc.gz",
        "_SUCCESS",
    }
    assert list(urls.columns) == ["url", "caption", "licence", "split"]
    assert metrics == {"rows": len(urls), "uids": len(truth), "heldout_rows": 90}


def test_the_truth_is_read_by_the_scorecard_alone() -> None:
    assert "world_truth" in render_world.create_pipeline().outputs()
    assert scorecard.create_pipeline().inputs() >= {"world_truth", "samples", "ledger", "embeddings"}
    assert scorecard.create_pipeline().outputs() == {"scorecard_metrics", "scorecard_report"}


@pytest.mark.parametrize(("respected", "failed"), [(1.0, 0), (0.75, 1)])
def test_a_broken_rule_stands_at_the_head_of_the_scorecard(respected: float, failed: int) -> None:
    metrics, page = write_scorecard(
        {"opt_outs_respected": respected}, {}, {}, pd.DataFrame({"uid": []}), pd.DataFrame({"sample": []})
    )
    assert metrics["exact_checks_failed"] == failed
    assert ("FAILS" in page) == bool(failed)


def test_the_configuration_of_both_environments_is_valid() -> None:
    from omegaconf import OmegaConf

    from unclip_pipeline.world.judge_config import JudgeConfig

    conf = Path(__file__).resolve().parents[2] / "conf"
    for stage, section, kind in (("render_world", "world", WorldConfig), ("scorecard", "judge", JudgeConfig)):
        base = OmegaConf.load(conf / "base" / f"parameters_{stage}.yml")
        test = OmegaConf.merge(base, OmegaConf.load(conf / "test" / f"parameters_{stage}.yml"))
        for merged in (base, test):
            kind(**OmegaConf.to_container(merged)[section])
