"""From verdicts and the labels so far to the next pictures to label; labels come back by way of `01_raw`."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.annotate.nodes import choose_pictures, describe, export, study


def create_pipeline(**kwargs: object) -> Pipeline:
    """Study the labels, choose pictures, hand them out, show both."""
    return Pipeline(
        [
            Node(
                study,
                inputs=[
                    "scrape_ledger", "filter_verdicts", "embeddings", "annotations",
                    "params:calibration", "params:filter", "params:seed",
                ],
                outputs=["label_study", "annotate_metrics"],
                name="study_labels",
            ),
            Node(
                choose_pictures,
                inputs=["label_study", "embeddings", "params:annotate", "params:seed"],
                outputs="annotation_choice",
                name="choose_pictures",
            ),
            Node(
                export,
                inputs=[
                    "label_study", "annotation_choice", "raw_shards", "annotation_tasks_target",
                    "params:annotate",
                ],
                outputs="annotation_tasks",
                name="export_tasks",
            ),
            Node(
                describe,
                inputs=["label_study", "annotation_choice", "raw_shards", "params:calibration"],
                outputs="annotate_report",
                name="describe_annotate",
            ),
        ]
    )  # fmt: skip
