"""The whole stack for inference: caption, image embedding, small picture, larger pictures.

Each picture's noise is keyed by (seed, stage, caption, how many times that caption came before in the
call): a batch equals its single pictures, and the same caption n times gives n different ones.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from unclip_pipeline.clip.encoder import Encoder, load_encoder
from unclip_pipeline.models.prior import Prior, Text, load_prior
from unclip_pipeline.models.unet import Unet, load_unet
from unclip_pipeline.seeds import seeded
from unclip_pipeline.training.cascade import check_sides, check_tiles
from unclip_pipeline.training.devices import default_device
from unclip_pipeline.unclip.drawing import draw_embeddings, draw_large, draw_small
from unclip_pipeline.unclip.sampling import SamplingConfig
from unclip_pipeline.weights import Weights, load_weights

PARTS = ("clip", "prior", "decoder")
CASCADE = ("upsampler",)  # of a bundle that does not name its upsamplers


class Upsampler(NamedTuple):
    """One stage of super-resolution, and what its training found out about it."""

    network: Unet
    facts: Mapping[str, Any]


class UnClip:
    """Text to image. Embeddings are un-normalised CLIP vectors; pictures are uint8."""

    def __init__(
        self,
        encoder: Encoder,
        prior: Prior,
        decoder: Unet,
        upsamplers: Mapping[str, Upsampler],
        sampling: SamplingConfig,
    ) -> None:
        """Take the parts; the upsamplers by name, from the smallest pictures to the largest."""
        if not upsamplers:
            raise ValueError("a stack needs an upsampler, got none; give at least one after the decoder")
        networks = {name: upsampler.network.config for name, upsampler in upsamplers.items()}
        check_sides(decoder.config, networks)
        check_tiles(sampling.tile_px, sampling.tile_overlap_px, networks)
        self.encoder, self.prior, self.decoder = encoder, prior, decoder
        self.upsamplers = tuple(upsampler.network for upsampler in upsamplers.values())
        self._cascade = dict(upsamplers)
        self.sampling = sampling
        self.small_side_px = decoder.config.side_px
        self.image_side_px = self.upsamplers[-1].config.side_px
        self.device = next(decoder.parameters()).device

    @classmethod
    def from_weights(
        cls,
        *,
        clip: Weights,
        prior: Weights,
        decoder: Weights,
        sampling: SamplingConfig,
        device: torch.device | None = None,
        **upsamplers: Weights,
    ) -> "UnClip":
        """Build the stack, upsamplers in the order given; parts that do not belong together are refused."""
        device = device or default_device()
        encoder = load_encoder(clip, device)
        for name, part in (("prior", prior), ("decoder", decoder)):
            if part.config.get("embedder_id", encoder.embedder_id) != encoder.embedder_id:
                raise ValueError(
                    f"the {name} was trained on embeddings of {part.config['embedder_id']}, but this CLIP is "
                    f"{encoder.embedder_id}; train the {name} again or load its own CLIP"
                )
        return cls(
            encoder,
            load_prior(prior).to(device),
            load_unet(decoder, "decoder").to(device),
            {
                name: Upsampler(load_unet(part, "upsampler").to(device), part.config)
                for name, part in upsamplers.items()
            },
            sampling,
        )

    @classmethod
    def load(cls, folder: Path | str, device: torch.device | None = None) -> "UnClip":
        """Load a model bundle: a folder of weights by part, and `unclip.json`."""
        folder = Path(folder)
        if not (folder / "unclip.json").is_file():
            raise FileNotFoundError(
                f"{folder} is no model bundle: it has no unclip.json; run `release_model`"
            )
        description = json.loads((folder / "unclip.json").read_text())
        names = (*PARTS, *description.get("cascade", CASCADE))
        parts = {name: load_weights(folder / name) for name in names}
        return cls.from_weights(**parts, sampling=SamplingConfig(**description["sampling"]), device=device)

    def generate(self, captions: Sequence[str], *, seed: int, negative: str = "") -> list[Image.Image]:
        """Draw one picture a caption; guidance leads away from the negative caption."""
        embeddings = self.sample_image_embeddings(captions, seed=seed, negative=negative)
        small = self.decode(embeddings, captions, seed=seed, negative=negative)
        return self.finished(small, embeddings, seed=seed, names=captions)

    def finished(
        self,
        small: UInt8[Tensor, "n 3 s s"],
        image_embeddings: Float[Tensor, "n d"],
        *,
        seed: int,
        names: Sequence[str] | None = None,
    ) -> list[Image.Image]:
        """Enlarge small pictures and give them out; see `upsample`."""
        large = self.upsample(small, image_embeddings, seed=seed, names=names)
        return [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in large]

    def embed_texts(self, captions: Sequence[str]) -> Float[Tensor, "n d"]:
        """Embed captions."""
        return self.encoder.texts(captions).cpu()

    @torch.no_grad()
    def sample_image_embeddings(
        self, captions: Sequence[str], *, seed: int, negative: str = ""
    ) -> Float[Tensor, "n d"]:
        """Draw an image embedding a caption with the prior: of several, the nearest to the caption's own."""
        places, copies = _places("prior", captions), self.sampling.prior_samples
        away_from = self.told([negative])
        drawn = [torch.empty(0, self.encoder.width)]
        for rows in _slices(len(captions), max(1, self.sampling.batch_size // copies)):
            noise = [seeded(seed, *place, copy) for place in places[rows] for copy in range(copies)]
            text = self.told(captions[rows])
            drawn.append(draw_embeddings(self.prior, text, away_from, noise, self.sampling).cpu())
        return torch.cat(drawn)

    @torch.no_grad()
    def decode(
        self,
        image_embeddings: Float[Tensor, "n d"],
        captions: Sequence[str],
        *,
        seed: int,
        negative: str = "",
    ) -> UInt8[Tensor, "n 3 s s"]:
        """Draw a small picture of each image embedding; "" is the caption of a picture without one."""
        places, away_from = _places("decoder", captions), self.told([negative])
        drawn = [torch.empty(0, 3, self.small_side_px, self.small_side_px, dtype=torch.uint8)]
        for rows in _slices(len(captions), self.sampling.batch_size):
            noise = [seeded(seed, *place) for place in places[rows]]
            embeddings, text = image_embeddings[rows].to(self.device), self.told(captions[rows])
            drawn.append(draw_small(self.decoder, embeddings, text, away_from, noise, self.sampling).cpu())
        return torch.cat(drawn)

    @torch.no_grad()
    def upsample(
        self,
        small: UInt8[Tensor, "n 3 s s"],
        image_embeddings: Float[Tensor, "n d"],
        *,
        seed: int,
        names: Sequence[str] | None = None,
    ) -> UInt8[Tensor, "n 3 S S"]:
        """Enlarge pictures stage by stage; embeddings count only for a network built to be told them.

        Names key the noise of pictures, as captions do where they were drawn. Without names their own pixels
        do, which is for pictures that are given: drawn ones are rounded as their batch has it.
        """
        names = names or [sha256(picture.numpy().tobytes()).hexdigest() for picture in small]
        stages = [
            (upsampler.network, self.sampling.enlarging(upsampler.facts), _places(name, names))
            for name, upsampler in self._cascade.items()
        ]
        drawn = [torch.empty(0, 3, self.image_side_px, self.image_side_px, dtype=torch.uint8)]
        for rows in _slices(len(small), self.sampling.batch_size):
            pictures, embeddings = small[rows].to(self.device), image_embeddings[rows].to(self.device)
            for network, how, places in stages:
                noise = [seeded(seed, *place) for place in places[rows]]
                pictures = draw_large(network, pictures, embeddings, noise, how)
            drawn.append(pictures.cpu())
        return torch.cat(drawn)

    def told(self, captions: Sequence[str]) -> Text:
        """What prior and decoder are told of captions."""
        text = Text(self.encoder.texts(captions))
        if self.prior.config.text_tokens or self.decoder.config.text_tokens:
            tokens = self.encoder.text_tokens(captions)
            text = text._replace(hidden=tokens.hidden, mask=tokens.mask)
        return text


def _places(stage: str, names: Sequence[str]) -> list[tuple[str, str, int]]:
    """Key of each picture's noise: the stage, its name, and how often that name came before."""
    seen: Counter[str] = Counter()
    places = []
    for name in names:
        places.append((stage, name, seen[name]))
        seen[name] += 1
    return places


def _slices(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]
