"""The trained stack at work: captions to pictures, and the paper's manipulations of pictures."""

from unclip_pipeline.unclip.drawing import draw_embeddings, draw_large, draw_small
from unclip_pipeline.unclip.pixels import enlarged, to_float, to_uint8
from unclip_pipeline.unclip.sampling import Enlarging, SamplingConfig
from unclip_pipeline.unclip.stack import UnClip

__all__ = [
    "Enlarging", "SamplingConfig", "UnClip", "draw_embeddings", "draw_large", "draw_small", "enlarged", "to_float",
    "to_uint8",
]  # fmt: skip
