"""Write the CLIP vectors of every image and caption."""

from unclip_pipeline.pipelines.embed.pipeline import create_pipeline

__all__ = ["create_pipeline"]
