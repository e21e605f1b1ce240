"""Learn to turn an image embedding into a small image."""

from unclip_pipeline.pipelines.train_decoder.pipeline import create_pipeline

__all__ = ["create_pipeline"]
