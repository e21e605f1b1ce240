"""Our networks against diffusers' at equal sizes and weights: python benchmarks/models.py

Ratios of one run, in float32: candidates take turns in one process on the same threads, process CPU time, the
best of the rounds. Every pair is first shown to give the same answer.

Text to picture takes the steps that diffusers' UnCLIPPipeline takes by default (25, 25 and 7), guides the prior
and the decoder and enlarges fourfold as the published stacks do. Diffusers' side does as that pipeline: one
doubled batch for guidance, padded captions, the condition projected once. Both sides use one sampler. The text
tower is not part of it: it runs once on either side.
"""

import argparse
import os
import platform
from collections.abc import Callable
from functools import partial

import torch
from counterparts import (
    EMBEDDING,
    LARGE_PX,
    SMALL_PX,
    asked,
    beside,
    captions,
    decoders,
    doubly_guided,
    measured,
    noise,
    priors,
    projected,
    show,
    show_equal,
    steps,
    trimmed,
    upsamplers,
)
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from unclip_pipeline.diffusion.guidance import clipped, guided
from unclip_pipeline.diffusion.process import Denoised, Denoiser
from unclip_pipeline.diffusion.samplers import ddim
from unclip_pipeline.diffusion.schedule import cosine_schedule, sampling_steps
from unclip_pipeline.models.condition import Condition
from unclip_pipeline.models.prior import Prior, Text
from unclip_pipeline.models.products import linear
from unclip_pipeline.models.unet import Unet, load_unet, unet_weights

