"""The prior as diffusers' PriorTransformer: the same function of the same inputs, other names."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from unclip_pipeline.export.projection import standardising
from unclip_pipeline.models.prior import OWN_TOKENS, Layer, Prior, PriorConfig


def prior_to_diffusers(prior: Prior, *, context_length: int | None = None) -> nn.Module:
    """Build the PriorTransformer that computes what this prior does, of captions of so many tokens at most.

    It is told un-normalised text embeddings and works on standardised image embeddings, as ours; what
    standardises the text is folded into its first map. Raises ValueError for a prior it cannot express.
    """
    from unclip_pipeline.export.diffusers_guard import PriorTransformer

    config, length = prior.config, context_length or prior.config.context_length
    if reasons := [
        *config.why_not_exportable(),
        *why_not_with(config, prior.text_width, prior.embedding_width, length),
    ]:
        raise ValueError(f"this prior is not exportable: {'; '.join(reasons)}")
    other = PriorTransformer(
        num_attention_heads=config.heads,
        attention_head_dim=config.width // config.heads,
        num_layers=config.layers,
        embedding_dim=prior.embedding_width,
        num_embeddings=length,
        additional_embeddings=OWN_TOKENS,
        dropout=config.dropout,
    )
    other.load_state_dict(dict(_renamed(prior, length)))
    return other.eval()


def why_not_with(
    config: PriorConfig, text_width: int, embedding_width: int, context_length: int
) -> list[str]:
    """List why a prior of these sizes does not fit a text tower of so many tokens; empty when it does."""
    reasons = {
        f"text_tokens: they are {text_width} wide, and it knows the embedding's {embedding_width} only": (
            config.text_tokens and text_width != embedding_width
        ),
        f"context_length {config.context_length}: captions are padded to the text tower's {context_length}": (
            config.text_tokens and config.context_length < context_length
        ),
    }
    return [reason for reason, holds in reasons.items() if holds]


def _renamed(prior: Prior, length: int) -> Iterator[tuple[str, Tensor]]:
    text = standardising(prior.text_in.weight, prior.text_in.bias, prior.text_mean, prior.text_std)
    yield "embedding_proj.weight", text[0]
    yield "embedding_proj.bias", text[1]
    yield "positional_embedding", torch.cat([prior.positions[:length], prior.positions[-OWN_TOKENS:]])[None]
    yield "prd_embedding", prior.query[None, None]
    yield "clip_mean", prior.image_mean[None]
    yield "clip_std", prior.image_std[None]
    modules = {
        "time_embedding.linear_1": prior.time_in[0],
        "time_embedding.linear_2": prior.time_in[2],
        "proj_in": prior.image_in,
        "encoder_hidden_states_proj": prior.tokens_in,
        "norm_out": prior.norm,
        "proj_to_clip_embeddings": prior.out,
    }
    for name, module in modules.items():
        yield f"{name}.weight", module.weight
        yield f"{name}.bias", module.bias
    for number, layer in enumerate(prior.layers):
        for name, tensor in _layer(layer):
            yield f"transformer_blocks.{number}.{name}", tensor


def _layer(layer: Layer) -> Iterator[tuple[str, Tensor]]:
    for kind in ("weight", "bias"):
        whole = getattr(layer.qkv, kind)
        for name, part in zip(("to_q", "to_k", "to_v"), torch.chunk(whole, 3), strict=True):
            yield f"attn1.{name}.{kind}", part
        yield f"attn1.to_out.0.{kind}", getattr(layer.out, kind)
        yield f"norm1.{kind}", getattr(layer.norm1, kind)
        yield f"norm3.{kind}", getattr(layer.norm2, kind)
        yield f"ff.net.0.proj.{kind}", getattr(layer.wide, kind)
        yield f"ff.net.2.{kind}", getattr(layer.narrow, kind)
