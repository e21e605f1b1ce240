"""Which stage a node belongs to."""

from kedro.pipeline.node import Node

from unclip_pipeline.pipeline_registry import PIPELINES


def stage_of(node: Node) -> str:
    """Name the pipeline of a node; the registry put it on the node as a tag."""
    return next(tag for tag in node.tags if tag in PIPELINES)
