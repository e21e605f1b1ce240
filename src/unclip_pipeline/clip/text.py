"""Text towers run on as many tokens as the longest caption has.

Where attention is causal and the embedding is read at the end of the text, what stands behind that token
changes nothing: cutting it off is exact, and most captions are far shorter than the context. Any other tower
sees the whole context, as it was trained to.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from unclip_pipeline.clip.open_clip_guard import open_clip

TextTransformer = open_clip.transformer.TextTransformer


def readable(tower: nn.Module) -> bool:
    """Tell whether the token states can be read: open_clip's own transformer, without a class token."""
    return isinstance(tower, TextTransformer) and tower.cls_emb is None and not tower.use_pad_mask


def check_readable(tower: nn.Module) -> None:
    """Raise unless the token states can be read, as the prior reads them; a vector can always be had."""
    if not readable(tower):
        raise ValueError(
            "the text tower must be open_clip's TextTransformer without a class token, got "
            f"{type(tower).__name__}; choose a model whose open_clip config has neither "
            "text_cfg.hf_model_name nor text_cfg.embed_cls"
        )


def trimmable(tower: nn.Module) -> bool:
    """Tell whether tokens behind the end of the text may be cut off without changing a result."""
    return readable(tower) and tower.attn_mask is not None and tower.pool_type in ("argmax", "eos")


def lengths(tower: nn.Module, tokens: Int[Tensor, "n l"]) -> Int[Tensor, " n"]:
    """Count the tokens each text has to be run on; all of them where cutting would not be exact."""
    if trimmable(tower):
        return end_positions(tower, tokens) + 1
    return tokens.new_full((len(tokens),), tokens.shape[1])


def end_positions(tower: TextTransformer, tokens: Int[Tensor, "n l"]) -> Int[Tensor, " n"]:
    """Find the end-of-text token, or the last token that is no padding where there is none."""
    if tower.pool_type == "argmax":  # the end-of-text token has the highest id
        return tokens.argmax(1)
    if tower.pool_type == "eos":
        return (tokens == tower.eos_id).int().argmax(1)
    places = torch.arange(tokens.shape[1], device=tokens.device)
    return (places * (tokens != tower.pad_id)).amax(1)


def trimmed(tower: nn.Module, tokens: Int[Tensor, "n l"]) -> Int[Tensor, "n m"]:
    """Cut the tokens behind the longest caption where that is exact."""
    return tokens[:, : int(lengths(tower, tokens).max())]


def token_states(tower: TextTransformer, tokens: Int[Tensor, "n l"]) -> Float[Tensor, "n l e"]:
    """Run the transformer; the states after its final norm."""
    length = tokens.shape[1]
    dtype = tower.transformer.get_cast_dtype()
    x = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[:length].to(dtype)
    mask = tower.attn_mask[:length, :length] if tower.attn_mask is not None else None
    with _attention_kernel(x.device):
        return tower.ln_final(tower.transformer(x, attn_mask=mask))


def text_embeddings(tower: nn.Module, tokens: Int[Tensor, "n l"]) -> Float[Tensor, "n d"]:
    """Embed tokens, un-normalised; equals `tower(tokens)` of the padded tokens."""
    if not readable(tower):
        found = tower(tokens)
        return found[0] if isinstance(found, tuple) else found  # some give their token states as well
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
