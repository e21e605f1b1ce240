"""Learn to turn a caption into an image embedding."""

from unclip_pipeline.pipelines.train_prior.pipeline import create_pipeline

__all__ = ["create_pipeline"]
