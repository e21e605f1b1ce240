"""Our networks against diffusers' at equal sizes and weights: python benchmarks/models.py

Ratios of one run: candidates take turns in one process on one thread, process CPU time, the best of the
rounds. Every pair is first shown to give the same answer.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from unclip_pipeline.diffusion.guidance import clipped, guided
from unclip_pipeline.diffusion.process import Denoised, Denoiser
from unclip_pipeline.diffusion.samplers import ddim
from unclip_pipeline.diffusion.schedule import cosine_schedule, sampling_steps
from unclip_pipeline.export.prior import prior_to_diffusers
from unclip_pipeline.export.unet import decoder_to_diffusers, upsampler_to_diffusers
from unclip_pipeline.models.condition import Condition
from unclip_pipeline.models.prior import Prior, PriorConfig, Text
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.models.unet_config import UnetConfig

EMBEDDING = 128
CONTEXT = 77
SIDE_PX = 32
LONGEST, SHORTEST = 32, 9  # tokens of the captions; their mean is 20.5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {options.threads} threads, torch {torch.__version__}"
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


def prior_sampling(rounds: int, batch: int = 8, count: int = 25) -> None:
    """25 guided steps."""
    ours, theirs = priors()
    text, empty = captions(batch), captions(1)
    start, schedule = noise(batch, EMBEDDING, seed=3), cosine_schedule()
    nothing = Text(*(part.expand(batch, *part.shape[1:]) for part in empty))

    def sample(told: Denoiser, untold: Denoiser) -> Tensor:
        return ddim(clipped(guided(told, untold, 2.0), 5.0), start, sampling_steps(schedule, count), schedule)

    @torch.no_grad()
    def as_diffusers() -> Tensor:
        return sample(
            lambda x, t: Denoised(asked(theirs, x, t, text)),
            lambda x, t: Denoised(asked(theirs, x, t, nothing)),
        )

    @torch.no_grad()
    def prefixed() -> Tensor:
        told, untold = ours.prefix(trimmed(text)), ours.prefix(trimmed(empty)).expanded(batch)
        return sample(lambda x, t: Denoised(ours(x, t, told)), lambda x, t: Denoised(ours(x, t, untold)))

    show_equal("prior samples", prefixed(), as_diffusers(), tolerance=1e-4)
    found = measured({"diffusers": as_diffusers, "ours, prefix once a caption": prefixed}, rounds)
    show(f"prior, {count} guided steps, {batch} captions", found, bar=10)


def decoder_training(rounds: int, batch: int = 4) -> None:
    """One optimizer step of the decoder, and the share of the machine's matrix products it reaches."""
    ours, theirs = decoders()
    whole, x_t, t = captions(batch), noise(batch, 3, SIDE_PX, SIDE_PX, seed=6), steps(batch)
    short = trimmed(whole)
    images = noise(batch, EMBEDDING, seed=7)

    def ask(model: nn.Module) -> Tensor:
        return model(x_t, t, Condition(images, short.embedding, short.hidden, short.mask))

    show_equal("decoder", ask(ours), projected(theirs, ours, x_t, t, images, whole)[:, :3])
    found = measured(
        {
            "diffusers": training(theirs, lambda model: projected(model, ours, x_t, t, images, whole)),
            "ours, trimmed": training(ours, ask),
        },
        rounds,
    )
    show(f"decoder, train step, {batch} pictures", found, bar=1.15)
    with FlopCounterMode(display=False) as counter:
        ask(ours).square().mean().backward()
    reached = counter.get_total_flops() / found["ours, trimmed"]
    peak = matrix_peak(rounds)
    print(
        f"  ours reaches {reached / 1e9:.0f} of {peak / 1e9:.0f} GFLOP/s of matrix products: {reached / peak:.0%}"
    )


