"""What can be done with a picture through its two latents (Ramesh et al., 2022, section 3).

The CLIP embedding holds what CLIP sees in it; x_T, found by inverting the decoder's DDIM, holds the rest.
All go through the small picture; the upsampler finishes them. `pictures` are uint8, of any square size.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.diffusion.guidance import clipped
from unclip_pipeline.diffusion.process import Denoised, Denoiser
from unclip_pipeline.diffusion.samplers import ddim, ddim_inverted
from unclip_pipeline.diffusion.schedule import sampling_steps
from unclip_pipeline.models.prior import Text
from unclip_pipeline.seeds import seeded
from unclip_pipeline.training.devices import autocast
from unclip_pipeline.training.upsampler import shrunk
from unclip_pipeline.unclip.drawing import decoder_denoiser, noise_of, schedule_of
from unclip_pipeline.unclip.pixels import to_uint8
from unclip_pipeline.unclip.stack import UnClip

LEAST_ANGLE = 1e-4  # between vectors, in radians: below it an arc is a line, and its sine no divisor


class Latents(NamedTuple):
    """A picture as the decoder sees it (section 3): un-normalised embedding, and the noise it starts from."""

    embedding: Float[Tensor, "n d"]
    x_T: Float[Tensor, "n 3 s s"]


@torch.no_grad()
def latents_of(unclip: UnClip, pictures: UInt8[Tensor, "n 3 h w"]) -> Latents:
    """Encode pictures; `decoded` leads nearly back to them."""
    pictures = pictures.to(unclip.device)
    embedding = unclip.encoder.images(pictures)
    small = shrunk(pictures, unclip.small_side_px)
    steps = sampling_steps(schedule_of(unclip.decoder.config), unclip.sampling.decoder_steps)
    with autocast(unclip.device):
        denoise = _unguided(unclip, embedding)
        return Latents(embedding, ddim_inverted(denoise, small, steps, schedule_of(unclip.decoder.config)))


@torch.no_grad()
def decoded(unclip: UnClip, latents: Latents, *, eta: float = 0.0, seed: int = 0) -> UInt8[Tensor, "n 3 s s"]:
    """Draw the small pictures of latents; eta above 0 lets what the embedding does not fix vary."""
    generators = [seeded(seed, "manipulated", row) for row in range(len(latents.x_T))]
    noise = noise_of(generators, tuple(latents.x_T.shape[1:]), unclip.device)
    schedule = schedule_of(unclip.decoder.config)
    steps = sampling_steps(schedule, unclip.sampling.decoder_steps)
    with autocast(unclip.device):
        denoise = clipped(_unguided(unclip, latents.embedding))
        return to_uint8(ddim(denoise, latents.x_T, steps, schedule, eta=eta, noise=noise)).cpu()


def variations(
    unclip: UnClip, picture: UInt8[Tensor, "3 h w"], count: int, *, eta: float = 1.0, seed: int = 0
) -> list[Image.Image]:
    """Draw a picture anew: what CLIP sees in it stays, the rest varies with eta (section 3.1)."""
    one = latents_of(unclip, picture[None])
    return _finished(
        unclip,
        Latents(one.embedding.expand(count, -1), one.x_T.expand(count, -1, -1, -1)),
        eta=eta,
        seed=seed,
    )


def blends(
    unclip: UnClip,
    first: UInt8[Tensor, "3 h w"],
    second: UInt8[Tensor, "3 h w"],
    shares: Sequence[float],
    *,
    seed: int = 0,
) -> list[Image.Image]:
    """Draw what lies between two pictures; a share of 0 is the first, 1 the second (section 3.2)."""
    a, b = latents_of(unclip, first[None]), latents_of(unclip, second[None])
    share = torch.tensor(shares, device=unclip.device)
    between = Latents(slerp(a.embedding, b.embedding, share), slerp(a.x_T, b.x_T, share))
    return _finished(unclip, between, seed=seed)


def redescribed(
    unclip: UnClip,
    picture: UInt8[Tensor, "3 h w"],
    before: str,
    after: str,
    strengths: Sequence[float],
    *,
    seed: int = 0,
) -> list[Image.Image]:
    """Turn a picture by the difference of two captions (section 3.3); the paper goes up to 0.25 .. 0.5."""
    latents = latents_of(unclip, picture[None])
    told = F.normalize(unclip.encoder.texts([before, after]).to(unclip.device), dim=1)
    length = latents.embedding.norm(dim=1, keepdim=True)
    towards = length * F.normalize(told[1:] - told[:1], dim=1)
    share = torch.tensor(strengths, device=unclip.device)
    turned = Latents(slerp(latents.embedding, towards, share), latents.x_T.expand(len(strengths), -1, -1, -1))
    return _finished(unclip, turned, seed=seed)


@torch.no_grad()
def inpainted(
    unclip: UnClip,
    picture: UInt8[Tensor, "3 h w"],
    hole: Bool[Tensor, "h w"],
    captions: Sequence[str],
    *,
    seed: int = 0,
) -> list[Image.Image]:
    """Draw what the captions say into the hole of a picture, once a caption; the rest of it stays.

    Every estimate of x_0 has the known part put in, so that what is drawn fits it (as in RePaint, Lugmayr
    et al., 2022, with eta 1 in place of its resampling).
    """
    embeddings = unclip.sample_image_embeddings(captions, seed=seed).to(unclip.device)
    config, sampling, text = unclip.decoder.config, unclip.sampling, unclip.told(captions)
    known = shrunk(picture[None].to(unclip.device), config.side_px)
    free = F.interpolate(hole[None, None].float(), (config.side_px,) * 2, mode="area").to(unclip.device)
    generators = [seeded(seed, "inpainted", row) for row in range(len(captions))]
    noise = noise_of(generators, (3, config.side_px, config.side_px), unclip.device)
    schedule = schedule_of(config)
    with autocast(unclip.device):
        denoise = decoder_denoiser(
            unclip.decoder, embeddings, text, unclip.told([""]), sampling.decoder_guidance
        )
        small = ddim(
            kept_outside(clipped(denoise), known, free), noise(-1),
            sampling_steps(schedule, sampling.decoder_steps), schedule, eta=1.0, noise=noise,
        )  # fmt: skip
    finished = unclip.finished(to_uint8(small).cpu(), embeddings.cpu(), seed=seed, names=captions)
    original = Image.fromarray(picture.permute(1, 2, 0).cpu().numpy()).resize(finished[0].size)
    mask = Image.fromarray((255 * hole.cpu().numpy()).astype("uint8")).resize(finished[0].size)
    return [Image.composite(drawn, original, mask) for drawn in finished]


def kept_outside(
    denoise: Denoiser, known: Float[Tensor, "#b 3 s s"], free: Float[Tensor, "#b 1 s s"]
) -> Denoiser:
    """Put the known part into every estimate of x_0; `free` is 1 where the network may draw."""

    def hold(x_t: Tensor, t: Tensor) -> Denoised:
        said = denoise(x_t, t)
        return said._replace(x_0=torch.lerp(known, said.x_0, free))

    return hold


def slerp(
    a: Float[Tensor, "#n *dims"], b: Float[Tensor, "#n *dims"], share: Float[Tensor, " n"]
) -> Float[Tensor, "n *dims"]:
    """Go along the arc from a to b; lengths that differ are blended linearly.

    Shares lie in 0..1. What points the same way has no arc, and is blended linearly altogether.
    """
    flat_a, flat_b = a.flatten(1), b.flatten(1)
    length_a, length_b = flat_a.norm(dim=1, keepdim=True), flat_b.norm(dim=1, keepdim=True)
    unit_a, unit_b = flat_a / length_a, flat_b / length_b
    angle = (unit_a * unit_b).sum(1, keepdim=True).clamp(-1, 1).acos()
    part = share[:, None]
    turned = (((1 - part) * angle).sin() * unit_a + (part * angle).sin() * unit_b) / angle.sin()
    arc = torch.lerp(length_a, length_b, part) * turned
    return torch.where(angle < LEAST_ANGLE, torch.lerp(flat_a, flat_b, part), arc).unflatten(1, a.shape[1:])


def _finished(unclip: UnClip, latents: Latents, *, eta: float = 0.0, seed: int) -> list[Image.Image]:
    """Draw latents and enlarge each alone, with the same noise: they differ in what was asked for only."""
    small, embeddings = decoded(unclip, latents, eta=eta, seed=seed), latents.embedding.cpu()
    pairs = zip(small.split(1), embeddings.split(1), strict=True)
    return [unclip.finished(*one, seed=seed, names=["manipulated"])[0] for one in pairs]


def _unguided(unclip: UnClip, embedding: Float[Tensor, "n d"]) -> Denoiser:
    empty = unclip.told([""])
    each = Text(*(None if part is None else part.expand(len(embedding), *part.shape[1:]) for part in empty))
    return decoder_denoiser(unclip.decoder, embedding, each, empty, 1.0)
