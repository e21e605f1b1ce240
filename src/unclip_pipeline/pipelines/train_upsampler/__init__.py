"""Learn to turn a small image into a larger one."""

from unclip_pipeline.pipelines.train_upsampler.pipeline import create_pipeline

__all__ = ["create_pipeline"]