def text_to_picture(rounds: int, batch: int = 4, count: int = 10) -> None:
    """From caption states to pictures of both sizes: prior, decoder (both guided), upsampler; equal steps."""
    (prior, their_prior), (decoder, their_decoder), (upsampler, their_upsampler) = (
        priors(),
        decoders(),
        upsamplers(),
    )
    text, empty, schedule = captions(batch), captions(1), cosine_schedule()
    nothing = Text(*(part.expand(batch, *part.shape[1:]) for part in empty))
    no_image = decoder.embed.null_embedding
    starts = [noise(batch, EMBEDDING, seed=8), noise(batch, 3, SIDE_PX, SIDE_PX, seed=9)]
    starts.append(noise(batch, 3, 2 * SIDE_PX, 2 * SIDE_PX, seed=10))

    def sample(start: Tensor, told: Denoiser, untold: Denoiser | None = None) -> Tensor:
        denoise = told if untold is None else guided(told, untold, 2.0)
        return ddim(clipped(denoise, 5.0), start, sampling_steps(schedule, count), schedule)

    def enlarged(small: Tensor) -> Tensor:
        return nn.functional.interpolate(small, scale_factor=2.0, mode="bicubic")

    @torch.no_grad()
    def as_diffusers() -> Tensor:
        z = sample(
            starts[0],
            lambda x, t: Denoised(asked(their_prior, x, t, text)),
            lambda x, t: Denoised(asked(their_prior, x, t, nothing)),
        )
        small = sample(
            starts[1],
            lambda x, t: Denoised(projected(their_decoder, decoder, x, t, z, text)[:, :3]),
            lambda x, t: Denoised(
                projected(their_decoder, decoder, x, t, no_image.expand(batch, -1), nothing)[:, :3]
            ),
        )
        low = enlarged(small)
        return sample(starts[2], lambda x, t: Denoised(their_upsampler(torch.cat([x, low], 1), t).sample))

    @torch.no_grad()
    def as_ours() -> Tensor:
        told, untold = prior.prefix(trimmed(text)), prior.prefix(trimmed(empty)).expanded(batch)
        z = sample(
            starts[0], lambda x, t: Denoised(prior(x, t, told)), lambda x, t: Denoised(prior(x, t, untold))
        )
        short, none = trimmed(text), trimmed(empty)
        seen = decoder.context(Condition(z, short.embedding, short.hidden, short.mask))
        unseen = decoder.context(Condition(no_image[None], none.embedding, none.hidden, none.mask))
        unseen = unseen.expanded(batch)
        small = sample(
            starts[1],
            lambda x, t: Denoised(decoder(x, t, seen)),
            lambda x, t: Denoised(decoder(x, t, unseen)),
        )
        low = upsampler.context(Condition(low_res=enlarged(small)))
        return sample(starts[2], lambda x, t: Denoised(upsampler(x, t, low)))

    show_equal("pictures", as_ours(), as_diffusers(), tolerance=1e-3)
    found = measured({"diffusers": as_diffusers, "ours": as_ours}, rounds)
    show(f"text to picture, {count} steps a stage, {batch} captions", found, bar=1.5)


def decoders() -> tuple[Unet, nn.Module]:
    """Our decoder and diffusers' with its weights."""
    torch.manual_seed(0)
    config = UnetConfig(
        side_px=SIDE_PX, channels=(64, 128, 192), blocks=2, attention=(False, True, True), head_width=64,
        norm_groups=32, text_tokens=True, target="x0",
    )  # fmt: skip
    ours = awake(Unet(config, embedding_width=EMBEDDING, text_width=EMBEDDING))
    return ours, decoder_to_diffusers(ours)


def upsamplers() -> tuple[Unet, nn.Module]:
    """Our upsampler and diffusers' with its weights."""
    torch.manual_seed(0)
    config = UnetConfig(
        side_px=2 * SIDE_PX, channels=(32, 64, 64), attention=(False,) * 3, norm_groups=32,
        low_side_px=SIDE_PX, text_embedding=False, target="x0",
    )  # fmt: skip
    ours = awake(Unet(config))
    return ours, upsampler_to_diffusers(ours)


