"""Text towers run on as many tokens as the longest caption has.

Where attention is causal and the embedding is read at the end of the text, what stands behind that token
changes nothing: cutting it off is exact, and most captions are far shorter than the context.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from unclip_pipeline.clip.open_clip_guard import open_clip

TextTransformer = open_clip.transformer.TextTransformer


def check_supported(tower: nn.Module) -> None:
    """Raise unless the tower is one whose token states can be read: open_clip's own transformer."""
    if not isinstance(tower, TextTransformer) or tower.cls_emb is not None:
        raise ValueError(
            "the text tower must be open_clip's TextTransformer without a class token, got "
            f"{type(tower).__name__}; choose a model whose open_clip config has neither "
            "text_cfg.hf_model_name nor text_cfg.embed_cls"
        )


def trimmable(tower: TextTransformer) -> bool:
    """Tell whether tokens behind the end of the text may be cut off without changing a result."""
    return tower.attn_mask is not None and tower.pool_type in ("argmax", "eos")


def end_positions(tower: TextTransformer, tokens: Int[Tensor, "n l"]) -> Int[Tensor, " n"]:
    """Find the end-of-text token, or the last token that is no padding where there is none."""
    if tower.pool_type == "argmax":  # the end-of-text token has the highest id
        return tokens.argmax(1)
    if tower.pool_type == "eos":
        return (tokens == tower.eos_id).int().argmax(1)
    places = torch.arange(tokens.shape[1], device=tokens.device)
    return (places * (tokens != tower.pad_id)).amax(1)


def trimmed(tower: TextTransformer, tokens: Int[Tensor, "n l"]) -> Int[Tensor, "n m"]:
    """Cut the tokens behind the longest caption where that is exact."""
    return tokens[:, : int(end_positions(tower, tokens).max()) + 1] if trimmable(tower) else tokens


def token_states(tower: TextTransformer, tokens: Int[Tensor, "n l"]) -> Float[Tensor, "n l e"]:
    """Run the transformer; the states after its final norm."""
    length = tokens.shape[1]
    dtype = tower.transformer.get_cast_dtype()
    x = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[:length].to(dtype)
    mask = tower.attn_mask[:length, :length] if tower.attn_mask is not None else None
    with _attention_kernel(x.device):
        return tower.ln_final(tower.transformer(x, attn_mask=mask))


def text_embeddings(tower: TextTransformer, tokens: Int[Tensor, "n l"]) -> Float[Tensor, "n d"]:
    """Embed tokens, un-normalised; equals `tower(tokens)` of the padded tokens."""
    states = token_states(tower, tokens)
    place = {"first": 0, "last": -1}.get(tower.pool_type)
    rows = torch.arange(len(tokens), device=tokens.device)
    pooled = states[:, place] if place is not None else states[rows, end_positions(tower, tokens)]
    if tower.text_projection is None:
        return pooled
    if isinstance(tower.text_projection, nn.Linear):
        return tower.text_projection(pooled)
    return pooled @ tower.text_projection


def token_mask(tower: TextTransformer, tokens: Int[Tensor, "n l"]) -> Bool[Tensor, "n l"]:
    """Mark the tokens up to and including the end of each text (not `id != 0`: "!" is token 0)."""
    places = torch.arange(tokens.shape[1], device=tokens.device)
    return places <= end_positions(tower, tokens)[:, None]


def _attention_kernel(device: torch.device) -> AbstractContextManager[None]:
    """On CPUs plain matrix products beat the fused kernel at caption lengths: 2.4 times in bfloat16."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
