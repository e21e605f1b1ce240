"""Attention over few tokens, where a fused kernel costs more than the products it saves."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

KeysValues = tuple[Float[Tensor, "b heads m v"], Float[Tensor, "b heads m v"]]
FEW_TOKENS = 64  # on CPUs the fused kernel was 10x slower at 20 keys


def attend(
    q: Float[Tensor, "b heads l w"],
    k: Float[Tensor, "b heads m w"],
    v: Float[Tensor, "b heads m w"],
    mask: Bool[Tensor, "#b #heads #l m"] | None = None,
) -> Float[Tensor, "b heads l w"]:
    """Scaled dot-product attention; `mask` is True where a query may look."""
    if k.device.type != "cpu" or k.shape[-2] > FEW_TOKENS:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1).to(v.dtype) @ v
