"""What the decoder makes of embeddings and token states, as diffusers' UnCLIPTextProjModel."""

from torch import Tensor, nn

from unclip_pipeline.models.unet import Unet


def projection_to_diffusers(decoder: Unet) -> nn.Module:
    """Build the projections that this decoder's condition goes through.

    Ours standardises embeddings first; that is folded into the maps. The stand-in for an image embedding that
    is not told goes along, un-normalised as the others.
    """
    from unclip_pipeline.export.diffusers_guard import UnCLIPTextProjModel

    embed, config, width = decoder.embed, decoder.config, decoder.embedding_width
    other = UnCLIPTextProjModel(
        clip_extra_context_tokens=config.image_tokens,
        clip_embeddings_dim=width,
        time_embed_dim=embed.to_time.out_features,
        cross_attention_dim=config.context_width,
    )
    image_weight, text_weight = embed.to_time.weight.split(width, 1)
    none = embed.to_time.bias.new_zeros(embed.to_time.out_features)
    folded = {
        "clip_image_embeddings_project_to_time_embeddings": (
            image_weight, embed.to_time.bias, embed.image_mean, embed.image_std,
        ),
        "embedding_proj": (text_weight, none, embed.text_mean, embed.text_std),
        "clip_extra_context_tokens_proj": (
            _by_channel(embed.to_tokens.weight, config.image_tokens),
            _by_channel(embed.to_tokens.bias, config.image_tokens),
            embed.image_mean,
            embed.image_std,
        ),
    }  # fmt: skip
    tensors = {"learned_classifier_free_guidance_embeddings": embed.null_embedding}
    for name, parts in folded.items():
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = standardising(*parts)
    linear, norm = decoder.text_in
    for name, module in {
        "encoder_hidden_states_proj": linear,
        "text_encoder_hidden_states_norm": norm,
    }.items():
        tensors |= {f"{name}.weight": module.weight, f"{name}.bias": module.bias}
    other.load_state_dict(tensors)
    return other.eval()


def standardising(weight: Tensor, bias: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Fold (x - mean) / std into the linear map that follows it."""
    folded = weight.double() / std.double()
    return folded.to(weight), (bias.double() - folded @ mean.double()).to(bias)


def _by_channel(rows: Tensor, tokens: int) -> Tensor:
    """Reorder rows from token by token to channel by channel, as diffusers lays tokens out."""
    return rows.unflatten(0, (tokens, -1)).transpose(0, 1).flatten(0, 1)
