"""One U-Net for the decoder and for super-resolution; what differs is its configuration.

The mathematics is that of the networks unCLIP was published with (ADM blocks, attention over pixels and
condition tokens together). Legend: see shapes.py; `w` in a token's shape is a width.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from unclip_pipeline.models.blocks import Attention, Block, activated, time_features
from unclip_pipeline.models.condition import Condition, Context, EmbeddingCondition
from unclip_pipeline.models.unet_config import UnetConfig
from unclip_pipeline.weights import Weights

NOISE_STEPS = 1_000  # noise of a smaller picture, 0..1, is told as a step of so many


class Unet(nn.Module):
    """x_t and step to eps, v or x_0 (and a variance share, when learned)."""

    def __init__(self, config: UnetConfig, *, embedding_width: int = 0, text_width: int = 0):
        super().__init__()
        self.config = config
        self.checkpointing = False  # whether training recomputes blocks backwards: less memory, more time
        first, time_width = config.channels[0], 4 * config.channels[0]
        folded = 3 * config.unshuffle**2
        self.time = nn.Sequential(nn.Linear(first, time_width), nn.SiLU(), nn.Linear(time_width, time_width))
        if embedding_width:
            self.embed = EmbeddingCondition(config, embedding_width, time_width)
        self.embedding_width, self.text_width = embedding_width, text_width
        if config.text_tokens:
            self.text_in = nn.Sequential(
                nn.Linear(text_width, config.context_width), nn.LayerNorm(config.context_width)
            )
        if config.told_noise:
            self.noise = nn.Sequential(
                nn.Linear(first, time_width), nn.SiLU(), nn.Linear(time_width, time_width)
            )
        fan_in = folded * (2 if config.low_side_px else 1)
        self.conv_in = nn.Conv2d(fan_in, first, 3, padding=1)
        self._make_levels(config, has_context=bool(embedding_width or text_width))
        self.modulation = nn.Linear(time_width, sum(2 * block.width for block in self._blocks()))
        self.norm_out = nn.GroupNorm(config.norm_groups, first)
        self.conv_out = nn.Conv2d(first, folded * (2 if config.learned_variance else 1), 3, padding=1)
        self._start_from_zero()

    def _make_levels(self, config: UnetConfig, *, has_context: bool) -> None:
        """Down, middle and up path; `skips` tells which widths the up path finds on the stack."""
        widths, context = config.channels, config.context_width if has_context else 0

        def block(fan_in: int, level: int, resize: str = "") -> Block:
            return Block(
                fan_in, widths[level], groups=config.norm_groups, dropout=config.dropout, resize=resize
            )

        def attend(level: int) -> nn.Module:
            if not config.attention[level]:
                return nn.Identity()
            return Attention(
                widths[level], head_width=config.head_width, groups=config.norm_groups, context=context
            )

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, width = [widths[0]], widths[0]
        for level in range(len(widths)):
            for _ in range(config.blocks):
                self.down.append(nn.ModuleList([block(width, level), attend(level)]))
                width = widths[level]
                skips.append(width)
            if level < len(widths) - 1:
                self.down.append(nn.ModuleList([block(width, level, "down"), nn.Identity()]))
                skips.append(width)
        last = len(widths) - 1
        self.middle = nn.ModuleList([block(width, last), attend(last), block(width, last)])
        for level in reversed(range(len(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(nn.ModuleList([block(width + skips.pop(), level), attend(level)]))
                width = widths[level]
            if level > 0:
                self.up[-1].append(block(width, level, "up"))

    def _blocks(self) -> list[Block]:
        return [module for module in self.modules() if isinstance(module, Block)]

    def _attentions(self) -> list[Attention]:
        return [module for module in self.modules() if isinstance(module, Attention)]

    def _start_from_zero(self) -> None:
        """Every residual branch and the output begin at zero (Dhariwal & Nichol, 2021)."""
        for last in [block.conv2 for block in self._blocks()] + [self.conv_out]:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        for attention in self._attentions():
            nn.init.zeros_(attention.out.weight)
        nn.init.zeros_(self.modulation.bias)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def context(self, condition: Condition) -> Context:
        """Compute what a condition contributes, alike at every step."""
        time, low_map, tokens, mask = None, None, None, None
        if condition.image_embedding is not None:
            time, tokens, low_map = self.embed(condition.image_embedding, condition.text_embedding)
        if self.config.text_tokens:
            tokens = torch.cat([tokens, self.text_in(condition.text_hidden)], 1)
            mask = F.pad(condition.text_mask, (self.config.image_tokens, 0), value=True)
        if self.config.told_noise:
            features = time_features(condition.low_noise * NOISE_STEPS, self.config.channels[0])
            time = self.noise(features) if time is None else time + self.noise(features)
        layers = [] if tokens is None else self._attentions()
        return Context(
            time, low_map, {layer: layer.keys_values(tokens) for layer in layers}, mask, condition.low_res
        )

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        t: Int[Tensor, " b"],
        told: Condition | Context = Condition(),  # noqa: B008
    ) -> Float[Tensor, "b k h w"]:
        context = told if isinstance(told, Context) else self.context(told)
        time = self.time(time_features(t, self.config.channels[0]))
        time = time if context.time is None else time + context.time
        blocks = self._blocks()
        modulations = self.modulation(F.silu(time)).split([2 * block.width for block in blocks], 1)
        planes = [x] if context.low_res is None else [x, context.low_res]
        folded = torch.cat([F.pixel_unshuffle(part, self.config.unshuffle) for part in planes], 1)
        return self._through(folded, dict(zip(blocks, modulations, strict=True)), context)

    def _through(
        self, x: Float[Tensor, "b c h w"], modulations: Mapping[Block, Tensor], context: Context
    ) -> Float[Tensor, "b k h2 w2"]:
        """Down, middle, up."""

        def run(x: Tensor, block: Block, attention: nn.Module | None = None) -> Tensor:
            x = block(x, modulations[block])
            if not isinstance(attention, Attention):
                return x
            return attention(x, context.keys_values.get(attention), context.mask)

        def stage(x: Tensor, block: Block, attention: nn.Module | None = None) -> Tensor:
            if self.checkpointing and torch.is_grad_enabled():
                return checkpoint(run, x, block, attention, use_reentrant=False)
            return run(x, block, attention)

        x = self.conv_in(x.contiguous(memory_format=torch.channels_last))
        skips = [x]
        for block, attention in self.down:
            x = stage(x, block, attention)
            skips.append(x)
        first, attention, second = self.middle
        x = x if context.map is None else x + context.map
        x = stage(stage(x, first, attention), second)
        for block, attention, *resize in self.up:
            x = stage(torch.cat([x, skips.pop()], 1), block, attention)
            for larger in resize:
                x = stage(x, larger)
        x = self.conv_out(activated(self.norm_out(x)))
        return F.pixel_shuffle(x, self.config.unshuffle).float()


def unet_weights(unet: Unet, kind: Literal["decoder", "upsampler"], facts: Mapping[str, Any]) -> Weights:
    """The U-Net's tensors with what is needed to build it again, and `facts` about its training."""
    widths = {"embedding_width": unet.embedding_width, "text_width": unet.text_width}
    return Weights(
        dict(unet.state_dict()), {"kind": kind, "architecture": asdict(unet.config) | widths, **facts}
    )


def load_unet(weights: Weights, kind: Literal["decoder", "upsampler"]) -> Unet:
    """Build the U-Net of trained weights, in evaluation mode."""
    if weights.config.get("kind") != kind:
        raise ValueError(f"these weights must be of kind {kind!r}, got {weights.config.get('kind')!r}")
    architecture = dict(weights.config["architecture"])
    widths = {name: architecture.pop(name) for name in ("embedding_width", "text_width")}
    unet = Unet(UnetConfig(**architecture), **widths)
    unet.load_state_dict(weights.tensors)
    # kernels lie as pictures do: convolutions turn none around at each step
    return unet.eval().requires_grad_(False).to(memory_format=torch.channels_last)