Run = Callable[[], Tensor]
GUIDANCE = 2.0
PRIOR_STEPS, DECODER_STEPS, UPSAMPLER_STEPS = 25, 25, 7
ATTENTION_ON_CPU = {  # the counter knows these by their names on GPUs only
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(
        q, k, v
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda gradient, q, k, v, *_, **__: (
        sdpa_backward_flop_count(gradient, q, k, v)
    ),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {options.threads} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
    )
    prior_training(options.rounds)
    prior_sampling(options.rounds)
    decoder_training(options.rounds)
    text_to_picture(options.rounds)


def prior_training(rounds: int, batch: int = 32) -> None:
    """One optimizer step of the prior."""
    ours, theirs = priors()
    whole, x_t, t = captions(batch), noise(batch, EMBEDDING, seed=1), steps(batch)
    short = trimmed(whole)
    show_equal("prior", ours(x_t, t, short), asked(theirs, x_t, t, whole))
    draws = 4
    several_x, several_t = noise(draws * batch, EMBEDDING, seed=2), steps(draws * batch)
    found = measured(
        {
            "diffusers": training(theirs, lambda model: asked(model, x_t, t, whole)),
            "ours, captions padded": training(ours, lambda model: model(x_t, t, whole)),
            "ours, trimmed": training(ours, lambda model: model(x_t, t, short)),
            "ours, trimmed, 4 draws a caption": training(ours, lambda m: m(several_x, several_t, short)),
        },
        rounds,
    )
    found["ours, trimmed, 4 draws, per draw"] = found.pop("ours, trimmed, 4 draws a caption") / draws
    show(f"prior, train step, {batch} captions", found, bar=2.5)


def prior_sampling(rounds: int, batch: int = 8) -> None:
    """Guided steps of the prior."""
    ours, theirs = priors()
    text, empty, start = captions(batch), captions(1), noise(batch, EMBEDDING, seed=3)
    as_diffusers = their_embeddings(theirs, text, empty, start)
    as_ours = our_embeddings(ours, text, empty, start)
    show_equal("prior samples", as_ours(), as_diffusers(), tolerance=1e-4)
    found = measured({"diffusers": as_diffusers, "ours, prefix once a caption": as_ours}, rounds)
    show(f"prior, {PRIOR_STEPS} guided steps, {batch} captions", found, bar=10)


def decoder_training(rounds: int, batch: int = 4) -> None:
    """One optimizer step of the decoder, and the share of the machine's matrix products it reaches."""
    ours, theirs = decoders()
    whole, x_t, t = captions(batch), noise(batch, 3, SMALL_PX, SMALL_PX, seed=6), steps(batch)
    short, images = trimmed(whole), noise(batch, EMBEDDING, seed=7)

    def ask(model: nn.Module) -> Tensor:
        return model(x_t, t, Condition(images, short.embedding, short.hidden, short.mask))

    def ask_theirs(model: nn.Module) -> Tensor:
        return model(x_t, t, **projected(ours, images, whole)).sample

    show_equal("decoder", ask(ours), ask_theirs(theirs)[:, :3])
    products = matrix_products()
    found = measured(
        {"diffusers": training(theirs, ask_theirs), "ours, trimmed": training(ours, ask)}
        | {name: product for name, (product, _) in products.items()},
        rounds,
    )
    rates = {name: flops / found.pop(name) / 1e9 for name, (_, flops) in products.items()}
    show(f"decoder, train step, {batch} pictures", found, bar=1.15)
    with FlopCounterMode(display=False, custom_mapping=ATTENTION_ON_CPU) as counter:
        ask(ours).square().mean().backward()
    reached = counter.get_total_flops() / found["ours, trimmed"] / 1e9
    print("  float32 matrix products, GFLOP a CPU second:")
    for name, rate in rates.items():
        print(f"    {name:<38}{rate:9.0f}")
    peak = max(rates.values())
    print(f"  ours reaches {reached:.0f} of {peak:.0f}: {reached / peak:.0%} of the measured peak")


def text_to_picture(rounds: int, batch: int = 4) -> None:
    """From caption states to pictures of both sizes."""
    (prior, their_prior), (decoder, their_decoder), (upsampler, their_upsampler) = (
        priors(),
        decoders(),
        upsamplers(),
    )
    decoder, upsampler = (
        load_unet(unet_weights(decoder, "decoder", {}), "decoder"),
        load_unet(unet_weights(upsampler, "upsampler", {}), "upsampler"),
    )
    text, empty, start = captions(batch), captions(1), noise(batch, EMBEDDING, seed=8)
    embeddings = our_embeddings(prior, text, empty, start)()
    pictures = our_pictures(decoder, text, empty, embeddings)()
    stages = {
        "prior": (
            their_embeddings(their_prior, text, empty, start),
            our_embeddings(prior, text, empty, start),
        ),
        "decoder": (
            their_pictures(their_decoder, decoder, text, empty, embeddings),
            our_pictures(decoder, text, empty, embeddings),
        ),
        "upsampler": (their_enlarged(their_upsampler, pictures), our_enlarged(upsampler, pictures)),
    }
    for name, (as_diffusers, as_ours) in stages.items():
        show_equal(f"{name}, all steps", as_ours(), as_diffusers(), tolerance=1e-3)
    turns = {
        (name, side): run
        for name, sides in stages.items()
        for side, run in zip(("diffusers", "ours"), sides, strict=True)
    }
    found = measured(turns, rounds)
    for name in stages:
        show(f"{name} of text to picture", {side: found[name, side] for side in ("diffusers", "ours")}, bar=1)
    total = {side: sum(found[name, side] for name in stages) for side in ("diffusers", "ours")}
    show(
        f"text to picture, {PRIOR_STEPS}, {DECODER_STEPS} and {UPSAMPLER_STEPS} steps, {batch} captions",
        total,
        bar=1.5,
    )
    for side, seconds in total.items():
        shares = ", ".join(f"{name} {found[name, side] / seconds:.0%}" for name in stages)
        print(f"  of {side}: {shares}")


def sample(denoise: Denoiser, start: Tensor, count: int) -> Tensor:
    """The sampler of both sides."""
    schedule = cosine_schedule()
    return ddim(clipped(denoise, 5.0), start, sampling_steps(schedule, count), schedule)


def their_embeddings(theirs: nn.Module, text: Text, empty: Text, start: Tensor) -> Run:
    """All steps of diffusers' prior."""

    @torch.no_grad()
    def run() -> Tensor:
        both = beside(text, empty)
        return sample(doubly_guided(lambda x, t: asked(theirs, x, t, both), GUIDANCE), start, PRIOR_STEPS)

    return run


def our_embeddings(ours: Prior, text: Text, empty: Text, start: Tensor) -> Run:
    """All steps of our prior."""

    @torch.no_grad()
    def run() -> Tensor:
        told, untold = ours.prefix(trimmed(text)), ours.prefix(trimmed(empty)).expanded(len(start))
        denoise = guided(
            lambda x, t: Denoised(ours(x, t, told)), lambda x, t: Denoised(ours(x, t, untold)), GUIDANCE
        )
        return sample(denoise, start, PRIOR_STEPS)

    return run


def their_pictures(theirs: nn.Module, decoder: Unet, text: Text, empty: Text, embeddings: Tensor) -> Run:
    """All steps of diffusers' decoder."""

    @torch.no_grad()
    def run() -> Tensor:
        no_image = decoder.embed.null_embedding.expand_as(embeddings)
        told = projected(decoder, torch.cat([embeddings, no_image]), beside(text, empty))
        denoise = doubly_guided(lambda x, t: theirs(x, t, **told).sample[:, :3], GUIDANCE)
        return sample(denoise, start_of(embeddings, SMALL_PX), DECODER_STEPS)

    return run


def our_pictures(ours: Unet, text: Text, empty: Text, embeddings: Tensor) -> Run:
    """All steps of our decoder."""

    @torch.no_grad()
    def run() -> Tensor:
        short, none = trimmed(text), trimmed(empty)
        seen = ours.context(Condition(embeddings, short.embedding, short.hidden, short.mask))
        no_image = ours.embed.null_embedding[None]
        unseen = ours.context(Condition(no_image, none.embedding, none.hidden, none.mask))
        unseen = unseen.expanded(len(embeddings))
        denoise = guided(
            lambda x, t: Denoised(ours(x, t, seen)), lambda x, t: Denoised(ours(x, t, unseen)), GUIDANCE
        )
        return sample(denoise, start_of(embeddings, SMALL_PX), DECODER_STEPS)

    return run


def their_enlarged(theirs: nn.Module, pictures: Tensor) -> Run:
    """All steps of diffusers' super-resolution."""

    @torch.no_grad()
    def run() -> Tensor:
        low = bicubic(pictures)
        return sample(
            lambda x, t: Denoised(theirs(torch.cat([x, low], 1), t).sample),
            start_of(pictures, LARGE_PX),
            UPSAMPLER_STEPS,
        )

    return run


def our_enlarged(ours: Unet, pictures: Tensor) -> Run:
    """All steps of our super-resolution."""

    @torch.no_grad()
    def run() -> Tensor:
        low = ours.context(Condition(low_res=bicubic(pictures)))
        return sample(lambda x, t: Denoised(ours(x, t, low)), start_of(pictures, LARGE_PX), UPSAMPLER_STEPS)

    return run


def start_of(rows: Tensor, side_px: int) -> Tensor:
    """The noise that pictures of these rows begin with."""
    return noise(len(rows), 3, side_px, side_px, seed=side_px)


def bicubic(pictures: Tensor) -> Tensor:
    """Small pictures at the larger size."""
    return nn.functional.interpolate(pictures, (LARGE_PX, LARGE_PX), mode="bicubic", antialias=True)


def matrix_products() -> dict[str, tuple[Run, float]]:
    """Square float32 products of several sizes, by both libraries that torch has, and the FLOPs of each."""
    found: dict[str, tuple[Run, float]] = {}
    for size in (256, 512, 1024, 2048):
        a = noise(size, size, seed=11)
        found[f"torch.mm, {size}"] = partial(torch.mm, a, a), 2.0 * size**3
        found[f"as a convolution, {size}"] = partial(linear, a, a), 2.0 * size**3
    return found


def training(model: nn.Module, forward: Callable[[nn.Module], Tensor]) -> Callable[[], None]:
    """A whole optimizer step with the forward pass given."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)

    def step() -> None:
        forward(model).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


if __name__ == "__main__":
    main()
