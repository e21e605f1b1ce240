"""Pass the gates and register the model with its card."""

from unclip_pipeline.pipelines.release_model.pipeline import create_pipeline

__all__ = ["create_pipeline"]
