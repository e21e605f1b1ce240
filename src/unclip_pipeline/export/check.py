"""Do the exported pipeline and our own networks draw the same pictures?

Both get the same noise in the same order, the same schedulers and guidance, so that the stand-ins for what is
not told are compared too: encoder, prior, decoder, projections and super-resolution are ours on one side and
what was written on the other. The steps themselves are diffusers': in float32 its last one shrinks a picture
by 0.05%, which is no fault of a conversion. One chain runs through all stages, so that a difference early is
seen at the end.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unclip_pipeline.models.condition import Condition
from unclip_pipeline.models.prior import Text
from unclip_pipeline.unclip import UnClip, enlarged

if TYPE_CHECKING:
    from diffusers import UnCLIPPipeline, UnCLIPScheduler

CAPTIONS = ("a picture", "a large red circle on the left of a blue square")  # of different lengths
STEPS, GUIDANCE, SEED = 3, 2.0, 0
MOST_APART = 1e-4  # embeddings in standard deviations, pictures in a range of 2
MOST_LEVELS_APART = 1  # of 255

Output = Callable[[Float[Tensor, "n *dims"], Int[Tensor, " n"]], Float[Tensor, "n *dims2"]]


class Latents(NamedTuple):
    """What each stage ends with: standardised embeddings, enlarged small pictures, large pictures in -1..1."""

    embeddings: Float[Tensor, "n d"]
    smooth: Float[Tensor, "n 3 S S"]
    large: Float[Tensor, "n 3 S S"]


class Agreement(NamedTuple):
    """The largest differences of two runs; 0 is best."""

    embeddings: float
    smooth: float
    large: float
    levels: int  # of 255, between finished pictures

    def require(self) -> None:
        """Raise unless the runs are the same but for rounding."""
        apart = max(self.embeddings, self.smooth, self.large)
        if not apart <= MOST_APART or self.levels > MOST_LEVELS_APART:
            raise RuntimeError(
                f"the exported pipeline must draw what this stack draws, to {MOST_APART:g} and {MOST_LEVELS_APART} "
                f"of 255 levels a pixel; it differs by {self}; nothing was written, please report this"
            )


def compare(unclip: UnClip, pipeline: "UnCLIPPipeline", captions: Sequence[str] = CAPTIONS) -> Agreement:
    """Draw captions with both, in float32 on the processor, and give the largest differences."""
    theirs, ours = drawn_by_pipeline(pipeline, captions), drawn_by_stack(unclip, pipeline, captions)
    apart = [float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True)]
    levels = (_levels(ours.large) - _levels(theirs.large)).abs().max()
    return Agreement(*apart, int(levels))


@torch.no_grad()
def drawn_by_pipeline(pipeline: "UnCLIPPipeline", captions: Sequence[str]) -> Latents:
    """Draw with diffusers, looking on at what its stages hand over."""
    seen: dict[str, Tensor] = {}

    def look(module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        if module is pipeline.text_proj:
            prior = pipeline.prior
            seen["embeddings"] = (named["image_embeddings"] - prior.clip_mean) / prior.clip_std
        else:
            seen["smooth"] = named["sample"][:, 3:]

    watched = (pipeline.text_proj, pipeline.super_res_first)
    hooks = [part.register_forward_pre_hook(look, with_kwargs=True) for part in watched]
    try:
        pictures = pipeline(
            list(captions),
            prior_num_inference_steps=STEPS,
            decoder_num_inference_steps=STEPS,
            super_res_num_inference_steps=STEPS,
            prior_guidance_scale=GUIDANCE,
            decoder_guidance_scale=GUIDANCE,
            generator=torch.Generator().manual_seed(SEED),
            output_type="np",
        ).images
    finally:
        for hook in hooks:
            hook.remove()
    return Latents(**seen, large=torch.from_numpy(pictures).permute(0, 3, 1, 2) * 2 - 1)


@torch.no_grad()
def drawn_by_stack(unclip: UnClip, pipeline: "UnCLIPPipeline", captions: Sequence[str]) -> Latents:
    """Draw with our networks, stepped by the pipeline's schedulers."""
    generator, count = torch.Generator().manual_seed(SEED), len(captions)
    text, null = unclip.told(captions), unclip.told([""])

    def drawn(output: Output, scheduler: "UnCLIPScheduler", *shape: int) -> Tensor:
        start = torch.randn(count, *shape, generator=generator)
        return _stepped(output, start, scheduler, generator)

    prior, decoder, upsampler = unclip.prior, unclip.decoder, unclip.upsamplers[0]
    embeddings = drawn(_prior_output(unclip, text, null), pipeline.prior_scheduler, prior.embedding_width)
    output = _decoder_output(unclip, prior.restored(embeddings), text, null)
    small = drawn(output, pipeline.decoder_scheduler, *_shape(decoder.config.side_px))
    smooth = enlarged(small.clamp(-1, 1), upsampler.config.side_px)
    told = upsampler.context(Condition(low_res=smooth))
    large = drawn(
        lambda x, t: upsampler(x, t, told),
        pipeline.super_res_scheduler,
        *_shape(upsampler.config.side_px),
    )
    return Latents(embeddings, smooth, large.clamp(-1, 1))


def _stepped(output: Output, x: Tensor, scheduler: "UnCLIPScheduler", generator: torch.Generator) -> Tensor:
    scheduler.set_timesteps(STEPS)
    steps = [*scheduler.timesteps, None]
    for t, earlier in zip(steps[:-1], steps[1:], strict=True):
        said = output(x, t.expand(len(x)))
        x = scheduler.step(said, t, x, prev_timestep=earlier, generator=generator).prev_sample
    return x


def _prior_output(unclip: UnClip, text: Text, null: Text) -> Output:
    prior = unclip.prior
    told, untold = prior.prefix(text), prior.prefix(null).expanded(len(text.embedding))
    return lambda x, t: torch.lerp(prior(x, t, untold), prior(x, t, told), GUIDANCE)


def _decoder_output(unclip: UnClip, embeddings: Float[Tensor, "n d"], text: Text, null: Text) -> Output:
    """The decoder guided as diffusers guides it: the variance, the lower bound if none is learned, is not."""
    decoder = unclip.decoder
    no_image = decoder.embed.null_embedding[None]
    told = decoder.context(Condition(embeddings, text.embedding, text.hidden, text.mask))
    untold = decoder.context(Condition(no_image, null.embedding, null.hidden, null.mask))
    untold = untold.expanded(len(embeddings))

    def output(x: Tensor, t: Tensor) -> Tensor:
        with_condition, without = decoder(x, t, told), decoder(x, t, untold)
        guided = torch.lerp(without[:, :3], with_condition[:, :3], GUIDANCE)
        share = with_condition[:, 3:] if decoder.config.learned_variance else -torch.ones_like(x)
        return torch.cat([guided, share], 1)

    return output


def _shape(side_px: int) -> tuple[int, int, int]:
    return (3, side_px, side_px)


def _levels(pictures: Float[Tensor, "n 3 S S"]) -> Float[Tensor, "n 3 S S"]:
    return ((pictures + 1) * 127.5).round()
