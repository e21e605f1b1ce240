"""The table of contents: every pipeline in running order.

Only super-resolution is read from the configuration: `upsampler` is one stage, and each entry of the parameter
section `cascade` one more, with a pipeline `train_<stage>` of its own.
"""

from collections.abc import Iterable
from functools import reduce
from importlib import import_module
from operator import add

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines as project_pipelines
from kedro.pipeline import Pipeline

from unclip_pipeline.training.cascade import FIRST, check_cascade

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
_ONE_STAGE = dict(PIPELINES)
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
    package = import_module(f"unclip_pipeline.pipelines.{package_of(name)}")
    pipeline = package.create_pipeline(stage=name.removeprefix("train_"), cascade=cascade())
    return Pipeline(pipeline, tags=[name], namespace=name, prefix_datasets_with_namespace=False)


def package_of(name: str) -> str:
    """Name the package that makes a pipeline: one makes the trainings of all super-resolution stages."""
    return f"train_{FIRST}" if name in {f"train_{stage}" for stage in cascade()} else name


def cascade() -> tuple[str, ...]:
    """Name the super-resolution stages, from the smallest pictures to the largest."""
    trainings = [name for name in PIPELINES if name.startswith(f"train_{FIRST}")]
    return tuple(name.removeprefix("train_") for name in trainings)


def use_cascade(further: Iterable[str]) -> None:
    """Write these super-resolution stages into the table, after the first."""
    PIPELINES.clear()
    for name, what in _ONE_STAGE.items():
        PIPELINES[name] = what
        if name == f"train_{FIRST}":
            PIPELINES.update({f"train_{stage}": "learn to enlarge what comes before" for stage in further})


class CascadeHook:
    """Make the table that of the environment whose configuration is loaded, before any pipeline is."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Read the section `cascade`; networks that do not fit one another stop here."""
        parameters = context.config_loader["parameters"]
        check_cascade(parameters)
        use_cascade(parameters.get("cascade") or {})


def total(pipelines: Iterable[Pipeline]) -> Pipeline:
    """Add pipelines up."""
    return reduce(add, pipelines)
