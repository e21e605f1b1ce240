"""U-Nets as diffusers': the decoder as UNet2DConditionModel with its projections, super-resolution as UNet2DModel."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from unclip_pipeline.models.blocks import Attention, Block
from unclip_pipeline.models.unet import Unet


def decoder_to_diffusers(decoder: Unet) -> nn.Module:
    """Build the UNet2DConditionModel that computes what this decoder does once its condition is projected.

    It always puts out six channels, as diffusers' guided sampling asks: without a learned variance the
    last three say -1, the lower bound. Raises ValueError for a decoder it cannot express.
    """
    from unclip_pipeline.export.diffusers_guard import UNet2DConditionModel

    _check(decoder)
    kinds = {True: "SimpleCrossAttn{}Block2D", False: "Resnet{}sampleBlock2D"}
    config = decoder.config
    other = UNet2DConditionModel(
        **_shape(decoder, kinds),
        out_channels=6,
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        class_embed_type="identity",
        cross_attention_dim=config.context_width,
        attention_head_dim=config.head_width,
    )
    other.load_state_dict(dict(_renamed(decoder, padded=not config.learned_variance)))
    return other.eval()


def upsampler_to_diffusers(upsampler: Unet) -> nn.Module:
    """Build the UNet2DModel of a super-resolution network; the enlarged picture is its second half of input."""
    from unclip_pipeline.export.diffusers_guard import UNet2DModel

    _check(upsampler)
    other = UNet2DModel(
        **_shape(upsampler, {False: "Resnet{}sampleBlock2D"}),
        out_channels=6 if upsampler.config.learned_variance else 3,
        add_attention=False,
        attention_head_dim=upsampler.config.head_width,
    )
    other.load_state_dict(dict(_renamed(upsampler, padded=False)))
    return other.eval()


def _check(unet: Unet) -> None:
    if reasons := unet.config.why_not_exportable():
        raise ValueError(f"this network is not exportable: {'; '.join(reasons)}")


def _shape(unet: Unet, kinds: dict[bool, str]) -> dict[str, Any]:
    config = unet.config
    return {
        "sample_size": config.side_px,
        "in_channels": 6 if config.low_side_px else 3,
        "down_block_types": tuple(kinds[attends].format("Down") for attends in config.attention),
        "up_block_types": tuple(kinds[attends].format("Up") for attends in reversed(config.attention)),
        "block_out_channels": config.channels,
        "layers_per_block": config.blocks,
        "norm_num_groups": config.norm_groups,
        "resnet_time_scale_shift": "scale_shift",
    }


def _renamed(unet: Unet, *, padded: bool) -> Iterator[tuple[str, Tensor]]:
    yield from _both("time_embedding.linear_1", unet.time[0])
    yield from _both("time_embedding.linear_2", unet.time[2])
    yield from _both("conv_in", unet.conv_in)
    yield from _both("conv_norm_out", unet.norm_out)
    yield from _output(unet.conv_out, padded=padded)
    modulations = dict(zip(unet._blocks(), _modulations(unet), strict=True))
    for name, module in _placed(unet):
        if isinstance(module, Attention):
            yield from _attention(name, module)
        else:
            yield from _block(name, module, *modulations[module])


def _placed(unet: Unet) -> Iterator[tuple[str, nn.Module]]:
    """Give each block and attention layer with its place in diffusers' tree."""
    blocks, levels = unet.config.blocks, len(unet.config.channels)
    down = iter(unet.down)
    for level in range(levels):
        for number in range(blocks):
            yield from _layer(f"down_blocks.{level}", number, *next(down))
        if level < levels - 1:
            yield f"down_blocks.{level}.downsamplers.0", next(down)[0]
    first, attention, second = unet.middle
    yield from _layer("mid_block", 0, first, attention)
    yield "mid_block.resnets.1", second
    up = iter(unet.up)
    for level in range(levels):
        for number in range(blocks + 1):
            block, attention, *larger = next(up)
            yield from _layer(f"up_blocks.{level}", number, block, attention)
            for one in larger:
                yield f"up_blocks.{level}.upsamplers.0", one


def _layer(place: str, number: int, block: Block, attention: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    yield f"{place}.resnets.{number}", block
    if isinstance(attention, Attention):
        yield f"{place}.attentions.{number}", attention


def _block(name: str, block: Block, weight: Tensor, bias: Tensor) -> Iterator[tuple[str, Tensor]]:
    for part in ("norm1", "conv1", "norm2", "conv2"):
        yield from _both(f"{name}.{part}", getattr(block, part))
    if isinstance(block.skip, nn.Conv2d):
        yield from _both(f"{name}.conv_shortcut", block.skip)
    yield f"{name}.time_emb_proj.weight", weight
    yield f"{name}.time_emb_proj.bias", bias


def _attention(name: str, attention: Attention) -> Iterator[tuple[str, Tensor]]:
    yield from _both(f"{name}.group_norm", attention.norm)
    yield from _both(f"{name}.to_out.0", attention.out)
    for kind in ("weight", "bias"):
        for part, tensor in zip("qkv", getattr(attention.qkv, kind).chunk(3), strict=True):
            yield f"{name}.to_{part}.{kind}", tensor
        for part, tensor in zip("kv", getattr(attention.context_kv, kind).chunk(2), strict=True):
            yield f"{name}.add_{part}_proj.{kind}", tensor


def _modulations(unet: Unet) -> list[tuple[Tensor, Tensor]]:
    widths = [2 * block.width for block in unet._blocks()]
    weights, biases = (tensor.split(widths) for tensor in (unet.modulation.weight, unet.modulation.bias))
    return list(zip(weights, biases, strict=True))


def _output(conv: nn.Conv2d, *, padded: bool) -> Iterator[tuple[str, Tensor]]:
    if not padded:
        yield from _both("conv_out", conv)
        return
    yield "conv_out.weight", torch.cat([conv.weight, torch.zeros_like(conv.weight)])
    yield "conv_out.bias", torch.cat([conv.bias, -torch.ones_like(conv.bias)])


def _both(name: str, module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", module.weight
    yield f"{name}.bias", module.bias
