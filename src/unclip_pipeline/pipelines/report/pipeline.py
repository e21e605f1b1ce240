"""From what every stage left behind to one page."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.report.nodes import write_report
from unclip_pipeline.training.cascade import FIRST

DATA_STAGES = ("scrape", "train_clip", "filter", "annotate", "deduplicate", "audit_data", "release_dataset")
MODEL_STAGES = ("evaluate", "audit_samples", "release_model", "scorecard")


def create_pipeline(*, cascade: Sequence[str] = (FIRST,), **kwargs: object) -> Pipeline:
    """Read every stage's metrics and histories; `scorecard_metrics` may be absent."""
    networks = ["train_prior", "train_decoder", *(f"train_{stage}" for stage in cascade)]
    inputs = ["dataset", "ledger", "samples", "nearest_training"]
    inputs += [f"{stage}_history" for stage in ("train_clip", *networks)]
    inputs += [f"{stage}_metrics" for stage in (*DATA_STAGES, *networks, *MODEL_STAGES)]
    return Pipeline(
        [
            Node(
                write_report,
                inputs={**{name: name for name in inputs}, "seed": "params:seed"},
                outputs="report",
                name="write_report",
            )
        ]
    )
