"""Adapters between the catalog and the world's renderer."""

from pathlib import Path

import pandas as pd

from unclip_pipeline.world.crawl import write_crawl
from unclip_pipeline.world.plan import plan_world
from unclip_pipeline.world.scenes import WorldConfig
from unclip_pipeline.world.truth import url_list, world_truth
from unclip_pipeline.world.website import write_website


def render_world(
    target: Path, crawl_target: Path, world: WorldConfig, seed: int
) -> tuple[Path, Path, pd.DataFrame, pd.DataFrame, dict[str, int | float]]:
    """Plan the world, write its site, crawl that, and list its URLs and the truth about them."""
    entries = plan_world(world, seed)
    write_website(entries, target, world)
    write_crawl(target, crawl_target)
    truth = world_truth(entries, world)
    metrics = {
        "rows": len(entries),
        "uids": len(truth),
        "heldout_rows": int((truth["split"] == "heldout").sum()),
    }
    return target, crawl_target, url_list(entries), truth, metrics
