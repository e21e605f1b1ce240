"""Each stage's sampling on tensors: embeddings, small pictures, larger pictures."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.diffusion.guidance import clipped, guided
from unclip_pipeline.diffusion.process import Denoised, Denoiser, x_0_of
from unclip_pipeline.diffusion.samplers import Noise, ddim, ddpm, dpm_solver_pp_2m
from unclip_pipeline.diffusion.schedule import Schedule, named_schedule, sampling_steps
from unclip_pipeline.models.condition import Condition, Context
from unclip_pipeline.models.prior import Prefix, Prior, Text
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.models.unet_config import UnetConfig
from unclip_pipeline.training.devices import autocast
from unclip_pipeline.unclip.pixels import enlarged, to_float, to_uint8
from unclip_pipeline.unclip.sampling import Enlarging, SamplingConfig
from unclip_pipeline.unclip.tiling import Square, tiled


@torch.no_grad()
def draw_embeddings(
    prior: Prior, text: Text, away_from: Text, noise: list[torch.Generator], sampling: SamplingConfig
) -> Float[Tensor, "n d"]:
    """Draw len(noise) / n embeddings for each of n captions and keep the nearest to the caption's own.

    Guidance leads away from the one caption of `away_from`, the empty one as a rule.
    """
    count = len(text.embedding)
    copies = len(noise) // count

    def told(prefix: Prefix) -> Denoiser:
        return lambda x_t, t: Denoised(prior(x_t, t, prefix))

    with autocast(prior.device):
        each, null = prior.prefix(text), prior.prefix(away_from).expanded(count)
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
    away_from: Text,
    noise: list[torch.Generator],
    sampling: SamplingConfig,
) -> UInt8[Tensor, "n 3 s s"]:
    """Draw a picture of each embedding, away from what the decoder draws of the caption `away_from` alone."""
    denoise = clipped(decoder_denoiser(decoder, image_embeddings, text, away_from, sampling.decoder_guidance))
    shape, schedule = (3, *[decoder.config.side_px] * 2), schedule_of(decoder.config)
    return to_uint8(
        _sample(denoise, shape, noise, schedule, sampling.decoder_steps, sampling, decoder.device)
    )


def decoder_denoiser(
    decoder: Unet, image_embeddings: Float[Tensor, "n d"], text: Text, away_from: Text, guidance: float
) -> Denoiser:
    """The decoder told of these pictures once and for all, guided away from the one caption of `away_from`."""
    with autocast(decoder.device):
        told = decoder.context(_condition(image_embeddings, text))
        if guidance == 1:
            return unet_denoiser(decoder, told)
        no_image = decoder.embed.null_embedding[None]
        untold = decoder.context(_condition(no_image, away_from)).expanded(len(image_embeddings))
    return guided(unet_denoiser(decoder, told), unet_denoiser(decoder, untold), guidance)


@torch.no_grad()
def draw_large(
    upsampler: Unet,
    small: UInt8[Tensor, "n 3 s s"],
    image_embeddings: Float[Tensor, "n d"] | None,
    noise: list[torch.Generator],
    how: Enlarging,
) -> UInt8[Tensor, "n 3 S S"]:
    """Draw a larger picture of each smaller one."""
    config = upsampler.config
    smooth = enlarged(to_float(small), config.side_px)
    level = how.noise if how.noise is not None else float(not config.told_noise)
    told = Condition(
        image_embedding=image_embeddings if upsampler.embedding_width else None,
        low_res=smooth,
        low_noise=torch.full((len(small),), level, device=upsampler.device),
    )
    usual = noise_of(noise, (3, config.side_px, config.side_px), upsampler.device)
    strength = 1.0 if config.told_noise else level
    denoise = _enlarging_denoiser(upsampler, upsampler.context(told), how)
    schedule = schedule_of(config)
    with autocast(upsampler.device):
        x_0 = ddim(
            denoise if config.residual_scale else clipped(denoise),
            strength * usual(-1), sampling_steps(schedule, how.steps), schedule,
            eta=how.eta, noise=lambda step: strength * usual(step),
        )  # fmt: skip
    return to_uint8(smooth + config.residual_scale * x_0 if config.residual_scale else x_0)


def _enlarging_denoiser(upsampler: Unet, told: Context, how: Enlarging) -> Denoiser:
    """The network on whole pictures, or square by square where they are larger than a tile."""
    if not 0 < how.tile_px < upsampler.config.side_px:
        return unet_denoiser(upsampler, told)

    def of_square(square: Square) -> Denoiser:
        low_res = told.low_res[..., square.rows, square.columns]
        return unet_denoiser(upsampler, told._replace(low_res=low_res))

    return tiled(
        of_square, side_px=upsampler.config.side_px, tile_px=how.tile_px, overlap_px=how.tile_overlap_px
    )


def schedule_of(config: UnetConfig) -> Schedule:
    """The schedule a U-Net was trained on."""
    return named_schedule(config.schedule, shift=config.schedule_shift)


def _condition(image_embeddings: Float[Tensor, "n d"], text: Text) -> Condition:
    return Condition(image_embeddings, text.embedding, text.hidden, text.mask)


def unet_denoiser(unet: Unet, told: Context) -> Denoiser:
    """A U-Net as an estimate of x_0, whatever its target, with its variance if it learned one."""
    schedule, config = schedule_of(unet.config), unet.config

    def denoise(x_t: Tensor, t: Tensor) -> Denoised:
        output = unet(x_t, t, told)
        share = None
        if config.learned_variance:
            output, share = output.chunk(2, 1)
        return Denoised(x_0_of(config.target, output, x_t, t, schedule), share)

    return denoise


def noise_of(generators: list[torch.Generator], shape: tuple[int, ...], device: torch.device) -> Noise:
    """Give every sample the noise of its own generator, step after step."""
    return lambda _: torch.stack([torch.randn(shape, generator=one) for one in generators]).to(device)


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
    noise = noise_of(generators, shape, device)
    x, steps = noise(-1), sampling_steps(schedule, count)
    with autocast(device):
        if sampling.sampler == "ddpm":
            return ddpm(denoise, x, steps, schedule, noise=noise)
        if sampling.sampler == "dpm_solver_pp_2m":
            return dpm_solver_pp_2m(denoise, x, steps, schedule)
        return ddim(denoise, x, steps, schedule, eta=sampling.eta, noise=noise)
