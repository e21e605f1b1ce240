"""From what every stage left behind to one page."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.report.nodes import MEASURED, TRAININGS, write_report


def create_pipeline(**kwargs: object) -> Pipeline:
    """Read every stage's metrics and histories; `scorecard_metrics` may be absent."""
    inputs = ["dataset", "ledger", "samples", "nearest_training", "params:seed"]
    inputs += [f"{stage}_history" for stage in TRAININGS]
    inputs += [f"{stage}_metrics" for stage in MEASURED]
    return Pipeline([Node(write_report, inputs=inputs, outputs="report", name="write_report")])
