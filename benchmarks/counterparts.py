"""Networks of ours beside diffusers' with the same weights, what both are asked, and how both are timed."""

import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from unclip_pipeline.diffusion.process import Denoised, Denoiser
from unclip_pipeline.export.prior import prior_to_diffusers
from unclip_pipeline.export.unet import decoder_to_diffusers, upsampler_to_diffusers
from unclip_pipeline.models.prior import Prior, PriorConfig, Text
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.models.unet_config import UnetConfig

EMBEDDING = 128
CONTEXT = 77
SMALL_PX, LARGE_PX = 32, 128  # enlarged fourfold, as the published stacks go from 64 px to 256 px
LONGEST, SHORTEST = 32, 9  # tokens of the captions; their mean is 20.5


def priors() -> tuple[Prior, nn.Module]:
    """Our prior and diffusers' with its weights."""
    torch.manual_seed(0)
    config = PriorConfig(width=256, layers=4, heads=4, text_tokens=True, context_length=CONTEXT)
    ours = Prior(config, embedding_width=EMBEDDING, text_width=EMBEDDING)
    nn.init.normal_(ours.out.weight, std=0.05)
    return ours, prior_to_diffusers(ours)


def decoders() -> tuple[Unet, nn.Module]:
    """Our decoder and diffusers' with its weights."""
    torch.manual_seed(0)
    config = UnetConfig(
        side_px=SMALL_PX, channels=(64, 128, 192), blocks=2, attention=(False, True, True), head_width=64,
        norm_groups=32, text_tokens=True, target="x0",
    )  # fmt: skip
    ours = awake(Unet(config, embedding_width=EMBEDDING, text_width=EMBEDDING))
    return ours, decoder_to_diffusers(ours)


def upsamplers() -> tuple[Unet, nn.Module]:
    """Our upsampler and diffusers' with its weights."""
    torch.manual_seed(0)
    config = UnetConfig(
        side_px=LARGE_PX, channels=(32, 64, 64), attention=(False,) * 3, norm_groups=32,
        low_side_px=SMALL_PX, text_embedding=False, target="x0",
    )  # fmt: skip
    ours = awake(Unet(config))
    return ours, upsampler_to_diffusers(ours)


def awake(unet: Unet) -> Unet:
    """Give the zero-initialised layers something to say."""
    for parameter in unet.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.01)
    return unet


def captions(count: int) -> Text:
    """Padded captions of lengths spread evenly."""
    lengths = torch.linspace(SHORTEST, LONGEST, count).round()
    mask = torch.arange(CONTEXT) < lengths[:, None]
    return Text(noise(count, EMBEDDING, seed=4), noise(count, CONTEXT, EMBEDDING, seed=5), mask)


def trimmed(text: Text) -> Text:
    """Cut to the longest caption."""
    longest = int(text.mask.sum(1).max())
    return Text(text.embedding, text.hidden[:, :longest], text.mask[:, :longest])


def beside(text: Text, empty: Text) -> Text:
    """The captions, and as many empty ones: the doubled batch that diffusers' pipelines guide with."""
    return Text(
        *(
            torch.cat([part, none.expand_as(part)])
            for part, none in zip((text.embedding, text.hidden, text.mask), empty, strict=True)
        )
    )


def doubly_guided(network: Callable[[Tensor, Tensor], Tensor], scale: float) -> Denoiser:
    """Guidance as diffusers' pipelines do it: one call for both halves of a doubled batch."""

    def denoise(x: Tensor, t: Tensor) -> Denoised:
        told, untold = network(torch.cat([x, x]), torch.cat([t, t])).chunk(2)
        return Denoised(torch.lerp(untold, told, scale))

    return denoise


def asked(prior: nn.Module, x_t: Tensor, t: Tensor, text: Text) -> Tensor:
    """What diffusers' prior answers."""
    told = {
        "proj_embedding": text.embedding,
        "encoder_hidden_states": text.hidden,
        "attention_mask": text.mask,
    }
    return prior(x_t, t, **told).predicted_image_embedding


def projected(ours: Unet, images: Tensor, text: Text) -> dict[str, Tensor]:
    """A condition as diffusers' decoder is told it; the projections are our maps, the same as its own."""
    time_part, tokens, _ = ours.embed(images, text.embedding)
    context = torch.cat([tokens, ours.text_in(text.hidden)], 1)
    mask = nn.functional.pad(text.mask, (tokens.shape[1], 0), value=True).float()
    return {"encoder_hidden_states": context, "class_labels": time_part, "attention_mask": mask}


def noise(*shape: int, seed: int) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def steps(count: int) -> Tensor:
    """Diffusion steps over the whole schedule."""
    return torch.linspace(0, 999, count).long()


def measured(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Best CPU seconds of each candidate, all threads together; they take turns."""
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