def awake(unet: Unet) -> Unet:
    """Give the zero-initialised layers something to say."""
    for parameter in unet.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.01)
    return unet


def projected(theirs: nn.Module, ours: Unet, x_t: Tensor, t: Tensor, images: Tensor, text: Text) -> Tensor:
    """What diffusers' decoder answers; the condition's projections are our maps, the same as its own."""
    time, tokens, _ = ours.embed(images, text.embedding)
    context = torch.cat([tokens, ours.text_in(text.hidden)], 1)
    mask = nn.functional.pad(text.mask, (tokens.shape[1], 0), value=True).float()
    told = {"encoder_hidden_states": context, "class_labels": time, "attention_mask": mask}
    return theirs(x_t, t, **told).sample


def matrix_peak(rounds: int, size: int = 2048) -> float:
    """Best float32 matrix product this thread count gives, in FLOP a CPU second."""
    a = noise(size, size, seed=11)
    return 2 * size**3 / measured({"product": lambda: a @ a}, rounds)["product"]


def priors() -> tuple[Prior, nn.Module]:
    """Our prior and diffusers' with its weights."""
    torch.manual_seed(0)
    config = PriorConfig(width=256, layers=4, heads=4, text_tokens=True, context_length=CONTEXT)
    ours = Prior(config, embedding_width=EMBEDDING, text_width=EMBEDDING)
    nn.init.normal_(ours.out.weight, std=0.05)
    return ours, prior_to_diffusers(ours)


def captions(count: int) -> Text:
    """Padded captions of lengths spread evenly."""
    lengths = torch.linspace(SHORTEST, LONGEST, count).round()
    mask = torch.arange(CONTEXT) < lengths[:, None]
    return Text(noise(count, EMBEDDING, seed=4), noise(count, CONTEXT, EMBEDDING, seed=5), mask)


def trimmed(text: Text) -> Text:
    """Cut to the longest caption."""
    longest = int(text.mask.sum(1).max())
    return Text(text.embedding, text.hidden[:, :longest], text.mask[:, :longest])


def asked(prior: nn.Module, x_t: Tensor, t: Tensor, text: Text) -> Tensor:
    """What diffusers' prior answers."""
    told = {
        "proj_embedding": text.embedding,
        "encoder_hidden_states": text.hidden,
        "attention_mask": text.mask,
    }
    return prior(x_t, t, **told).predicted_image_embedding


def training(model: nn.Module, forward: Callable[[nn.Module], Tensor]) -> Callable[[], None]:
    """A whole optimizer step with the forward pass given."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)

    def step() -> None:
        forward(model).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def noise(*shape: int, seed: int) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def steps(count: int) -> Tensor:
    """Diffusion steps over the whole schedule."""
    return torch.linspace(0, 999, count).long()


def measured(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Best CPU seconds of each candidate; they take turns."""
    best = dict.fromkeys(candidates, float("inf"))
    for _ in range(rounds + 1):  # the first warms up, and may win all the same
        for name, run in candidates.items():
            began_s = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - began_s)
    return best


def show(title: str, found_s: Mapping[str, float], *, bar: float) -> None:
    """Print times, and ratios to the first candidate."""
    print(f"\n{title} (bar {bar:g}x)")
    reference_s = next(iter(found_s.values()))
    for name, seconds in found_s.items():
        print(f"  {name:<40}{1e3 * seconds:9.1f} ms CPU{reference_s / seconds:8.2f}x")


def show_equal(what: str, ours: Tensor, theirs: Tensor, *, tolerance: float = 1e-5) -> None:
    """Print how far two answers are apart; stop if that is more than rounding."""
    apart = float((ours - theirs).detach().abs().max())
    print(f"\n{what}: largest difference {apart:.1e}")
    if apart > tolerance:
        raise SystemExit(f"the answers must agree within {tolerance:g}, they are {apart:g} apart")


if __name__ == "__main__":
    main()
