"""Why a trained stack cannot be handed to diffusers, by part and field; read off configurations alone."""

from collections.abc import Mapping
from typing import Any

from unclip_pipeline.export.prior import why_not_with
from unclip_pipeline.export.towers import why_text_not_exportable
from unclip_pipeline.models.prior import PriorConfig
from unclip_pipeline.models.unet_config import UnetConfig
from unclip_pipeline.weights import Weights

WIDTHS = ("text_width", "embedding_width")


class NotExportableError(ValueError):
    """A stack that diffusers' unCLIP classes cannot express; nothing was written."""


def why_not_exportable(
    *, clip: Weights, prior: Weights, decoder: Weights, cascade: Mapping[str, Weights]
) -> list[str]:
    """List every reason, each beginning with its part and field; empty when the stack can be exported.

    Of several upsamplers the first counts: those after it are no part of what diffusers runs.
    """
    architecture, (name, upsampler) = clip.config["architecture"], next(iter(cascade.items()))
    before = PriorConfig(**_sizes(prior))
    small, large = UnetConfig(**_sizes(decoder)), UnetConfig(**_sizes(upsampler))
    found = {
        "clip": why_text_not_exportable(architecture),
        "prior": before.why_not_exportable(),
        "decoder": small.why_not_exportable(),
        name: large.why_not_exportable(),
    }
    length = architecture["model"]["text_cfg"].get("context_length", 77)
    found["prior"] += why_not_with(before, *(prior.config["architecture"][width] for width in WIDTHS), length)
    found["decoder"] += why_context_clashes(small, length)
    if upsampler.config["architecture"]["embedding_width"]:
        found[name].append("image_tokens: its super-resolution is told nothing but the smaller picture")
    if small.side_px != large.low_side_px:
        found[name].append(f"low_side_px {large.low_side_px}: the decoder's pictures have {small.side_px}")
    return [f"{part}.{reason}" for part, reasons in found.items() for reason in reasons]


def why_context_clashes(config: UnetConfig, context_length: int) -> list[str]:
    """Say that a level has as many pixels as there are tokens, which diffusers takes for a mask already padded."""
    tokens = config.image_tokens + context_length
    sides = [config.side_px // 2**level for level, attends in enumerate(config.attention) if attends]
    return [
        f"side_px {config.side_px}: a level of {side} x {side} pixels attends to as many tokens ({tokens}), and "
        "its mask fails; change image_tokens"
        for side in sides
        if side**2 == tokens
    ]


def _sizes(weights: Weights) -> Mapping[str, Any]:
    return {name: value for name, value in weights.config["architecture"].items() if name not in WIDTHS}
