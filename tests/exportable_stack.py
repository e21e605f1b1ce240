"""A stack with random weights, none of them asleep, that diffusers can express."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from networks import awake, noise
from unclip_pipeline.clip.encoder import load_encoder
from unclip_pipeline.clip.model import ClipConfig, build_model, scratch_architecture
from unclip_pipeline.models.prior import Prior, PriorConfig, prior_weights
from unclip_pipeline.models.unet import Unet, UnetConfig, unet_weights
from unclip_pipeline.unclip import SamplingConfig
from unclip_pipeline.weights import Weights, save_weights

WIDTH = 16
STD = 0.03  # more, and networks of random weights blow rounding up
SIZES: dict[str, Any] = {"channels": (16, 32), "head_width": 16, "norm_groups": 8}
PRIOR = {"width": 32, "layers": 2, "heads": 2, "text_tokens": True}
DECODER = {**SIZES, "side_px": 16, "attention": (False, True), "text_tokens": True, "target": "x0"}
UPSAMPLER = {
    **SIZES, "side_px": 32, "low_side_px": 16, "attention": (False, False), "text_embedding": False, "target": "x0",
}  # fmt: skip
SAMPLING = SamplingConfig(prior_steps=2, decoder_steps=2, upsampler_steps=2, prior_samples=1)


def exportable_weights(
    *,
    clip: dict[str, Any] | None = None,
    prior: dict[str, Any] | None = None,
    decoder: dict[str, Any] | None = None,
    upsampler: dict[str, Any] | None = None,
    architecture: dict[str, Any] | None = None,
) -> dict[str, Weights]:
    """Weights by part; a part's own options are laid over those that can be exported.

    An `architecture` is that of a CLIP of the same widths to stand in for the one from scratch.
    """
    sizes = {"width": WIDTH, "text_width": WIDTH, "text_heads": 2, "image_side_px": 32, "channels": (8, 8, 8)}
    clip_config = ClipConfig(**{**sizes, "context_length": 16, **(clip or {})})
    architecture = architecture or scratch_architecture(clip_config)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tensors = dict(build_model(architecture).state_dict())
    encoder = Weights(tensors, {"kind": "clip", "architecture": architecture})
    facts = {"embedder_id": load_encoder(encoder).embedder_id, "images_seen": 0}
    widths = {"embedding_width": clip_config.width, "text_width": clip_config.text_width}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = awake(Prior(PriorConfig(**{**PRIOR, **(prior or {})}), **widths), std=STD)
        small = awake(Unet(UnetConfig(**{**DECODER, **(decoder or {})}), **widths), std=STD)
        large = awake(Unet(UnetConfig(**{**UPSAMPLER, **(upsampler or {})})), std=STD)
    for network in (before, small.embed):
        network.measure(
            3 + 2 * noise(50, clip_config.width, seed=1), noise(50, clip_config.width, seed=2) - 1
        )
    return {
        "clip": encoder,
        "prior": prior_weights(before, facts),
        "decoder": unet_weights(small, "decoder", facts),
        "upsampler": unet_weights(large, "upsampler", facts),
    }


def write_bundle(folder: Path, parts: dict[str, Weights], **facts: Any) -> Path:
    """Write weights as a released model."""
    description = {
        "name": "tiny",
        "dataset_version": "0123",
        "embedder_id": "tiny clip",
        "code_revision": "abc",
        "sampling": asdict(SAMPLING),
        **facts,
    }
    for name, weights in parts.items():
        save_weights(weights, folder / name)
    (folder / "unclip.json").write_text(json.dumps(description))
    (folder / "MODEL_CARD.md").write_text("# Model card: tiny\n")
    return folder
