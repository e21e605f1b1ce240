"""A whole stack with random weights and a dataset version of drawn pictures: small, but the real classes."""

from pathlib import Path

import numpy as np
import torch

from unclip_pipeline.clip.encoder import load_encoder
from unclip_pipeline.clip.model import ClipConfig, initial_model, scratch_architecture
from unclip_pipeline.corpus.files import SUCCESS
from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.released import ReleasedPair, write_dataset
from unclip_pipeline.corpus.shards import Sample
from unclip_pipeline.corpus.uids import pair_uid
from unclip_pipeline.models.prior import Prior, PriorConfig, prior_weights
from unclip_pipeline.models.unet import Unet, UnetConfig, unet_weights
from unclip_pipeline.unclip import SamplingConfig
from unclip_pipeline.weights import Weights

CLIP = ClipConfig(
    width=16, image_side_px=32, channels=(8, 8, 8), text_width=16, text_heads=2, context_length=16
)
SAMPLING = SamplingConfig(prior_steps=2, decoder_steps=2, upsampler_steps=1, prior_samples=1, batch_size=32)
COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (40, 60, 220)}
GROUPS = ("amber", "teal")


def tiny_weights() -> dict[str, Weights]:
    """Random weights of all four parts, by name of the part."""
    clip = Weights(
        dict(initial_model(CLIP, seed=0).state_dict()),
        {"kind": "clip", "architecture": scratch_architecture(CLIP), "images_seen": 0},
    )
    facts = {"embedder_id": load_encoder(clip).embedder_id, "dataset_version": "tiny", "images_seen": 0}
    small = {"channels": (8, 16), "attention": (False, False), "head_width": 8}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        prior = Prior(PriorConfig(width=16, layers=1, heads=2), embedding_width=16)
        decoder = Unet(UnetConfig(side_px=16, **small), embedding_width=16)
        upsampler = Unet(UnetConfig(side_px=32, low_side_px=16, **small))
    return {
        "clip": clip,
        "prior": prior_weights(prior, facts),
        "decoder": unet_weights(decoder, "decoder", facts),
        "upsampler": unet_weights(upsampler, "upsampler", facts),
    }


def tiny_dataset(folder: Path, clip: Weights, *, train: int = 160, heldout: int = 80) -> Path:
    """Write a dataset version of discs on noise; every caption names a colour, a group and a number."""
    encoder = load_encoder(clip)
    random = np.random.default_rng(0)
    captions = [
        f"a {colour} disc of the {group} group number {n}"
        for n, (colour, group) in enumerate(
            zip(
                random.choice(list(COLOURS), train + heldout),
                random.choice(GROUPS, train + heldout),
                strict=True,
            )
        )
    ]
    images = np.stack([_disc(COLOURS[caption.split()[1]], random) for caption in captions])
    vectors = encoder.images(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()).half().numpy()
    texts = encoder.texts(captions).half().numpy()
    pairs = [
        ReleasedPair(
            Sample(pair_uid(f"http://x.example/{n}.png", caption), encode_png(image), "png", caption, {}),
            "heldout" if n < heldout else "train", 1.0, vectors[n], texts[n],
        )
        for n, (caption, image) in enumerate(zip(captions, images, strict=True))
    ]  # fmt: skip
    folder.mkdir(parents=True)
    write_dataset(folder, [("00000", pairs)], embedder_id=encoder.embedder_id)
    (folder / SUCCESS).touch()
    return folder


def _disc(colour: tuple[int, int, int], random: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:32, 0:32]
    inside = (x - random.uniform(10, 22)) ** 2 + (y - random.uniform(10, 22)) ** 2 < 64
    scene = np.where(inside[..., None], colour, random.uniform(0, 255, 3))
    return np.clip(scene + random.normal(0, 5, scene.shape), 0, 255).astype(np.uint8)
