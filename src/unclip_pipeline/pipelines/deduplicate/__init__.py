"""Find copies and name the picture that stands for them."""

from unclip_pipeline.pipelines.deduplicate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
