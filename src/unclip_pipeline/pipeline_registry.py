"""The table of contents: every pipeline in running order."""

from collections.abc import Iterable
from functools import reduce
from importlib import import_module
from operator import add

from kedro.framework.project import pipelines as project_pipelines
from kedro.pipeline import Pipeline

PIPELINES: dict[str, str] = {
    "render_world": "render the embedded miniature web with its planted truth",
    "harvest": "read crawled pages into a list of images with their captions",
    "scrape": "fetch every URL once; give every row a fate",
    "train_clip": "train a CLIP from scratch, or load the one that is named",
    "embed": "write the CLIP vectors of every image and caption",
    "filter": "score every pair against every rule",
    "annotate": "choose the pictures where people's labels help most, and say what their labels show",
    "deduplicate": "find copies and name the picture that stands for them",
    "audit_data": "measure who is in the data at every stage, and weigh it",
    "release_dataset": "join the verdicts into the ledger and write the dataset version",
    "train_prior": "learn to turn a caption into an image embedding",
    "train_decoder": "learn to turn an image embedding into a small image",
    "train_upsampler": "learn to turn a small image into a larger one",
    "evaluate": "draw held-out captions and measure quality and copying",
    "audit_samples": "measure who the model draws when nobody asks",
    "release_model": "pass the gates and register the model with its card",
    "scorecard": "compare every stage with the planted truth (embedded world only)",
    "report": "one page with everything",
}
EMBEDDED_WORLD_ONLY = frozenset({"render_world", "scorecard"})
FROM_URLS = "from_urls"
"""The whole chain on a URL list of one's own: every pipeline but the embedded world's two and the harvest."""
FROM_CRAWL = "from_crawl"
"""The whole chain on crawled pages of one's own: the harvest, then `from_urls` on the list that it writes."""


def register_pipelines() -> dict[str, Pipeline]:
    """Load the pipelines that the command asks for, or all of them."""
    requested = getattr(project_pipelines, "_requested_pipelines", None)
    if requested and set(requested) <= set(PIPELINES):
        return {name: load_pipeline(name) for name in PIPELINES if name in requested}
    pipelines = {name: load_pipeline(name) for name in PIPELINES}
    own = [name for name in PIPELINES if name not in EMBEDDED_WORLD_ONLY | {"harvest"}]
    from_urls = total(pipelines[name] for name in own)
    from_list = Pipeline(from_urls, inputs={"url_list": "harvested_url_list"})
    chains = {FROM_URLS: from_urls, FROM_CRAWL: pipelines["harvest"] + from_list}
    return {**pipelines, **chains, "__default__": total(pipelines.values())}


def load_pipeline(name: str) -> Pipeline:
    """Import one pipeline; its nodes carry its name as a tag, which names their DVC stage and MLflow run.

    As their namespace it makes one box of them in Kedro-Viz.
    """
    package = import_module(f"unclip_pipeline.pipelines.{name}")
    return Pipeline(
        package.create_pipeline(), tags=[name], namespace=name, prefix_datasets_with_namespace=False
    )


def total(pipelines: Iterable[Pipeline]) -> Pipeline:
    """Add pipelines up."""
    return reduce(add, pipelines)
