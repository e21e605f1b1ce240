"""Render the embedded miniature web with its planted truth."""

from unclip_pipeline.pipelines.render_world.pipeline import create_pipeline

__all__ = ["create_pipeline"]
