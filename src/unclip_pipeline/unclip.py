"""The whole stack for inference: caption, image embedding, small picture, larger picture.

Each picture's noise is keyed by (seed, stage, caption, how many times that caption came before in the
call): a batch equals its single pictures, and the same caption n times gives n different ones.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.clip.encoder import Encoder, load_encoder
from unclip_pipeline.diffusion.guidance import clipped, guided
from unclip_pipeline.diffusion.process import Denoised, Denoiser, x_0_of
from unclip_pipeline.diffusion.samplers import ddim, ddpm, dpm_solver_pp_2m
from unclip_pipeline.diffusion.schedule import Schedule, named_schedule, sampling_steps
from unclip_pipeline.models.condition import Condition, Context
from unclip_pipeline.models.prior import Prefix, Prior, Text, load_prior
from unclip_pipeline.models.unet import Unet, load_unet
from unclip_pipeline.models.unet_config import UnetConfig
from unclip_pipeline.seeds import seeded
from unclip_pipeline.training.devices import autocast, default_device
from unclip_pipeline.weights import Weights, load_weights

PARTS = ("clip", "prior", "decoder", "upsampler")


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How pictures are drawn. Guidance 1 is none."""

    sampler: Literal["ddim", "dpm_solver_pp_2m", "ddpm"] = "ddim"
    eta: float = 0.0  # ddim only: 0 adds no noise, 1 as much as ancestral sampling
    prior_steps: int = 16
    prior_guidance: float = 1.5
    prior_samples: int = 2  # drawn a caption; the one nearest to its text embedding is kept
    prior_limit: float = 5.0  # standard deviations beyond which no embedding goes
    decoder_steps: int = 16
    decoder_guidance: float = 2.0
    upsampler_steps: int = 2
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name in ("prior_steps", "prior_samples", "decoder_steps", "upsampler_steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"sampling.{name} must be at least 1, got {getattr(self, name)}")
        if min(self.prior_guidance, self.decoder_guidance) < 0 or not 0 <= self.eta <= 1:
            raise ValueError(
                "sampling needs guidance >= 0 and eta in 0..1, got "
                f"{self.prior_guidance=}, {self.decoder_guidance=}, {self.eta=}"
            )
        if self.sampler not in ("ddim", "dpm_solver_pp_2m", "ddpm"):
            raise ValueError(f"sampling.sampler must be ddim, dpm_solver_pp_2m or ddpm, got {self.sampler!r}")


class UnClip:
    """Text to image. Embeddings are un-normalised CLIP vectors; pictures are uint8."""

    def __init__(
        self, encoder: Encoder, prior: Prior, decoder: Unet, upsampler: Unet, sampling: SamplingConfig
    ) -> None:
        self.encoder, self.prior, self.decoder, self.upsampler = encoder, prior, decoder, upsampler
        self.sampling = sampling
        self.small_side_px = decoder.config.side_px
        self.image_side_px = upsampler.config.side_px
        self._device = next(decoder.parameters()).device
        self._empty = self._text([""])

    @classmethod
    def from_weights(
        cls,
        clip: Weights,
        prior: Weights,
        decoder: Weights,
        upsampler: Weights,
        sampling: SamplingConfig,
        device: torch.device | None = None,
    ) -> "UnClip":
        """Build the stack; parts trained on different embeddings are refused."""
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
            load_unet(upsampler, "upsampler").to(device),
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
        parts = {name: load_weights(folder / name) for name in PARTS}
        return cls.from_weights(**parts, sampling=SamplingConfig(**description["sampling"]), device=device)

    def generate(self, captions: Sequence[str], *, seed: int) -> list[Image.Image]:
        """Draw one picture a caption."""
        embeddings = self.sample_image_embeddings(captions, seed=seed)
        small = self.decode(embeddings, captions, seed=seed)
        large = self.upsample(small, embeddings, seed=seed)
        return [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in large]

    def embed_texts(self, captions: Sequence[str]) -> Float[Tensor, "n d"]:
        """Embed captions."""
        return self.encoder.texts(captions).cpu()

    @torch.no_grad()
    def sample_image_embeddings(self, captions: Sequence[str], *, seed: int) -> Float[Tensor, "n d"]:
        """Draw an image embedding a caption with the prior: of several, the nearest to the caption's own."""
        places, copies = _places("prior", captions), self.sampling.prior_samples
        drawn = [torch.empty(0, self.encoder.width)]
        for rows in _slices(len(captions), max(1, self.sampling.batch_size // copies)):
            noise = [seeded(seed, *place, copy) for place in places[rows] for copy in range(copies)]
            text = self._text(captions[rows])
            drawn.append(draw_embeddings(self.prior, text, self._empty, noise, self.sampling).cpu())
        return torch.cat(drawn)

    @torch.no_grad()
    def decode(
        self, image_embeddings: Float[Tensor, "n d"], captions: Sequence[str], *, seed: int
    ) -> UInt8[Tensor, "n 3 s s"]:
        """Draw a small picture of each image embedding; "" is the caption of a picture without one."""
        places = _places("decoder", captions)
        drawn = [torch.empty(0, 3, self.small_side_px, self.small_side_px, dtype=torch.uint8)]
        for rows in _slices(len(captions), self.sampling.batch_size):
            noise = [seeded(seed, *place) for place in places[rows]]
            embeddings, text = image_embeddings[rows].to(self._device), self._text(captions[rows])
            drawn.append(draw_small(self.decoder, embeddings, text, self._empty, noise, self.sampling).cpu())
        return torch.cat(drawn)

    @torch.no_grad()
    def upsample(
        self, small: UInt8[Tensor, "n 3 s s"], image_embeddings: Float[Tensor, "n d"], *, seed: int
    ) -> UInt8[Tensor, "n 3 S S"]:
        """Enlarge pictures; the embeddings count only if the network was built to be told them."""
        places = _places("upsampler", [sha256(picture.numpy().tobytes()).hexdigest() for picture in small])
        drawn = [torch.empty(0, 3, self.image_side_px, self.image_side_px, dtype=torch.uint8)]
        for rows in _slices(len(small), self.sampling.batch_size):
            noise = [seeded(seed, *place) for place in places[rows]]
            pictures, embeddings = small[rows].to(self._device), image_embeddings[rows].to(self._device)
            drawn.append(draw_large(self.upsampler, pictures, embeddings, noise, self.sampling).cpu())
        return torch.cat(drawn)

    def _text(self, captions: Sequence[str]) -> Text:
        text = Text(self.encoder.texts(captions))
        if self.prior.config.text_tokens or self.decoder.config.text_tokens:
            tokens = self.encoder.text_tokens(captions)
            text = text._replace(hidden=tokens.hidden, mask=tokens.mask)
        return text


@torch.no_grad()
def draw_embeddings(
    prior: Prior, text: Text, empty: Text, noise: list[torch.Generator], sampling: SamplingConfig
) -> Float[Tensor, "n d"]:
    """Draw len(noise) / n embeddings for each of n captions and keep the nearest to the caption's own.

    `empty` is the empty caption, one row.
    """
    count = len(text.embedding)
    copies = len(noise) // count

    def told(prefix: Prefix) -> Denoiser:
        return lambda x_t, t: Denoised(prior(x_t, t, prefix))

    with autocast(prior.device):
        each, null = prior.prefix(text), prior.prefix(empty).expanded(count)
    denoise = clipped(guided(told(each), told(null), sampling.prior_guidance), sampling.prior_limit)
    shape, schedule = (prior.embedding_width,), named_schedule(prior.config.schedule)
    drawn = prior.restored(
        _sample(denoise, shape, noise, schedule, sampling.prior_steps, sampling, prior.device)
    )
    wanted = text.embedding.repeat_interleave(copies, 0)
    nearness = F.cosine_similarity(drawn, wanted).unflatten(0, (count, copies))
    return drawn[nearness.argmax(1) + copies * torch.arange(count, device=drawn.device)]


@torch.no_grad()
def draw_small(
    decoder: Unet,
    image_embeddings: Float[Tensor, "n d"],
    text: Text,
    empty: Text,
    noise: list[torch.Generator],
    sampling: SamplingConfig,
) -> UInt8[Tensor, "n 3 s s"]:
    """Draw a picture of each embedding, away from what the decoder draws when told nothing."""
    no_image = decoder.embed.null_embedding[None]
    with autocast(decoder.device):
        told = decoder.context(_condition(image_embeddings, text))
        untold = decoder.context(_condition(no_image, empty)).expanded(len(noise))
    denoise = clipped(
        guided(_unet_denoiser(decoder, told), _unet_denoiser(decoder, untold), sampling.decoder_guidance)
    )
    shape, schedule = (3, *[decoder.config.side_px] * 2), _schedule(decoder.config)
    return to_uint8(
        _sample(denoise, shape, noise, schedule, sampling.decoder_steps, sampling, decoder.device)
    )


@torch.no_grad()
def draw_large(
    upsampler: Unet,
    small: UInt8[Tensor, "n 3 s s"],
    image_embeddings: Float[Tensor, "n d"] | None,
    noise: list[torch.Generator],
    sampling: SamplingConfig,
) -> UInt8[Tensor, "n 3 S S"]:
    """Draw a larger picture of each smaller one."""
    config = upsampler.config
    smooth = enlarged(to_float(small), config.side_px)
    condition = Condition(
        image_embedding=image_embeddings if upsampler.embedding_width else None, low_res=smooth
    )
    denoise = _unet_denoiser(upsampler, condition)
    x_0 = _sample(
        denoise if config.residual_scale else clipped(denoise),
        (3, config.side_px, config.side_px),
        noise,
        _schedule(config),
        sampling.upsampler_steps,
        sampling,
        upsampler.device,
    )
    return to_uint8(smooth + config.residual_scale * x_0 if config.residual_scale else x_0)


def _schedule(config: UnetConfig) -> Schedule:
    return named_schedule(config.schedule, shift=config.schedule_shift)


def _condition(image_embeddings: Float[Tensor, "n d"], text: Text) -> Condition:
    return Condition(image_embeddings, text.embedding, text.hidden, text.mask)


def _unet_denoiser(unet: Unet, told: Condition | Context) -> Denoiser:
    schedule, config = _schedule(unet.config), unet.config

    def denoise(x_t: Tensor, t: Tensor) -> Denoised:
        output = unet(x_t, t, told)
        share = None
        if config.learned_variance:
            output, share = output.chunk(2, 1)
        return Denoised(x_0_of(config.target, output, x_t, t, schedule), share)

    return denoise


def _sample(
    denoise: Denoiser,
    shape: tuple[int, ...],
    generators: list[torch.Generator],
    schedule: Schedule,
    count: int,
    sampling: SamplingConfig,
    device: torch.device,
) -> Tensor:
    """Run the configured sampler, each sample on its own generator."""

    def noise(_: int) -> Tensor:
        return torch.stack([torch.randn(shape, generator=one) for one in generators]).to(device)

    x, steps = noise(-1), sampling_steps(schedule, count)
    with autocast(device):
        if sampling.sampler == "ddpm":
            return ddpm(denoise, x, steps, schedule, noise=noise)
        if sampling.sampler == "dpm_solver_pp_2m":
            return dpm_solver_pp_2m(denoise, x, steps, schedule)
        return ddim(denoise, x, steps, schedule, eta=sampling.eta, noise=noise)


def to_float(pixels: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """0..255 to -1..1."""
    return pixels.float() / 127.5 - 1


def enlarged(small: Float[Tensor, "b 3 h w"], side_px: int) -> Float[Tensor, "b 3 s s"]:
    """Bicubic enlargement, the picture that super-resolution starts from."""
    return F.interpolate(small, (side_px, side_px), mode="bicubic").clamp(-1, 1)


def to_uint8(x: Float[Tensor, "b 3 h w"]) -> UInt8[Tensor, "b 3 h w"]:
    """-1..1 to 0..255; what lies outside is clipped."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


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
